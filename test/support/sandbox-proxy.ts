// A proxy over the roles of a sandbox: the client API without a socket. Errors arrive as a client
// sees them.

import { join } from 'node:path';
import { whenCanceled } from '../../src/base/cancelable.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { createHandlers } from '../../src/roles/proxy/api/handlers.ts';
import { createProxy, type Proxy, type ProxyLimits } from '../../src/roles/proxy/proxy.ts';
import { Admission } from '../../src/rpc/admission.ts';
import type { ClientCall } from '../../src/rpc/client-call.ts';
import { MilvusProto } from '../../src/rpc/milvus-proto.ts';
import { toStatus } from '../../src/rpc/status.ts';
import { ErrorLogger, type ClusterSandbox } from './cluster-sandbox.ts';
import { MilvusClient } from './milvus-client.ts';

/** Milvus' defaults. */
const LIMITS: ProxyLimits = {
  maxNameLength: 255,
  maxFieldNum: 64,
  maxVectorFieldNum: 10,
  maxShardNum: 16,
  maxDimension: 32768,
  maxVarCharLength: 65535,
  maxArrayCapacity: 4096,
  maxCollectionDescriptionLength: 1024,
  maxIndexParamsSize: 102400,
  maxPartitionNum: 4096,
  mustUsePartitionKey: false,
  jsonMaxLength: 65536,
  topK: 16384,
  nq: 16384,
  maxQueryResultWindow: 16384,
  maxResultEntries: -1,
  maxOutputSize: 100 * 1024 * 1024,
  maxInsertSize: -1,
};

/** What ends a call is given to it here, because a test's client cannot. */
export interface ProxyOptions {
  readonly limits?: Partial<ProxyLimits>;
  readonly signal?: AbortSignal;
}

/** The proxy as its verbs see it: for tests that call them with plain values. */
export function makeProxy(sandbox: ClusterSandbox, options: ProxyOptions = {}): Proxy {
  return createProxy({
    peers: sandbox.peers,
    logger: new ErrorLogger(sandbox.errors),
    limits: { ...LIMITS, ...options.limits },
    defaultPartitionName: '_default',
    version: 'v2.6.17',
    buildTime: '',
    health: sandbox.health,
    runtime: systemRuntime,
  });
}

/** A call that has been let in; `end` gives back what it holds. */
export function openCall(signal = new AbortController().signal): ClientCall & { end(): void } {
  const admission = new Admission({
    bytesMax: 1024 * 1024 * 1024,
    callsMax: 1024,
    sleep: systemRuntime.sleep,
  });
  const cost = { kind: 'other', copies: 0 } as const;
  const { call: memory } = admission.enter(cost, 0, admission.makeShare());
  return {
    dbName: '',
    signal,
    onCancel: (listener) => whenCanceled({ signal }, listener),
    memory,
    facts: { collection: undefined, units: 0 },
    end: () => memory.end(),
  };
}

export function openProxy(sandbox: ClusterSandbox, options: ProxyOptions = {}): MilvusClient {
  const proto = MilvusProto.load(join('dist', 'proto', 'milvus.json'));
  const handlers = createHandlers(makeProxy(sandbox, options), proto);
  return new MilvusClient(async (method, message) => {
    const handler = handlers.get(method)!;
    const call = openCall(options.signal);
    try {
      return await handler.run(message, call);
    } catch (error) {
      return handler.encodeError(toStatus(error), error);
    } finally {
      call.end();
    }
  });
}
