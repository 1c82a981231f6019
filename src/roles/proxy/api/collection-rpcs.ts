// The RPCs about databases, collections, partitions and aliases.

import type { CollectionInfo, DatabaseInfo } from '../../../model/collection-info.ts';
import { getPhysicalMs } from '../../../model/timestamp.ts';
import * as aliases from '../catalog/aliases.ts';
import * as collections from '../catalog/collections.ts';
import * as databases from '../catalog/databases.ts';
import * as partitions from '../catalog/partitions.ts';
import { DEFAULT_DATABASE } from '../proxy.ts';
import { toPairs, toRecord, type KeyValuePair } from './pairs.ts';
import { cold, readNothing, type DecodeNested, type Rpc } from './rpc.ts';
import { readFieldMessage, readSchemaMessage, toSchemaMessage } from './schema-message.ts';

interface NamedMessage {
  readonly collection_name: string;
}
interface PartitionMessage extends NamedMessage {
  readonly partition_name: string;
}
interface AliasMessage extends NamedMessage {
  readonly alias: string;
}
interface DatabaseMessage {
  readonly db_name: string;
}
interface ChangeMessage {
  readonly properties: readonly KeyValuePair[];
  readonly delete_keys: readonly string[];
}

/** Number of milvus.ShowType: only what is loaded. */
const IN_MEMORY = 1;

const readName = ({ collection_name }: NamedMessage) => ({ collectionName: collection_name });
const readPartition = (message: PartitionMessage) => ({
  ...readName(message),
  partitionName: message.partition_name,
});
const readAlias = (message: AliasMessage) => ({ ...readName(message), alias: message.alias });
const readDatabase = ({ db_name }: DatabaseMessage) => ({ name: db_name });
const readDatabaseOrDefault = ({ db_name }: DatabaseMessage) => ({
  name: db_name || DEFAULT_DATABASE,
});
const readChange = ({ properties, delete_keys }: ChangeMessage) => ({
  properties: toRecord(properties),
  deleteKeys: delete_keys,
});
const replyValue = (value: boolean): object => ({ value });
const replyRowCount = (rows: number): object => ({ stats: toPairs({ row_count: String(rows) }) });
const toUtc = (timestamp: bigint): string => String(getPhysicalMs(timestamp));

export const COLLECTION_RPCS: Readonly<Record<string, Rpc>> = {
  CreateCollection: cold({
    access: 'collectionDDL',
    read: (
      message: NamedMessage & {
        readonly schema: Uint8Array;
        readonly shards_num: number;
        readonly num_partitions: string;
        readonly consistency_level: number;
        readonly properties: readonly KeyValuePair[];
      },
      decodeNested: DecodeNested,
    ) => ({
      schema: readSchemaMessage(message.schema, message.collection_name, decodeNested),
      shardCount: message.shards_num,
      partitionCount: Number(message.num_partitions),
      consistencyLevel: message.consistency_level,
      properties: toRecord(message.properties),
    }),
    run: collections.createCollection,
  }),
  DropCollection: cold({
    access: 'collectionDDL',
    read: readName,
    run: collections.dropCollection,
  }),
  HasCollection: cold({ read: readName, run: collections.hasCollection, reply: replyValue }),
  DescribeCollection: cold({
    read: (message: NamedMessage & { readonly collectionID: string }) => ({
      ...readName(message),
      collectionId: BigInt(message.collectionID),
    }),
    run: collections.describeCollection,
    reply: toDescription,
  }),
  ShowCollections: cold({
    read: (message: { readonly type: number; readonly collection_names: readonly string[] }) => ({
      onlyLoaded: message.type === IN_MEMORY,
      collectionNames: message.collection_names,
    }),
    run: collections.showCollections,
    reply: ({ collections: shown, onlyLoaded }) => ({
      collection_names: shown.map((info) => info.schema.name),
      collection_ids: shown.map((info) => String(info.collectionId)),
      created_timestamps: shown.map((info) => String(info.createdTimestamp)),
      created_utc_timestamps: shown.map((info) => toUtc(info.createdTimestamp)),
      inMemory_percentages: onlyLoaded ? shown.map(() => '100') : [],
      query_service_available: onlyLoaded ? shown.map(() => true) : [],
      shards_num: shown.map((info) => info.vchannels.length),
    }),
  }),
  RenameCollection: cold({
    access: 'collectionDDL',
    read: (message: {
      readonly oldName: string;
      readonly newName: string;
      readonly newDBName: string;
    }) => ({ ...message, newDbName: message.newDBName }),
    run: collections.renameCollection,
  }),
  AlterCollection: cold({
    access: 'collectionDDL',
    read: (message: NamedMessage & ChangeMessage) => ({
      ...readName(message),
      ...readChange(message),
    }),
    run: collections.alterCollection,
  }),
  AlterCollectionField: cold({
    access: 'collectionDDL',
    read: (message: NamedMessage & ChangeMessage & { readonly field_name: string }) => ({
      ...readName(message),
      ...readChange(message),
      fieldName: message.field_name,
    }),
    run: collections.alterCollectionField,
  }),
  AddCollectionField: cold({
    access: 'collectionDDL',
    read: (
      message: NamedMessage & { readonly schema: Uint8Array },
      decodeNested: DecodeNested,
    ) => ({
      ...readName(message),
      field: readFieldMessage(message.schema, decodeNested),
    }),
    run: collections.addCollectionField,
  }),
  GetCollectionStatistics: cold({
    read: readName,
    run: partitions.countCollectionRows,
    reply: replyRowCount,
  }),

  CreatePartition: cold({
    access: 'partitionDDL',
    read: readPartition,
    run: partitions.createPartition,
  }),
  DropPartition: cold({
    access: 'partitionDDL',
    read: readPartition,
    run: partitions.dropPartition,
  }),
  HasPartition: cold({ read: readPartition, run: partitions.hasPartition, reply: replyValue }),
  ShowPartitions: cold({
    read: (
      message: NamedMessage & {
        readonly type: number;
        readonly partition_names: readonly string[];
      },
    ) => ({
      ...readName(message),
      partitionNames: message.partition_names,
      onlyLoaded: message.type === IN_MEMORY,
    }),
    run: partitions.showPartitions,
    reply: ({ partitions: shown, onlyLoaded }) => ({
      partition_names: shown.map(({ name }) => name),
      partitionIDs: shown.map(({ partitionId }) => String(partitionId)),
      created_timestamps: shown.map(({ createdTimestamp }) => String(createdTimestamp)),
      created_utc_timestamps: shown.map(({ createdTimestamp }) => toUtc(createdTimestamp)),
      inMemory_percentages: onlyLoaded ? shown.map(() => '100') : [],
    }),
  }),
  GetPartitionStatistics: cold({
    read: readPartition,
    run: partitions.countPartitionRows,
    reply: replyRowCount,
  }),

  CreateAlias: cold({ read: readAlias, run: aliases.createAlias }),
  AlterAlias: cold({ read: readAlias, run: aliases.alterAlias }),
  DropAlias: cold({ read: readAlias, run: aliases.dropAlias }),
  DescribeAlias: cold({
    read: readAlias,
    run: aliases.describeAlias,
    reply: ({ alias, collectionName }, { dbName }) => ({
      db_name: dbName,
      alias,
      collection: collectionName,
    }),
  }),
  ListAliases: cold({
    read: readName,
    run: aliases.listAliases,
    reply: ({ collectionName, aliases: names }, { dbName }) => ({
      db_name: dbName,
      collection_name: collectionName,
      aliases: names,
    }),
  }),

  CreateDatabase: cold({
    read: (message: DatabaseMessage & Pick<ChangeMessage, 'properties'>) => ({
      ...readDatabase(message),
      properties: toRecord(message.properties),
    }),
    run: databases.createDatabase,
  }),
  DropDatabase: cold({ read: readDatabase, run: databases.dropDatabase }),
  ListDatabases: cold({
    read: readNothing,
    run: databases.listDatabases,
    reply: (listed) => ({
      db_names: listed.map(({ name }) => name),
      db_ids: listed.map(({ dbId }) => String(dbId)),
      created_timestamp: listed.map(({ createdTimestamp }) => String(createdTimestamp)),
    }),
  }),
  AlterDatabase: cold({
    read: (message: DatabaseMessage & ChangeMessage) => ({
      ...readDatabaseOrDefault(message),
      ...readChange(message),
    }),
    run: databases.alterDatabase,
  }),
  DescribeDatabase: cold({
    read: readDatabaseOrDefault,
    run: databases.describeDatabase,
    reply: (database: DatabaseInfo) => ({
      db_name: database.name,
      dbID: String(database.dbId),
      created_timestamp: String(database.createdTimestamp),
      properties: toPairs(database.properties),
    }),
  }),
};

function toDescription(info: CollectionInfo): object {
  const { schema, vchannels } = info;
  return {
    schema: toSchemaMessage(info),
    collectionID: String(info.collectionId),
    virtual_channel_names: vchannels,
    physical_channel_names: vchannels.map((name) => name.slice(0, name.lastIndexOf('_'))),
    created_timestamp: String(info.createdTimestamp),
    created_utc_timestamp: toUtc(info.createdTimestamp),
    update_timestamp: String(info.schemaTimestamp),
    update_timestamp_str: String(info.schemaTimestamp),
    shards_num: vchannels.length,
    aliases: info.aliases,
    start_positions: [],
    consistency_level: info.consistencyLevel,
    collection_name: schema.name,
    properties: toPairs(info.properties),
    db_name: info.dbName,
    dbId: String(info.dbId),
    num_partitions: String(info.partitions.length),
  };
}
