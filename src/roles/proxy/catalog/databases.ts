// Databases as clients ask for them.

import { invalidParameter } from '../../../model/error.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { checkName } from '../names.ts';
import { checkDatabaseProperties } from './properties.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { toPairs, toRecord, type KeyValuePair } from '../api/wire-types.ts';

interface DatabaseRequest {
  readonly db_name: string;
  readonly properties: readonly KeyValuePair[];
}

export async function createDatabase(
  proxy: Proxy,
  request: DatabaseRequest,
  context: RequestContext,
): Promise<object> {
  checkName('database', request.db_name, proxy.deps.limits.maxNameLength);
  const properties = toRecord(request.properties);
  checkDatabaseProperties(properties);
  await proxy.peers.rootcoord.createDatabase({ name: request.db_name, properties }, context);
  return OK_STATUS;
}

export async function dropDatabase(
  proxy: Proxy,
  request: { db_name: string },
  context: RequestContext,
): Promise<object> {
  checkName('database', request.db_name, proxy.deps.limits.maxNameLength);
  await proxy.peers.rootcoord.dropDatabase({ name: request.db_name }, context);
  return OK_STATUS;
}

export async function listDatabases(
  proxy: Proxy,
  _request: object,
  context: RequestContext,
): Promise<object> {
  const { databases } = await proxy.peers.rootcoord.listDatabases({}, context);
  return {
    status: OK_STATUS,
    db_names: databases.map(({ name }) => name),
    db_ids: databases.map(({ dbId }) => String(dbId)),
    created_timestamp: databases.map(({ createdTimestamp }) => String(createdTimestamp)),
  };
}

export async function alterDatabase(
  proxy: Proxy,
  request: DatabaseRequest & { delete_keys: readonly string[] },
  context: RequestContext,
): Promise<object> {
  if (request.properties.length === 0 && request.delete_keys.length === 0) {
    throw invalidParameter(
      'alter database with empty properties and delete keys, expected to set either properties ' +
        'or delete keys',
    );
  }
  if (request.properties.length > 0 && request.delete_keys.length > 0) {
    throw invalidParameter(
      'alter database cannot modify properties and delete keys at the same time',
    );
  }
  const properties = toRecord(request.properties);
  checkDatabaseProperties(properties);
  await proxy.peers.rootcoord.alterDatabase(
    {
      name: request.db_name || 'default',
      properties,
      deleteKeys: request.delete_keys,
    },
    context,
  );
  return OK_STATUS;
}

export async function describeDatabase(
  proxy: Proxy,
  request: { db_name: string },
  context: RequestContext,
): Promise<object> {
  const database = await proxy.peers.rootcoord.describeDatabase(
    { name: request.db_name || 'default' },
    context,
  );
  return {
    status: OK_STATUS,
    db_name: database.name,
    dbID: String(database.dbId),
    created_timestamp: String(database.createdTimestamp),
    properties: toPairs(database.properties),
  };
}
