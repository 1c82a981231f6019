// All roles of a server in this process, on a temporary directory, without the client API: put
// together as in src/server.ts. `restart` drops every role and starts anew from WAL, metadata and
// files.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ByteBudget } from '../../src/base/byte-budget.ts';
import type { Runtime } from '../../src/base/clock.ts';
import { Health } from '../../src/base/health.ts';
import type { LogFields, Logger } from '../../src/base/logger.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { native } from '../../src/index/native.ts';
import { Catalog } from '../../src/meta/catalog.ts';
import type { Kv } from '../../src/meta/kv.ts';
import { startRoles } from '../../src/make-roles.ts';
import { createMemoryKv } from '../../src/meta/memory.ts';
import { namePchannel } from '../../src/model/channel-name.ts';
import { MilvusError } from '../../src/model/error.ts';
import { DataCoordRole } from '../../src/roles/datacoord/datacoord.ts';
import { DataNodeRole } from '../../src/roles/datanode/datanode.ts';
import { IndexCoordRole } from '../../src/roles/indexcoord/indexcoord.ts';
import { IndexNodeRole } from '../../src/roles/indexnode/indexnode.ts';
import { QueryCoordRole } from '../../src/roles/querycoord/querycoord.ts';
import { QueryNodeRole } from '../../src/roles/querynode/querynode.ts';
import { RootCoordRole } from '../../src/roles/rootcoord/rootcoord.ts';
import { StreamingNodeRole } from '../../src/roles/streamingnode/streamingnode.ts';
import { ROLE_NAMES } from '../../src/rpc/contract.ts';
import type { Peers, RoleName, StreamingNode } from '../../src/rpc/contract.ts';
import { grpcPeer, startRoleServer } from '../../src/rpc/grpc-roles.ts';
import { lazyPeer } from '../../src/rpc/local.ts';
import { ReadSlots } from '../../src/segment/read-slots.ts';
import { LocalDirStorage } from '../../src/storage/local-dir.ts';
import type { LocalObject } from '../../src/storage/object-storage.ts';
import { LocalLogStore } from '../../src/wal/local-store.ts';
import { MemoryLogStore } from '../../src/wal/memory-store.ts';
import type { LogStore, Wal } from '../../src/wal/wal.ts';

export interface SandboxOptions {
  /** Requests and replies between roles go through the wire's encoding. Default true. */
  readonly copy?: boolean;
  /** Calls between roles are gRPC calls over loopback. Default false. */
  readonly isGrpc?: boolean;
  /** In files, which are cut a file at a time, or in memory, which is cut exactly. Default file. */
  readonly wal?: 'file' | 'memory';
  /** Default 1. */
  readonly pchannelCount?: number;
  readonly mvccRetentionMs?: number;
  readonly segmentBytesMax?: number;
  readonly walBytesMax?: number;
  readonly growingBytesMax?: number;
  /** Default a day. */
  readonly growingLifeMsMax?: number;
  readonly buildBytesMax?: number;
  readonly isAutoCompactionOn?: boolean;
  /** 0 = never; other numbers are all the same here. */
  readonly scrubIntervalMs?: number;
  readonly nowMs?: () => number;
  /** What roles sleep and retry by, and when files are removed. Default the machine's. */
  readonly runtime?: Runtime;
  /** As `elanus.wal.acceptDamage`. Default false. */
  readonly isDamageAccepted?: boolean;
}

const MIB = 1024 * 1024;
/** Of logs in memory: nobody may rely on positions that rise by one. */
const POSITION_STEP = 3n;
const TEN_MINUTES_MS = 600_000;
const DAY_MS = 86_400_000;

type Stop = () => Promise<void>;

export class ClusterSandbox {
  /** What the roles logged as errors. */
  readonly errors: string[] = [];
  readonly peers: Peers;
  /**
   * Stands between roles and their peers, to hold calls up or fail them, by `role.method`; and
   * before metadata transactions, as `kv.transact`.
   */
  readonly hooks = new Map<string, (request: unknown) => Promise<void>>();
  /** The same after the call has been carried out: what fails here is an answer that was lost. */
  readonly afterHooks = new Map<string, (request: unknown) => Promise<void>>();
  /** Handles on local files that are open. */
  openHandles = 0;
  readonly #options: Required<SandboxOptions>;
  /** Where it keeps everything. */
  readonly folder: string;
  readonly #kv: Kv;
  readonly #memoryLogs = new MemoryLogStore(POSITION_STEP);
  /** By pchannel: the logs that have been opened last. */
  readonly wals = new Map<string, Wal>();
  health = new Health();
  #roles: Partial<Record<RoleName, object>> = {};
  /** What stands between a caller and the role when calls are gRPC calls. */
  #remotes: Partial<Record<RoleName, object>> = {};
  #stops: Stop[] = [];
  #makeStreamingnode!: () => StreamingNodeRole;

  private constructor(options: SandboxOptions, folder: string) {
    this.#options = {
      copy: true,
      isGrpc: false,
      wal: 'file',
      pchannelCount: 1,
      mvccRetentionMs: TEN_MINUTES_MS,
      segmentBytesMax: 64 * MIB,
      walBytesMax: 256 * MIB,
      growingBytesMax: 256 * MIB,
      growingLifeMsMax: DAY_MS,
      buildBytesMax: 256 * MIB,
      isAutoCompactionOn: false,
      scrubIntervalMs: 0,
      nowMs: (options.runtime ?? systemRuntime).nowMs.bind(options.runtime ?? systemRuntime),
      runtime: systemRuntime,
      isDamageAccepted: false,
      ...options,
    };
    this.folder = folder;
    this.#kv = createMemoryKv(this.#options.runtime);
    const transact = this.#kv.transact.bind(this.#kv);
    this.#kv.transact = async (transaction) => {
      await this.hooks.get('kv.transact')?.(transaction);
      const result = await transact(transaction);
      await this.afterHooks.get('kv.transact')?.(transaction);
      return result;
    };
    this.peers = this.#makePeers();
  }

  static async open(options: SandboxOptions = {}): Promise<ClusterSandbox> {
    const folder = await mkdtemp(join(tmpdir(), 'elanus-sandbox-'));
    const sandbox = new ClusterSandbox(options, folder);
    await sandbox.#start();
    return sandbox;
  }

  /** Stops every role and starts new ones. */
  async restart(more: Pick<SandboxOptions, 'isDamageAccepted'> = {}): Promise<void> {
    await this.#stop();
    await this.#start({ ...this.#options, ...more });
  }

  /** The keys of all records that are in the catalog and contain the text. */
  async listRecords(text: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#kv.range('')) if (key.includes(text)) keys.push(key);
    return keys;
  }

  /** Starts another streaming node over what this one owns, and returns the one that had it. */
  async takeOver(): Promise<StreamingNode> {
    const former = this.#roles.streamingnode as StreamingNodeRole;
    const next = this.#makeStreamingnode();
    this.#stops.push(() => next.stop());
    await next.start();
    this.#roles.streamingnode = next;
    // Tells it what is loaded.
    await (this.#roles.querycoord as QueryCoordRole).start();
    return former;
  }

  /** Memory of growing segments, as the streaming node counts it. */
  growingBytes(): number {
    return (this.#roles.streamingnode as StreamingNodeRole).getGrowingBytes();
  }

  /** The keys of all objects that are in the storage. */
  async listFiles(): Promise<string[]> {
    const root = join(this.folder, 'storage');
    const list = () => readdir(root, { recursive: true, withFileTypes: true });
    // A folder that goes meanwhile ends the walk.
    const entries = await list().catch(list).catch(list);
    const files = entries.filter((entry) => entry.isFile());
    return files.map(({ parentPath, name }) => relative(root, join(parentPath, name))).sort();
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.#kv.close();
    await rm(this.folder, { recursive: true });
  }

  #makePeers(): Peers {
    const { copy } = this.#options;
    const peers: Partial<Record<RoleName, object>> = {};
    for (const name of ROLE_NAMES) {
      const local = lazyPeer(() => this.#roles[name], { copy });
      const peer = lazyPeer(() => this.#remotes[name] ?? local);
      peers[name] = new Proxy(peer, {
        get: (target, method: string) => this.#withHook(name, method, Reflect.get(target, method)),
      });
    }
    return peers as Peers;
  }

  #withHook(name: RoleName, method: string, call: unknown): unknown {
    const before = this.hooks.get(`${name}.${method}`);
    const after = this.afterHooks.get(`${name}.${method}`);
    if ((before ?? after) === undefined || typeof call !== 'function') return call;
    return async (request: unknown, context: unknown) => {
      await before?.(request);
      const reply = await (call as (...given: unknown[]) => Promise<unknown>)(request, context);
      await after?.(request);
      return reply;
    };
  }

  /** That of the first pchannel, which is the only one unless there are to be more. */
  get wal(): Wal {
    return this.wals.get(namePchannel(0))!;
  }

  #makeLogs(): LogStore {
    const store = this.#options.wal === 'memory' ? this.#memoryLogs : this.#makeLocalLogs();
    return {
      open: async (pchannel, term) => {
        const wal = await store.open(pchannel, term);
        this.wals.set(pchannel, wal);
        return wal;
      },
    };
  }

  #makeLocalLogs(): LogStore {
    return new LocalLogStore({
      directory: join(this.folder, 'wal'),
      firstPchannel: namePchannel(0),
      fileSystem: new NodeFileSystem(),
      fileBytes: MIB,
      firstFileBytes: MIB,
      crc32c: (bytes, seed) => native.crc32c(bytes, seed),
    });
  }

  async #start(options = this.#options): Promise<void> {
    const { mvccRetentionMs, segmentBytesMax, isAutoCompactionOn, walBytesMax } = this.#options;
    const { nowMs, growingBytesMax, growingLifeMsMax, scrubIntervalMs } = this.#options;
    const runtime = withClock(this.#options.runtime, nowMs);
    const { peers } = this;
    const { isDamageAccepted } = options;
    const logger = new ErrorLogger(this.errors);
    const health = new Health();
    this.health = health;
    const catalog = new Catalog(this.#kv);
    await catalog.open();
    const fileSystem = new NodeFileSystem();
    const storage = await LocalDirStorage.open({
      root: join(this.folder, 'storage'),
      fileSystem,
      crc32c: (bytes, seed) => native.crc32c(bytes, seed),
    });
    const openLocal = storage.openLocal.bind(storage);
    storage.openLocal = async (key) => this.#count(await openLocal(key));
    const logs = this.#makeLogs();
    const pchannels = Array.from({ length: this.#options.pchannelCount }, (_, i) =>
      namePchannel(i),
    );
    const rootcoord = new RootCoordRole({
      catalog,
      peers,
      logger,
      runtime,
      health,
      onNameGone: () => undefined,
      limits: {
        maxDatabaseNum: 64,
        maxPartitionNum: 1024,
        maxGeneralCapacity: 65536,
        maxCollectionNum: 65536,
        maxCollectionNumPerDb: 65536,
        defaultPartitionName: '_default',
        pchannels,
      },
    });
    const datacoord = new DataCoordRole({
      catalog,
      storage,
      peers,
      logger,
      segmentBytesMax,
      isAutoCompactionOn,
      mvccRetentionMs,
      scrubIntervalMs,
      runtime,
    });
    const indexRowsMin = 1024;
    const coord = { catalog, peers, logger, runtime, health };
    const indexcoord = new IndexCoordRole({ ...coord, indexRowsMin });
    const querycoord = new QueryCoordRole({ catalog, peers });
    const reads = new ReadSlots(2, 1024);
    const querynode = new QueryNodeRole({ storage, peers, logger, runtime, reads });
    const buildMemory = new ByteBudget({
      bytesMax: this.#options.buildBytesMax,
      waitingMax: 64,
      waitMs: Infinity,
      sleep: systemRuntime.sleep,
      refuse: () => new MilvusError('TooManyRequests'),
    });
    const datanode = new DataNodeRole({ storage, buildMemory });
    const indexnode = new IndexNodeRole({ storage, buildMemory, nowMs, onBuilt: () => undefined });
    const makeStreamingnode = (): StreamingNodeRole =>
      new StreamingNodeRole({
        logs,
        pchannels,
        storage,
        peers,
        logger,
        runtime,
        health,
        isDamageAccepted,
        mvccRetentionMs,
        segmentBytesMax,
        walBytesMax,
        growingBytesMax,
        growingLifeMsMax,
        onRead: () => undefined,
        reads,
      });
    this.#makeStreamingnode = makeStreamingnode;
    const streamingnode = makeStreamingnode();
    const coordinators = { rootcoord, datacoord, indexcoord, querycoord };
    const roles = { ...coordinators, querynode, datanode, indexnode, streamingnode };
    this.#roles = roles;
    if (this.#options.isGrpc) await this.#connect();
    await startRoles(roles, this.#stops);
  }

  #count({ path, close }: LocalObject): LocalObject {
    this.openHandles += 1;
    let isOpen = true;
    return {
      path,
      close: () => {
        if (isOpen) this.openHandles -= 1;
        isOpen = false;
        close();
      },
    };
  }

  async #connect(): Promise<void> {
    const host = '127.0.0.1';
    const roles = this.#roles as Partial<Peers>;
    const onDefect = (name: string, error: unknown): void => {
      this.errors.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    };
    const server = await startRoleServer({ host, port: 0, roles, onDefect });
    this.#stops.push(async () => {
      await server.stop();
      this.#remotes = {};
    });
    for (const name of ROLE_NAMES) {
      const { peer, close } = grpcPeer(name, `${host}:${server.port}`);
      this.#remotes[name] = peer;
      this.#stops.push(async () => close());
    }
  }

  async #stop(): Promise<void> {
    for (const step of this.#stops.splice(0).reverse()) await step();
    this.#roles = {};
  }
}

export class ErrorLogger implements Logger {
  readonly #errors: string[];

  constructor(errors: string[]) {
    this.#errors = errors;
  }

  debug(): void {}

  info(): void {}

  warn(): void {}

  error(fields: LogFields, message: string): void {
    const { error } = fields;
    const reason = error instanceof Error ? `: ${error.stack ?? error.message}` : '';
    this.#errors.push(message + reason);
  }

  child(): Logger {
    return this;
  }
}

/** The same but for the wall clock. */
function withClock(runtime: Runtime, nowMs: () => number): Runtime {
  return {
    nowMs,
    monotonicMs: () => runtime.monotonicMs(),
    random: () => runtime.random(),
    sleep: (delayMs, signal) => runtime.sleep(delayMs, signal),
  };
}
