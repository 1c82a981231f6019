// A proxy over the roles of a sandbox: the client API without a socket. Errors arrive as a client
// sees them.

import { join } from 'node:path';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { createHandlers } from '../../src/roles/proxy/api/handlers.ts';
import { createProxy, type ProxyLimits } from '../../src/roles/proxy/proxy.ts';
import { Admission } from '../../src/rpc/admission.ts';
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

export function openProxy(sandbox: ClusterSandbox, options: ProxyOptions = {}): MilvusClient {
  const proto = MilvusProto.load(join('dist', 'proto', 'milvus.json'));
  const proxy = createProxy({
    peers: sandbox.peers,
    logger: new ErrorLogger(sandbox.errors),
    limits: { ...LIMITS, ...options.limits },
    defaultPartitionName: '_default',
    version: 'v2.6.17',
    buildTime: '',
    health: sandbox.health,
    runtime: systemRuntime,
    decodeMessage: (typeName, bytes) => proto.decodeMessage(typeName, bytes),
  });
  const handlers = createHandlers(proxy, proto.methods);
  const { signal } = options;
  const admission = new Admission({
    bytesMax: 1024 * 1024 * 1024,
    callsMax: 1024,
    sleep: systemRuntime.sleep,
  });
  const share = admission.makeShare();
  return new MilvusClient(async (method, message) => {
    const handler = handlers.get(method)!;
    const { call } = admission.enter({ kind: 'other', copies: 0 }, message.byteLength, share);
    const context = { dbName: '', memory: call, ...(signal === undefined ? {} : { signal }) };
    try {
      return await handler.run(message, context);
    } catch (error) {
      return handler.encodeError(toStatus(error), error);
    } finally {
      call.end();
    }
  });
}
