// Databases as clients ask for them.

import type { DatabaseInfo } from '../../../model/collection-info.ts';
import { invalidParameter } from '../../../model/error.ts';
import { checkName } from '../names.ts';
import type { Options } from '../options.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { checkDatabaseProperties } from './properties.ts';

interface Named {
  readonly name: string;
}

export async function createDatabase(
  proxy: Proxy,
  { name, properties }: Named & { readonly properties: Options },
  context: RequestContext,
): Promise<void> {
  checkName('database', name, proxy.deps.limits.maxNameLength);
  checkDatabaseProperties(properties);
  await proxy.peers.rootcoord.createDatabase({ name, properties }, context);
}

export async function dropDatabase(
  proxy: Proxy,
  { name }: Named,
  context: RequestContext,
): Promise<void> {
  checkName('database', name, proxy.deps.limits.maxNameLength);
  await proxy.peers.rootcoord.dropDatabase({ name }, context);
}

export async function listDatabases(
  proxy: Proxy,
  _input: object,
  context: RequestContext,
): Promise<readonly DatabaseInfo[]> {
  return (await proxy.peers.rootcoord.listDatabases({}, context)).databases;
}

export async function alterDatabase(
  proxy: Proxy,
  input: Named & { readonly properties: Options; readonly deleteKeys: readonly string[] },
  context: RequestContext,
): Promise<void> {
  const { properties, deleteKeys } = input;
  const isSetting = Object.keys(properties).length > 0;
  if (!isSetting && deleteKeys.length === 0) {
    throw invalidParameter(
      'alter database with empty properties and delete keys, expected to set either properties ' +
        'or delete keys',
    );
  }
  if (isSetting && deleteKeys.length > 0) {
    throw invalidParameter(
      'alter database cannot modify properties and delete keys at the same time',
    );
  }
  checkDatabaseProperties(properties);
  await proxy.peers.rootcoord.alterDatabase(input, context);
}

export async function describeDatabase(
  proxy: Proxy,
  { name }: Named,
  context: RequestContext,
): Promise<DatabaseInfo> {
  return proxy.peers.rootcoord.describeDatabase({ name }, context);
}
