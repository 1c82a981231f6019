// Everything that one role may ask of another: the only place where roles meet.
// Requests and replies are plain data (no methods, no handles), so that a call can be a function
// call or a message. A value handed over is never changed afterwards by either side.

import type { Cancelable } from '../base/cancelable.ts';
import type { CollectionInfo, DatabaseInfo, PartitionInfo } from '../model/collection-info.ts';
import type { GrowingSegmentInfo } from '../model/growing-segment.ts';
import type { Keys } from '../model/keys.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../model/read.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import type {
  ChannelCommit,
  ChannelInfo,
  DeleteFile,
  IndexFile,
  IndexInfo,
  SegmentInfo,
  SegmentStats,
  StoredFile,
} from '../model/segment-info.ts';

/** What travels beside a request. */
export interface CallContext extends Cancelable {
  /** When the caller gives up, on the monotonic clock; absent = never. */
  readonly deadlineMs?: number;
}

export type Empty = Readonly<Record<string, never>>;
export const EMPTY: Empty = Object.freeze({});
type Method<Request, Reply> = (request: Request, call: CallContext) => Promise<Reply>;
type Properties = Readonly<Record<string, string>>;
/** A collection by name or alias in a database, or by id. */
export interface CollectionRef {
  readonly dbName: string;
  readonly name?: string;
  readonly collectionId?: bigint;
}

export interface RootCoord {
  readonly allocateIds: Method<{ count: number }, { first: bigint }>;
  readonly allocateTimestamps: Method<{ count: number }, { first: bigint }>;
  readonly createDatabase: Method<{ name: string; properties: Properties }, Empty>;
  readonly dropDatabase: Method<{ name: string }, Empty>;
  readonly listDatabases: Method<Empty, { databases: readonly DatabaseInfo[] }>;
  readonly describeDatabase: Method<{ name: string }, DatabaseInfo>;
  readonly alterDatabase: Method<
    { name: string; properties: Properties; deleteKeys: readonly string[] },
    Empty
  >;
  /** Field ids in the schema are ignored and assigned here. Idempotent for the same definition. */
  readonly createCollection: Method<
    {
      dbName: string;
      schema: CollectionSchema;
      shardCount: number;
      partitionCount: number;
      consistencyLevel: number;
      properties: Properties;
    },
    CollectionInfo
  >;
  readonly dropCollection: Method<{ dbName: string; name: string }, Empty>;
  readonly describeCollection: Method<CollectionRef, CollectionInfo>;
  readonly listCollections: Method<{ dbName?: string }, { collections: readonly CollectionInfo[] }>;
  readonly renameCollection: Method<
    { dbName: string; name: string; newDbName: string; newName: string },
    Empty
  >;
  readonly alterCollection: Method<
    CollectionRef & { properties: Properties; deleteKeys: readonly string[] },
    Empty
  >;
  readonly alterCollectionField: Method<
    CollectionRef & { fieldName: string; properties: Properties; deleteKeys: readonly string[] },
    Empty
  >;
  readonly addCollectionField: Method<CollectionRef & { field: FieldSchema }, Empty>;
  readonly createPartition: Method<CollectionRef & { partitionName: string }, PartitionInfo>;
  readonly dropPartition: Method<CollectionRef & { partitionName: string }, Empty>;
  readonly createAlias: Method<{ dbName: string; alias: string; collectionName: string }, Empty>;
  readonly alterAlias: Method<{ dbName: string; alias: string; collectionName: string }, Empty>;
  readonly dropAlias: Method<{ dbName: string; alias: string }, Empty>;
  readonly describeAlias: Method<{ dbName: string; alias: string }, { collectionName: string }>;
  /** All aliases of the database, or of one collection. */
  readonly listAliases: Method<
    { dbName: string; collectionName?: string },
    { aliases: readonly string[]; collectionName: string }
  >;
}

export interface FlushReply {
  /** Segments that this flush seals. */
  readonly segmentIds: readonly bigint[];
  /** All segments of the collection that are already written. */
  readonly flushedSegmentIds: readonly bigint[];
  readonly timestamp: bigint;
}

export interface CompactionPlan {
  readonly inputs: readonly bigint[];
  readonly target: bigint;
}

export interface CompactionStatus {
  readonly state: 'executing' | 'completed';
  readonly executing: number;
  readonly completed: number;
  readonly failed: number;
  readonly plans: readonly CompactionPlan[];
}

export interface DataCoord {
  /**
   * Makes the caller the owner of a pchannel, with a term above all before: from then on commits
   * with a lower one are refused.
   */
  readonly openPchannel: Method<{ pchannel: string }, { term: number }>;
  /** The shard's checkpoint, delete files and segments (tombstones too), for recovery. */
  readonly openChannel: Method<
    { collectionId: bigint; vchannel: string },
    { channel: ChannelInfo; segments: readonly SegmentInfo[] }
  >;
  /**
   * Records that the caller is about to write a file, of this segment or else of deletes. Returns
   * its storage key, which is used once.
   */
  readonly beginFile: Method<{ collectionId: bigint; segmentId?: bigint }, { file: string }>;
  /** These files will not be committed: they are removed. Those that have been stay. */
  readonly giveUpFiles: Method<{ collectionId: bigint; files: readonly string[] }, Empty>;
  /**
   * Records, in one transaction, segments written from growing ones, a delete file, and the
   * checkpoint. A commit whose outcome is unknown is repeated with the same number: it succeeds
   * without effect when it was recorded. One with a lower number than the last is refused, and so
   * is one of an earlier owner of the pchannel, or one that names a file that was given up.
   */
  readonly commitChannel: Method<ChannelCommit, Empty>;
  /** A shard holds deletes that are in no file yet: told once until they are in one. */
  readonly deletesWait: Method<{ collectionId: bigint }, Empty>;
  /**
   * `merging` are those of the segments that a merge will soon replace, `writing` the ids of those
   * that will replace them.
   */
  readonly listSegments: Method<
    { collectionId: bigint },
    {
      segments: readonly SegmentInfo[];
      merging: readonly bigint[];
      writing: readonly bigint[];
    }
  >;
  readonly flush: Method<{ collectionId: bigint }, FlushReply>;
  /** True once every one of these segments is written (or gone). */
  readonly getFlushState: Method<
    { collectionId: bigint; segmentIds: readonly bigint[]; timestamp: bigint },
    { flushed: boolean }
  >;
  /**
   * Merges whatever fits together into segments of `targetBytes` at most.
   * @throws MilvusError ParameterInvalid when that is below what a segment may have anyway
   */
  readonly compact: Method<
    { collectionId: bigint; targetBytes?: number },
    { compactionId: bigint; planCount: number }
  >;
  readonly getCompactionState: Method<{ compactionId: bigint }, CompactionStatus>;
  readonly dropCollection: Method<{ collectionId: bigint }, Empty>;
  readonly dropPartition: Method<{ collectionId: bigint; partitionId: bigint }, Empty>;
}

export interface IndexStatus {
  readonly index: IndexInfo;
  readonly totalRows: number;
  readonly indexedRows: number;
  readonly pendingRows: number;
  /** Number of common.IndexState. */
  readonly state: number;
  readonly failReason: string;
}

export interface IndexCoord {
  /** Idempotent for the same name, field and parameters. */
  readonly createIndex: Method<
    {
      collectionId: bigint;
      fieldId: bigint;
      fieldName: string;
      name: string;
      indexType: string;
      metric: string;
      params: Properties;
      isAutoIndex: boolean;
      jsonPath?: readonly (string | number)[];
    },
    Empty
  >;
  readonly dropIndex: Method<{ collectionId: bigint; name: string; fieldName: string }, Empty>;
  readonly alterIndex: Method<
    { collectionId: bigint; name: string; properties: Properties; deleteKeys: readonly string[] },
    Empty
  >;
  readonly listIndexes: Method<{ collectionId: bigint }, { indexes: readonly IndexInfo[] }>;
  readonly describeIndexes: Method<
    { collectionId: bigint; name?: string },
    { indexes: readonly IndexStatus[] }
  >;
  /** Told by the data coordinator after segments appeared or vanished: builds what is missing. */
  readonly segmentsChanged: Method<{ collectionId: bigint }, Empty>;
  /** Builds every index of a segment that is not yet in the catalog, and waits for it. */
  readonly buildSegment: Method<
    { segment: SegmentInfo; schema: CollectionSchema },
    { files: readonly IndexFile[] }
  >;
  readonly listIndexFiles: Method<{ collectionId: bigint }, { files: readonly IndexFile[] }>;
  /** The file is detached, removed and made anew, unless it has been replaced already. */
  readonly reportDamagedFile: Method<{ file: IndexFile; reason: string }, Empty>;
  readonly dropCollection: Method<{ collectionId: bigint }, Empty>;
}

export interface LoadStatus {
  readonly state: 'notLoad' | 'loading' | 'loaded';
  /** Partitions asked for by name; empty when the whole collection is loaded. */
  readonly partitionIds: readonly bigint[];
  readonly replicaNumber: number;
  readonly loadFields: readonly string[];
}

/** An index is gone: the plain one of a field, or one of a path into a JSON field. */
export interface IndexDetachment {
  readonly indexId: bigint;
  readonly fieldId: bigint;
  readonly jsonPath?: readonly (string | number)[];
  /** Number of schema.DataType. */
  readonly jsonCastType?: number;
}

export interface QueryCoord {
  readonly load: Method<
    {
      collectionId: bigint;
      /** Empty = all partitions, also later ones. */
      partitionIds: readonly bigint[];
      replicaNumber: number;
      loadFields: readonly string[];
    },
    Empty
  >;
  readonly release: Method<{ collectionId: bigint; partitionIds: readonly bigint[] }, Empty>;
  readonly getLoadStatus: Method<{ collectionId: bigint }, LoadStatus>;
  readonly dropCollection: Method<{ collectionId: bigint }, Empty>;
  readonly dropPartition: Method<{ collectionId: bigint; partitionId: bigint }, Empty>;
  /** Says which query node is to hold each of these segments; their order is the reply's. */
  readonly place: Method<
    { segments: readonly SegmentInfo[] },
    { nodeIds: readonly number[] }
  >;
}

export interface InsertPart {
  readonly kind: 'insert';
  readonly partitionId: bigint;
  readonly rows: number;
  /** docs/formats/row-batch.md, without timestamps. */
  readonly batch: Uint8Array;
}

export interface DeletePart {
  readonly kind: 'delete';
  /** 0 = every partition. */
  readonly partitionId: bigint;
  readonly keys: Keys;
  /** Only versions at or before it die (rule R6); 0 = all older than the delete. */
  readonly killsUpTo: bigint;
}

/** One request's share for one shard; its parts become visible together. */
export interface WriteRequest {
  readonly vchannel: string;
  readonly schemaVersion: number;
  readonly parts: readonly (InsertPart | DeletePart)[];
  /**
   * Of `lockKeys`: the parts were made from rows of these keys, read since (R6). The lock ends with
   * the write; one that has ended before makes it fail unexecuted.
   */
  readonly token?: bigint;
}

export interface ShardReadRequest {
  readonly vchannel: string;
  /** Empty = all. */
  readonly partitionIds: readonly bigint[];
  readonly ignoreGrowing: boolean;
  /** The client's pin (iterators); 0 = everything acknowledged so far. */
  readonly pinnedTimestamp: bigint;
}

export interface ShardStats {
  readonly partitionId: bigint;
  readonly rows: number;
  readonly growingRows: number;
  readonly growingBytes: number;
}

/**
 * The owner of shards. Each request names one; a node that does not own it refuses it unexecuted,
 * ChannelNotFound, and so does one that is still opening it, ServiceNotReady.
 */
export interface StreamingNode {
  readonly openShard: Method<{ vchannel: string; info: CollectionInfo }, Empty>;
  /** The schema, partitions or properties have changed. */
  readonly updateShard: Method<{ vchannel: string; info: CollectionInfo }, Empty>;
  /** Refuses writes and reads from now on, after those in flight; frees the memory. */
  readonly dropShard: Method<{ vchannel: string }, Empty>;
  readonly dropPartition: Method<{ vchannel: string; partitionId: bigint }, Empty>;
  /** Which partitions may be read; `null` = all, an empty list = none. */
  readonly setLoaded: Method<{ vchannel: string; partitionIds: readonly bigint[] | null }, Empty>;
  /** Answers when durable and visible. Waits for keys that others have locked. */
  readonly write: Method<WriteRequest, { timestamp: bigint }>;
  /**
   * Keeps others from writing these keys until the caller writes them with the token, unlocks them
   * or takes too long (R6). Answers when all that was written before can be read. Who locks keys of
   * several shards does it in the shards' order.
   */
  readonly lockKeys: Method<{ vchannel: string; keys: Keys }, { token: bigint }>;
  readonly unlockKeys: Method<{ vchannel: string; token: bigint }, Empty>;
  readonly search: Method<
    ShardReadRequest & { params: SearchParams },
    SearchReply & { timestamp: bigint }
  >;
  readonly query: Method<
    ShardReadRequest & { params: QueryParams },
    QueryReply & { timestamp: bigint }
  >;
  readonly flush: Method<
    { vchannel: string },
    { segmentIds: readonly bigint[]; timestamp: bigint }
  >;
  /** Puts a compaction's output in place of its inputs, in one step for readers (rule R3). */
  readonly replaceSegments: Method<
    { vchannel: string; added: readonly SegmentInfo[]; removed: readonly bigint[] },
    Empty
  >;
  /** A build has finished: the holder of the segment opens the file. */
  readonly attachIndexes: Method<{ vchannel: string; files: readonly IndexFile[] }, Empty>;
  /** Of one segment, or without an id of all. */
  readonly detachIndex: Method<
    { vchannel: string; segmentId?: bigint; index: IndexDetachment },
    Empty
  >;
  readonly getStats: Method<{ vchannel: string }, { partitions: readonly ShardStats[] }>;
  /** The sealed segments that readers see; `droppableRows` are those deleted up to `horizon`. */
  readonly listSealed: Method<
    { vchannel: string; horizon: bigint },
    { segments: readonly SegmentStats[] }
  >;
  /**
   * The shard cannot be trusted: it serves no more, and says why (R8). What the shards of a
   * collection hold belongs together, so it tells the others.
   */
  readonly reportDamage: Method<{ vchannel: string; reason: string }, Empty>;
  /** Writes the deletes so far to delete files; what cannot be written stays in the log. */
  readonly writeDeletes: Method<{ vchannel: string }, Empty>;
  /**
   * Of a shard that has stopped nothing is listed, though its rows are in the log only; with
   * `mustServe` that is an error.
   */
  readonly listGrowing: Method<
    { vchannel: string; mustServe?: boolean },
    { segments: readonly GrowingSegmentInfo[] }
  >;
}

export interface QueryNode {
  /**
   * Opens segments and applies the deletes that they lack: the files', then these. They take the
   * place of what an earlier call has opened, but not of what a later owner has.
   */
  readonly loadSegments: Method<
    {
      /** With which the caller owns the pchannel of the segments. */
      term: number;
      schema: CollectionSchema;
      segments: readonly SegmentInfo[];
      deleteFiles: readonly DeleteFile[];
      /** A delete batch (docs/formats/delete-file.md). */
      deletes: Uint8Array;
      indexFiles: readonly IndexFile[];
    },
    Empty
  >;
  /** Fields were added: segments that were opened before read them as their defaults (R25). */
  readonly updateSchema: Method<
    { segmentIds: readonly bigint[]; schema: CollectionSchema },
    Empty
  >;
  /** What a later owner has opened stays. */
  readonly releaseSegments: Method<{ term: number; segmentIds: readonly bigint[] }, Empty>;
  readonly attachIndexes: Method<{ files: readonly IndexFile[] }, Empty>;
  readonly detachIndex: Method<{ segmentIds: readonly bigint[]; index: IndexDetachment }, Empty>;
  /**
   * Applies a delete batch to those of the segments that it concerns; nothing is seen of it by
   * reads older than its deletes. The caller waits for one batch before it sends the next.
   */
  readonly applyDeletes: Method<{ segmentIds: readonly bigint[]; deletes: Uint8Array }, Empty>;
  readonly search: Method<
    { segmentIds: readonly bigint[]; readTimestamp: bigint; params: SearchParams },
    SearchReply
  >;
  readonly query: Method<
    { segmentIds: readonly bigint[]; readTimestamp: bigint; params: QueryParams },
    QueryReply
  >;
  /** Of those that are held. `horizon` 0 = no row is droppable. */
  readonly getStats: Method<
    { segmentIds: readonly bigint[]; horizon: bigint },
    { segments: readonly SegmentStats[] }
  >;
}

export interface DataNode {
  /** Merges segments into one file. `segment` is absent when no row is left. */
  readonly compact: Method<
    {
      schema: CollectionSchema;
      inputs: readonly SegmentInfo[];
      deleteFiles: readonly DeleteFile[];
      target: bigint;
      /** Storage key to write to, used once. */
      file: string;
      /** Rows deleted at or before it are left out. */
      dropDeletedUpTo: bigint;
    },
    { segment?: SegmentInfo }
  >;
  /** Reads a file against its checksums. @throws MilvusError DataIntegrity */
  readonly verify: Method<{ stored: StoredFile }, Empty>;
}

export interface IndexNode {
  /** Builds into the storage key `file`, used once; the reply's is '' where no file is needed. */
  readonly build: Method<
    { schema: CollectionSchema; segment: SegmentInfo; index: IndexInfo; file: string },
    { file: IndexFile }
  >;
}

/** The other roles as one role sees them. */
export interface Peers {
  readonly rootcoord: RootCoord;
  readonly datacoord: DataCoord;
  readonly indexcoord: IndexCoord;
  readonly querycoord: QueryCoord;
  /** Whichever of them has time. */
  readonly datanode: DataNode;
  readonly indexnode: IndexNode;
  /** The owner of a shard, looked up at each call. */
  readonly shard: (vchannel: string) => StreamingNode;
  readonly querynode: (nodeId: number) => QueryNode;
}

/** The roles of this system, by name. */
export interface Roles extends Omit<Peers, 'shard' | 'querynode'> {
  readonly streamingnode: StreamingNode;
  readonly querynode: QueryNode;
}

export type RoleName = keyof Roles;
export const ROLE_NAMES = [
  'rootcoord',
  'datacoord',
  'indexcoord',
  'querycoord',
  'streamingnode',
  'querynode',
  'datanode',
  'indexnode',
] as const satisfies readonly RoleName[];
