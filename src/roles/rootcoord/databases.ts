// Databases: create, alter, drop. The default database has id 1 and cannot be dropped.

import { KEYS } from '../../meta/catalog.ts';
import type { DatabaseInfo } from '../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import type { RootCoordState } from './state.ts';

export const DEFAULT_DATABASE = 'default';
const DEFAULT_DATABASE_ID = 1n;
/** Names and values of the properties of one database, collection or field. */
const PROPERTIES_BYTES_MAX = 256 * 1024;

type Properties = Readonly<Record<string, string>>;

export async function createDefaultDatabase(state: RootCoordState): Promise<void> {
  await putDatabase(state, {
    dbId: DEFAULT_DATABASE_ID,
    name: DEFAULT_DATABASE,
    createdTimestamp: await state.timestamps.allocate(1),
    properties: {},
  });
}

/** @throws MilvusError ParameterInvalid when it exists, DatabaseNumLimitExceeded */
export async function createDatabase(
  state: RootCoordState,
  request: { name: string; properties: Properties },
): Promise<void> {
  const { names, deps } = state;
  requireSize(request.properties);
  if (names.databases.has(request.name)) {
    throw new MilvusError('Unexpected', { message: `database already exist: ${request.name}` });
  }
  if (names.databases.size >= deps.limits.maxDatabaseNum) {
    throw new MilvusError('DatabaseNumLimitExceeded', {
      fields: { limit: deps.limits.maxDatabaseNum },
    });
  }
  await putDatabase(state, {
    dbId: await state.ids.allocate(1),
    name: request.name,
    createdTimestamp: await state.timestamps.allocate(1),
    properties: request.properties,
  });
}

export async function alterDatabase(
  state: RootCoordState,
  request: { name: string; properties: Properties; deleteKeys: readonly string[] },
): Promise<void> {
  const database = state.names.requireDatabase(request.name);
  await putDatabase(state, {
    ...database,
    properties: mergeProperties(database.properties, request.properties, request.deleteKeys),
  });
}

/** Dropping an absent database succeeds; one that has collections is refused. */
export async function dropDatabase(state: RootCoordState, name: string): Promise<void> {
  const { names, deps } = state;
  if (name === DEFAULT_DATABASE) throw invalidParameter('can not drop default database');
  const database = names.databases.get(name);
  if (database === undefined) return;
  if (names.list(name).length > 0) {
    throw new MilvusError('Unexpected', {
      message: `database:${name} not empty, must drop all collections before drop database`,
    });
  }
  await deps.catalog.write([{ key: KEYS.database(database.dbId), record: undefined }]);
  names.removeDatabase(name);
}

/**
 * Returns the properties with some set and some removed.
 * @throws MilvusError ParameterTooLarge
 */
export function mergeProperties(
  current: Properties,
  changes: Properties,
  deleteKeys: readonly string[],
): Properties {
  const merged: Record<string, string> = { ...current, ...changes };
  for (const key of deleteKeys) delete merged[key];
  requireSize(merged, current);
  return merged;
}

/**
 * Every change of what they belong to writes them, and they stay in memory.
 * @throws MilvusError ParameterTooLarge, unless they were larger before
 */
export function requireSize(properties: Properties, before: Properties = {}): void {
  const need = countBytes(properties);
  if (need <= PROPERTIES_BYTES_MAX || need <= countBytes(before)) return;
  throw new MilvusError('ParameterTooLarge', {
    message: 'properties are too large',
    fields: { need, limit: PROPERTIES_BYTES_MAX },
  });
}

function countBytes(properties: Properties): number {
  return Object.entries(properties).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
}

async function putDatabase(state: RootCoordState, database: DatabaseInfo): Promise<void> {
  await state.deps.catalog.write([{ key: KEYS.database(database.dbId), record: database }]);
  state.names.putDatabase(database);
}
