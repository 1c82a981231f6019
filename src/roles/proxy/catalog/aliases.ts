// Aliases as clients ask for them.

import { checkName } from '../names.ts';
import type { Proxy, RequestContext } from '../proxy.ts';

interface AliasInput {
  readonly alias: string;
  readonly collectionName: string;
}

function checkAlias(proxy: Proxy, alias: string): void {
  checkName('alias', alias, proxy.deps.limits.maxNameLength);
}

export async function createAlias(
  proxy: Proxy,
  { alias, collectionName }: AliasInput,
  context: RequestContext,
): Promise<void> {
  checkAlias(proxy, alias);
  checkName('collection', collectionName, proxy.deps.limits.maxNameLength);
  const { dbName } = context;
  await proxy.peers.rootcoord.createAlias({ dbName, alias, collectionName }, context);
}

export async function alterAlias(
  proxy: Proxy,
  { alias, collectionName }: AliasInput,
  context: RequestContext,
): Promise<void> {
  checkAlias(proxy, alias);
  checkName('collection', collectionName, proxy.deps.limits.maxNameLength);
  const { dbName } = context;
  await proxy.peers.rootcoord.alterAlias({ dbName, alias, collectionName }, context);
}

export async function dropAlias(
  proxy: Proxy,
  { alias }: Pick<AliasInput, 'alias'>,
  context: RequestContext,
): Promise<void> {
  checkAlias(proxy, alias);
  await proxy.peers.rootcoord.dropAlias({ dbName: context.dbName, alias }, context);
}

export async function describeAlias(
  proxy: Proxy,
  { alias }: Pick<AliasInput, 'alias'>,
  context: RequestContext,
): Promise<AliasInput> {
  checkAlias(proxy, alias);
  const { dbName } = context;
  const { collectionName } = await proxy.peers.rootcoord.describeAlias({ dbName, alias }, context);
  return { alias, collectionName };
}

/** Of one collection, or of all where none is named. */
export async function listAliases(
  proxy: Proxy,
  { collectionName }: Pick<AliasInput, 'collectionName'>,
  context: RequestContext,
): Promise<{ collectionName: string; aliases: readonly string[] }> {
  if (collectionName !== '')
    checkName('collection', collectionName, proxy.deps.limits.maxNameLength);
  const { dbName } = context;
  return proxy.peers.rootcoord.listAliases({ dbName, collectionName }, context);
}
