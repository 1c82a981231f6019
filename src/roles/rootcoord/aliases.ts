// Aliases: second names of collections, unique in their database among names and aliases.

import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { KEYS } from '../../meta/catalog.ts';
import { putCollection } from './collections.ts';
import type { RootCoordState } from './state.ts';

interface AliasTarget {
  readonly dbName: string;
  readonly alias: string;
  readonly collectionName: string;
}

export async function createAlias(state: RootCoordState, request: AliasTarget): Promise<void> {
  const { dbName, alias, collectionName } = request;
  const { names } = state;
  const target = requireTarget(state, request);
  const holder = names.find(dbName, alias);
  if (holder?.schema.name === alias) throw nameConflict(dbName, alias);
  if (holder !== undefined) {
    if (holder.collectionId === target.collectionId) return;
    throw new MilvusError('AliasAlreadyExist', {
      message:
        `${alias} is alias to another collection: ${holder.schema.name}: alias already ` + 'exist',
      fields: { database: dbName, alias, collection: collectionName },
    });
  }
  await putCollection(state, { ...target, aliases: [...target.aliases, alias] });
}

export async function alterAlias(state: RootCoordState, request: AliasTarget): Promise<void> {
  const { dbName, alias } = request;
  const { names, deps } = state;
  const target = requireTarget(state, request);
  const holder = names.find(dbName, alias);
  if (holder === undefined) throw aliasNotFound(dbName, alias);
  if (holder.schema.name === alias) throw nameConflict(dbName, alias);
  if (holder.collectionId === target.collectionId) return;
  const before = withoutAlias(holder, alias);
  const after = { ...target, aliases: [...target.aliases, alias] };
  await deps.catalog.write([
    { key: KEYS.collection(before.collectionId), record: before },
    { key: KEYS.collection(after.collectionId), record: after },
  ]);
  names.put(before);
  names.put(after);
}

/** Dropping an absent alias succeeds; a collection's own name is refused. */
export async function dropAlias(
  state: RootCoordState,
  { dbName, alias }: { dbName: string; alias: string },
): Promise<void> {
  state.names.requireDatabase(dbName);
  const holder = state.names.find(dbName, alias);
  if (holder === undefined || holder.schema.name === alias) return;
  await putCollection(state, withoutAlias(holder, alias));
}

export function describeAlias(
  state: RootCoordState,
  { dbName, alias }: { dbName: string; alias: string },
): { collectionName: string } {
  state.names.requireDatabase(dbName);
  const holder = state.names.find(dbName, alias);
  if (holder === undefined || holder.schema.name === alias) throw aliasNotFound(dbName, alias);
  return { collectionName: holder.schema.name };
}

export function listAliases(
  state: RootCoordState,
  { dbName, collectionName }: { dbName: string; collectionName?: string },
): { aliases: readonly string[]; collectionName: string } {
  if (collectionName !== undefined && collectionName !== '') {
    const info = state.names.require(dbName, collectionName);
    return { aliases: info.aliases, collectionName: info.schema.name };
  }
  state.names.requireDatabase(dbName);
  const aliases = state.names.list(dbName).flatMap((info) => info.aliases);
  return { aliases, collectionName: '' };
}

function requireTarget(
  { names }: RootCoordState,
  { dbName, alias, collectionName }: AliasTarget,
): CollectionInfo {
  names.requireDatabase(dbName);
  const target = names.find(dbName, collectionName);
  if (target === undefined) {
    throw new MilvusError('CollectionNotFound', {
      fields: { database: dbName, collection: collectionName },
    });
  }
  if (target.schema.name !== collectionName) {
    throw new MilvusError('CollectionNotFound', {
      message: `alias ${alias} cannot point to another alias: collection not found`,
      fields: { database: dbName, collection: collectionName },
    });
  }
  return target;
}

function withoutAlias(info: CollectionInfo, alias: string): CollectionInfo {
  return { ...info, aliases: info.aliases.filter((other) => other !== alias) };
}

function aliasNotFound(database: string, alias: string): MilvusError {
  return new MilvusError('AliasNotFound', { fields: { database, alias } });
}

function nameConflict(database: string, alias: string): MilvusError {
  return new MilvusError('AliasCollectionNameConflict', { fields: { database, alias } });
}
