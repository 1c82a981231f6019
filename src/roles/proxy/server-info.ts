// What clients ask about the server itself.

import { OK_STATUS } from '../../rpc/status.ts';
import { getDbName, type Proxy, type RequestContext } from './proxy.ts';

/** Milvus' node id in a standalone. */
const NODE_ID = '1';
const HEALTHY = 1;

export async function connect(
  proxy: Proxy,
  _request: object,
  context: RequestContext,
): Promise<object> {
  // Clients learn here, not at their first request, that their database is not there.
  await proxy.peers.rootcoord.describeDatabase({ name: getDbName({}, context) }, context);
  const { first } = await proxy.peers.rootcoord.allocateTimestamps({ count: 1 }, context);
  const { version, buildTime } = proxy.deps;
  return {
    status: OK_STATUS,
    identifier: String(first),
    server_info: {
      build_tags: version,
      build_time: buildTime,
      git_commit: '',
      go_version: '',
      deploy_mode: 'STANDALONE',
      reserved: {},
    },
  };
}

export async function getVersion(proxy: Proxy): Promise<object> {
  return { status: OK_STATUS, version: proxy.deps.version };
}

export async function allocTimestamp(
  proxy: Proxy,
  _request: object,
  context: RequestContext,
): Promise<object> {
  const { first } = await proxy.peers.rootcoord.allocateTimestamps({ count: 1 }, context);
  return { status: OK_STATUS, timestamp: String(first) };
}

export async function checkHealth(): Promise<object> {
  return { status: OK_STATUS, isHealthy: true, reasons: [], quota_states: [] };
}

export async function getComponentStates(): Promise<object> {
  const state = { nodeID: NODE_ID, role: 'standalone', state_code: HEALTHY, extra_info: [] };
  return { status: OK_STATUS, state, subcomponent_states: [] };
}

/**
 * SDKs report usage to whom listens; an answer without commands tells them that nobody does more
 * with it.
 */
export async function clientHeartbeat(proxy: Proxy): Promise<object> {
  return { status: OK_STATUS, server_timestamp: String(proxy.deps.runtime.nowMs()), commands: [] };
}
