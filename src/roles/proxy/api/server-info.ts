// What clients ask about the server itself.

import { listComponents, PROBLEMS_LISTED_MAX } from '../../../rpc/component-health.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { getDbName, type Proxy, type RequestContext } from '../proxy.ts';

/** Milvus' node id in a standalone. */
const NODE_ID = '1';

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

/** Unhealthy as soon as anything is wrong, also while everything else serves. */
export async function checkHealth(proxy: Proxy): Promise<object> {
  const { health } = proxy.deps;
  const reasons = health
    .list(PROBLEMS_LISTED_MAX)
    .map(({ component, reason }) => `${component}: ${reason}`);
  if (health.phase !== 'serving') reasons.unshift(`the server is ${health.phase}`);
  return { status: OK_STATUS, isHealthy: reasons.length === 0, reasons, quota_states: [] };
}

export async function getComponentStates(proxy: Proxy): Promise<object> {
  const components = listComponents(proxy.deps.health).map(({ name, code, reasons = [] }) => ({
    nodeID: NODE_ID,
    role: name,
    state_code: code,
    extra_info: reasons.map((value) => ({ key: 'reason', value })),
  }));
  const { state_code } = components[0]!;
  const state = { nodeID: NODE_ID, role: 'standalone', state_code, extra_info: [] };
  return { status: OK_STATUS, state, subcomponent_states: components };
}

/**
 * SDKs report usage to whom listens; an answer without commands tells them that nobody does more
 * with it.
 */
export async function clientHeartbeat(proxy: Proxy): Promise<object> {
  return { status: OK_STATUS, server_timestamp: String(proxy.deps.runtime.nowMs()), commands: [] };
}
