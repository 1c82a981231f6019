// Aliases as clients ask for them.

import { OK_STATUS } from '../../../rpc/status.ts';
import { checkName } from '../names.ts';
import { getDbName, type Proxy, type RequestContext } from '../proxy.ts';

interface Named {
  readonly db_name: string;
  readonly collection_name: string;
}

type AliasRequest = Named & { alias: string };

function checkAlias(proxy: Proxy, alias: string): void {
  checkName('alias', alias, proxy.deps.limits.maxNameLength);
}

export async function createAlias(
  proxy: Proxy,
  request: AliasRequest,
  context: RequestContext,
): Promise<object> {
  checkAlias(proxy, request.alias);
  checkName('collection', request.collection_name, proxy.deps.limits.maxNameLength);
  const dbName = getDbName(request, context);
  await proxy.peers.rootcoord.createAlias(
    { dbName, alias: request.alias, collectionName: request.collection_name },
    context,
  );
  return OK_STATUS;
}

export async function alterAlias(
  proxy: Proxy,
  request: AliasRequest,
  context: RequestContext,
): Promise<object> {
  checkAlias(proxy, request.alias);
  checkName('collection', request.collection_name, proxy.deps.limits.maxNameLength);
  const dbName = getDbName(request, context);
  await proxy.peers.rootcoord.alterAlias(
    { dbName, alias: request.alias, collectionName: request.collection_name },
    context,
  );
  return OK_STATUS;
}

export async function dropAlias(
  proxy: Proxy,
  request: AliasRequest,
  context: RequestContext,
): Promise<object> {
  checkAlias(proxy, request.alias);
  await proxy.peers.rootcoord.dropAlias(
    { dbName: getDbName(request, context), alias: request.alias },
    context,
  );
  return OK_STATUS;
}

export async function describeAlias(
  proxy: Proxy,
  request: AliasRequest,
  context: RequestContext,
): Promise<object> {
  checkAlias(proxy, request.alias);
  const dbName = getDbName(request, context);
  const { collectionName } = await proxy.peers.rootcoord.describeAlias(
    { dbName, alias: request.alias },
    context,
  );
  return { status: OK_STATUS, db_name: dbName, alias: request.alias, collection: collectionName };
}

export async function listAliases(
  proxy: Proxy,
  request: Named,
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const collectionName = request.collection_name;
  if (collectionName !== '')
    checkName('collection', collectionName, proxy.deps.limits.maxNameLength);
  const listed = await proxy.peers.rootcoord.listAliases({ dbName, collectionName }, context);
  return {
    status: OK_STATUS,
    db_name: dbName,
    collection_name: listed.collectionName,
    aliases: listed.aliases,
  };
}
