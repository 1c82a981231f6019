// What clients ask about the server itself.

import {
  listComponents,
  PROBLEMS_LISTED_MAX,
  type ComponentHealth,
} from '../../../rpc/component-health.ts';
import type { Proxy, RequestContext } from '../proxy.ts';

interface Connection {
  /** Of this connection, and of no other. */
  readonly identifier: bigint;
  readonly version: string;
  readonly buildTime: string;
}

export async function connect(
  proxy: Proxy,
  input: object,
  context: RequestContext,
): Promise<Connection> {
  // Clients learn here, not at their first request, that their database is not there.
  await proxy.peers.rootcoord.describeDatabase({ name: context.dbName }, context);
  const identifier = await allocateTimestamp(proxy, input, context);
  const { version, buildTime } = proxy.deps;
  return { identifier, version, buildTime };
}

export async function getVersion(proxy: Proxy): Promise<string> {
  return proxy.deps.version;
}

export async function allocateTimestamp(
  proxy: Proxy,
  _input: object,
  context: RequestContext,
): Promise<bigint> {
  return (await proxy.peers.rootcoord.allocateTimestamps({ count: 1 }, context)).first;
}

/** Whatever is wrong, also while everything else serves; nothing = the server is healthy. */
export async function listProblems(proxy: Proxy): Promise<readonly string[]> {
  const { health } = proxy.deps;
  const reasons = health
    .list(PROBLEMS_LISTED_MAX)
    .map(({ component, reason }) => `${component}: ${reason}`);
  return health.phase === 'serving' ? reasons : [`the server is ${health.phase}`, ...reasons];
}

export async function listComponentStates(proxy: Proxy): Promise<readonly ComponentHealth[]> {
  return listComponents(proxy.deps.health);
}

export async function getTimeMs(proxy: Proxy): Promise<number> {
  return proxy.deps.runtime.nowMs();
}
