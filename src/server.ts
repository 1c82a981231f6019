// The composition root: makes adapters, starts roles in order, stops them in reverse. The only file
// that knows which adapter stands behind a seam.

import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FileSystem } from './base/file-system.ts';
import { Health } from './base/health.ts';
import type { Logger } from './base/logger.ts';
import { NodeFileSystem } from './base/node-file-system.ts';
import { createPinoLogger } from './base/pino-logger.ts';
import { systemRuntime } from './base/system-runtime.ts';
import type { Config } from './config.ts';
import { native } from './index/native.ts';
import { MemoryReturn } from './memory-return.ts';
import { Catalog } from './meta/catalog.ts';
import type { Kv } from './meta/kv.ts';
import { openLmdbKv } from './meta/lmdb.ts';
import { MilvusError } from './model/error.ts';
import {
  addToRoleSet,
  makeDirectory,
  makeSystem,
  PCHANNELS,
  readRoleSettings,
  startRoles,
  type NodePlan,
} from './make-roles.ts';
import { RoleSet } from './role-set.ts';
import { createHandlers } from './roles/proxy/api/handlers.ts';
import { createProxy, type ProxyLimits } from './roles/proxy/proxy.ts';
import type { Peers } from './rpc/contract.ts';
import { Admission } from './rpc/admission.ts';
import { MilvusServer } from './rpc/grpc-milvus.ts';
import { MilvusProto } from './rpc/milvus-proto.ts';
import { ServerMetrics } from './server-metrics.ts';
import { LocalDirStorage } from './storage/local-dir.ts';
import { LocalLogStore } from './wal/local-store.ts';

export interface RunningServer {
  readonly port: number;
  readonly metricsPort: number;
  readonly banner: string;
  readonly logger: Logger;
  stop(): Promise<void>;
}

/** What GetVersion answers: our level of the protocol first, because SDKs read numbers from it. */
const PROTOCOL_VERSION = '2.6.17';
const STOP_GRACE_MS = 10_000;
/** A standalone server is one node. */
const NODE_ID = 1;
const crc32c = (bytes: Uint8Array, seed: number): number => native.crc32c(bytes, seed);

/**
 * What a test puts in the place of the machine's own; the server closes the store when it stops.
 */
export interface Seams {
  readonly fileSystem?: FileSystem;
  readonly kv?: Kv;
  readonly logger?: Logger;
}

/** @throws MilvusError, ConfigError when it cannot start; whatever was opened is closed again */
export async function startServer(config: Config, seams: Seams = {}): Promise<RunningServer> {
  const stops: (() => Promise<void>)[] = [];
  const stop = (): Promise<void> => runAll(stops.splice(0).reverse());
  try {
    return await start(config, seams, stops, stop);
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}

let areThreadsConfigured = false;

/** The pool is the process's: a later server in the same process gets the first one's threads. */
function configureThreadsOnce(config: Config): void {
  if (areThreadsConfigured) return;
  native.configureThreads(config['elanus.threads.search'], config['elanus.threads.build']);
  areThreadsConfigured = true;
}

/** Runs every step, also after one that fails, and throws the first failure. */
async function runAll(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

async function start(
  config: Config,
  seams: Seams,
  stops: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<RunningServer> {
  const root = findRoot();
  const version = readVersion(root);
  const dataPath = config['localStorage.path'];
  const logger = seams.logger ?? createPinoLogger({
    level: config['log.level'],
    format: config['log.format'],
  });
  await mkdir(dataPath, { recursive: true });
  const lock = lockDataDirectory(dataPath);
  stops.push(async () => native.unlockFile(lock));
  configureThreadsOnce(config);

  const health = new Health();
  const metrics = new ServerMetrics(version, health);
  // Before anything that takes time: probes are answered while the server starts and while it
  // stops.
  const ip = config['proxy.ip'];
  const metricsPort = await metrics.listen(ip, config['elanus.metrics.port'], logger);
  stops.push(() => metrics.close());

  const { catalog, storage, logs } = await openStores(config, seams, { health, stops });
  const plans: NodePlan[] = [{ nodeId: NODE_ID, pchannels: PCHANNELS, hasQueryNode: true }];
  const directory = makeDirectory(plans);
  const roleSet = new RoleSet({
    ...{ directory, runtime: systemRuntime },
    onDefect: (method, error) => logger.error({ method, error }, 'defect in a role'),
  });
  const { peers } = roleSet;
  const parts = {
    ...{ catalog, storage, logs, peers, directory, logger, health },
    runtime: systemRuntime,
    onNameGone: metrics.forget,
    onBuilt: metrics.observeBuild,
    onRead: metrics.observeRead,
  };
  const system = makeSystem(readRoleSettings(config), parts, plans);
  addToRoleSet(roleSet, system);
  if (config['elanus.grpcBetweenRoles']) stops.push(await roleSet.connectByGrpc());
  await startRoles(system, stops);
  metrics.watch(system);
  const admission = makeAdmission(config);
  const server = buildClientApi(config, { root, peers, logger, health, metrics, admission });
  const memoryReturn = returnMemory([
    () => admission.messages.released + admission.replies.released,
    ...system.nodes.flatMap(({ streamingnode, querynode }) => [
      () => streamingnode?.getReleasedBytes() ?? 0,
      () => querynode?.getReleasedBytes() ?? 0,
    ]),
    () => system.buildMemory.released,
  ]);
  stops.push(() => memoryReturn.stop());
  const port = await server.listen(ip, config['proxy.port']);
  stops.push(() => server.stop(STOP_GRACE_MS));
  health.enter('serving');
  stops.push(async () => health.enter('stopping'));
  const banner = makeBanner({ version, host: ip, port, metricsPort, dataPath });
  return { port, metricsPort, banner, logger, stop };
}

function makeAdmission(config: Config): Admission {
  return new Admission({
    bytesMax: config['elanus.requestBytesMax'],
    callsMax: config['proxy.maxTaskNum'],
    sleep: (delayMs, signal) => systemRuntime.sleep(delayMs, signal),
  });
}

function returnMemory(sources: readonly (() => number)[]): MemoryReturn {
  return new MemoryReturn({
    sources,
    hintGarbage: () => native.hintGarbage(),
    trim: () => native.trimMemory(),
    sleep: (delayMs, signal) => systemRuntime.sleep(delayMs, signal),
  });
}

/** The proxy and its server, which does not listen yet. */
function buildClientApi(
  config: Config,
  parts: {
    readonly root: string;
    readonly peers: Peers;
    readonly logger: Logger;
    readonly health: Health;
    readonly metrics: ServerMetrics;
    readonly admission: Admission;
  },
): MilvusServer {
  const { root, peers, logger, health, metrics, admission } = parts;
  const { nowMs, monotonicMs } = systemRuntime;
  const proto = MilvusProto.load(join(root, 'dist', 'proto', 'milvus.json'));
  const proxy = createProxy({
    peers,
    logger: logger.child({ role: 'proxy' }),
    limits: readLimits(config),
    defaultPartitionName: config['common.defaultPartitionName'],
    version: `v${PROTOCOL_VERSION}`,
    buildTime: new Date(nowMs()).toISOString(),
    runtime: systemRuntime,
    health,
  });
  return new MilvusServer({
    proto,
    handlers: createHandlers(proxy, proto),
    receiveBytesMax: config['proxy.grpc.serverMaxRecvSize'],
    sendBytesMax: config['proxy.grpc.serverMaxSendSize'],
    admission,
    observe: metrics.observeRpc,
    nowMs: monotonicMs,
    onDefect: (rpc, error) => logger.error({ rpc, error }, 'defect in a handler'),
  });
}

interface Stores {
  readonly catalog: Catalog;
  readonly storage: LocalDirStorage;
  readonly logs: LocalLogStore;
}

/** Opens what is on the disk. @throws MilvusError when the metadata or a folder is unusable */
async function openStores(
  config: Config,
  seams: Seams,
  { health, stops }: { health: Health; stops: (() => Promise<void>)[] },
): Promise<Stores> {
  const dataPath = config['localStorage.path'];
  const fileSystem = seams.fileSystem ?? new NodeFileSystem();
  const watch = (component: string, subject: string) => (error: MilvusError | undefined) => {
    if (error === undefined) health.clear(component, subject);
    else health.report(component, subject, `${subject} fails: ${error.message}`);
  };
  const kv =
    seams.kv ??
    (await openLmdbKv({
      folder: join(dataPath, 'meta'),
      runtime: systemRuntime,
      crc32c,
      onFailure: watch('rootcoord', 'writing metadata'),
    }));
  stops.push(() => kv.close());
  const catalog = new Catalog(kv, join(dataPath, 'meta'));
  if (await catalog.isNew()) await requireNoData(fileSystem, dataPath);
  await catalog.open();
  const root = join(dataPath, 'storage');
  const storage = await LocalDirStorage.open({ root, fileSystem, crc32c });
  const logs = new LocalLogStore({
    directory: join(dataPath, 'wal'),
    firstPchannel: PCHANNELS[0],
    fileSystem,
    fileBytes: config['elanus.wal.fileBytes'],
    crc32c,
    onFailure: watch('streamingnode', 'writing the write-ahead log'),
  });
  return { catalog, storage, logs };
}

function lockDataDirectory(path: string): number {
  try {
    return native.lockFile(join(path, 'LOCK'));
  } catch (error) {
    throw new MilvusError('ServiceUnavailable', {
      message:
        `the data directory ${path} is in use by another process ` +
        `(${(error as Error).message})`,
    });
  }
}

/**
 * Without metadata nothing says what the files of a directory are: a start would take all of them
 * for left over and remove them.
 */
async function requireNoData(fileSystem: FileSystem, dataPath: string): Promise<void> {
  for (const folder of ['wal', 'storage/segments', 'storage/deletes', 'storage/indexes']) {
    const path = join(dataPath, folder);
    if ((await fileSystem.stat(path)) === undefined) continue;
    const [found] = await fileSystem.readDirectory(path);
    if (found === undefined) continue;
    throw new MilvusError('DataIntegrity', {
      message: 'the metadata store is missing or empty, but there is data',
      fields: {
        folder: join(dataPath, 'meta'),
        found: join(path, found.name),
        remedy: 'put meta/ back, from a backup, or begin in another directory; nothing was changed',
      },
    });
  }
}

function readLimits(config: Config): ProxyLimits {
  return {
    maxNameLength: config['proxy.maxNameLength'],
    maxFieldNum: config['proxy.maxFieldNum'],
    maxVectorFieldNum: config['proxy.maxVectorFieldNum'],
    maxShardNum: config['proxy.maxShardNum'],
    maxDimension: config['proxy.maxDimension'],
    maxVarCharLength: config['proxy.maxVarCharLength'],
    maxArrayCapacity: config['proxy.maxArrayCapacity'],
    maxCollectionDescriptionLength: config['proxy.maxCollectionDescriptionLength'],
    maxIndexParamsSize: config['proxy.maxIndexParamsSize'],
    maxPartitionNum: config['rootCoord.maxPartitionNum'],
    mustUsePartitionKey: config['proxy.mustUsePartitionKey'],
    jsonMaxLength: config['common.JSONMaxLength'],
    topK: config['quotaAndLimits.limits.topK'],
    nq: config['quotaAndLimits.limits.nq'],
    maxResultEntries: config['proxy.maxResultEntries'],
    maxQueryResultWindow: config['quotaAndLimits.limits.maxQueryResultWindow'],
    maxOutputSize: config['quotaAndLimits.limits.maxOutputSize'],
    maxInsertSize: config['quotaAndLimits.limits.maxInsertSize'],
  };
}

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('elanus: cannot find the folder that it was built in');
    folder = parent;
  }
  return folder;
}

function readVersion(root: string): string {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function makeBanner(facts: {
  version: string;
  host: string;
  port: number;
  metricsPort: number;
  dataPath: string;
}): string {
  const { version, host, port, metricsPort, dataPath } = facts;
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return [
    `Elanus ${version} is ready (Milvus protocol ${PROTOCOL_VERSION}, kernels ` +
      `${native.kernelSet()})`,
    `  gRPC     ${host}:${port}`,
    `  metrics  http://${shown}:${metricsPort}/metrics`,
    `  data     ${dataPath}`,
    '  Python   from pymilvus import MilvusClient; client = ' +
      `MilvusClient("http://${shown}:${port}")`,
  ].join('\n');
}
