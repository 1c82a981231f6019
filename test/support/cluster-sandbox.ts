// All roles of a system in this process, on a temporary directory, without the client API: made as
// in src/server.ts, as one node or as several streaming nodes, each with a log of its own, and
// several query nodes. `restart` drops every role and starts anew from WAL, metadata and files.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Runtime } from '../../src/base/clock.ts';
import { Health } from '../../src/base/health.ts';
import type { LogFields, Logger } from '../../src/base/logger.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { native } from '../../src/index/native.ts';
import { Catalog } from '../../src/meta/catalog.ts';
import type { Kv } from '../../src/meta/kv.ts';
import {
  addToRoleSet,
  makeDirectory,
  makeNode,
  makeSystem,
  startRoles,
  type NodePlan,
  type RoleSettings,
  type System,
} from '../../src/make-roles.ts';
import { namePchannel } from '../../src/model/channel-name.ts';
import { createMemoryKv } from '../../src/meta/memory.ts';
import { RoleSet } from '../../src/role-set.ts';
import type { StreamingNodeRole } from '../../src/roles/streamingnode/streamingnode.ts';
import type { Peers, RoleName } from '../../src/rpc/contract.ts';
import { LocalDirStorage } from '../../src/storage/local-dir.ts';
import type { LocalObject } from '../../src/storage/object-storage.ts';
import { LocalLogStore } from '../../src/wal/local-store.ts';
import { MemoryLogStore } from '../../src/wal/memory-store.ts';
import type { LogStore, Wal } from '../../src/wal/wal.ts';

export interface SandboxOptions {
  /** Requests and replies between roles go through the wire's encoding. Default true. */
  readonly copy?: boolean;
  /** Calls between roles are gRPC calls over loopback. Default false, see VARIANT. */
  readonly isGrpc?: boolean;
  /** Default 1, or as many as there are streaming nodes. */
  readonly pchannelCount?: number;
  /** Each with pchannels of its own. Default 1, one node with the query node; see VARIANT. */
  readonly streamingNodes?: number;
  readonly queryNodes?: number;
  /** In files, which are cut a file at a time, or in memory, which is cut exactly. Default file. */
  readonly wal?: 'file' | 'memory';
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

/** `nodes` = two streaming nodes and two query nodes, `grpc` = joined by gRPC; or both. */
const VARIANT = process.env['ELANUS_TEST_SANDBOX'] ?? '';
const NODES = VARIANT.includes('nodes') ? 2 : 1;
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
  #roleSet: RoleSet | undefined;
  #system: System | undefined;
  /** Makes another streaming node for what the first one owns. */
  #makeSuccessor!: () => StreamingNodeRole;
  #stops: Stop[] = [];

  private constructor(options: SandboxOptions, folder: string) {
    this.#options = {
      copy: true,
      isGrpc: VARIANT.includes('grpc'),
      pchannelCount: 1,
      streamingNodes: NODES,
      queryNodes: NODES,
      wal: 'file',
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
  async restart(
    more: Pick<SandboxOptions, 'isDamageAccepted'> = {},
    whileStopped: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    await this.#stop();
    await whileStopped();
    await this.#start({ ...this.#options, ...more });
  }

  /** Starts another streaming node over what the first one owns, and returns that one. */
  async takeOver(): Promise<StreamingNodeRole> {
    const { nodeId, streamingnode } = this.#system!.nodes[0]!;
    const successor = this.#makeSuccessor();
    this.#stops.push(() => successor.stop());
    await successor.start();
    this.#roleSet!.add(nodeId, { streamingnode: successor });
    // Tells it what is loaded.
    await this.#system!.coordinators.querycoord.start();
    return streamingnode!;
  }

  /** The keys of all records that are in the catalog and contain the text. */
  async listRecords(text: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#kv.range('')) if (key.includes(text)) keys.push(key);
    return keys;
  }

  /** Memory of growing segments, as the streaming node counts it. */
  growingBytes(): number {
    const nodes = this.#system!.nodes;
    return nodes.reduce((sum, node) => sum + (node.streamingnode?.getGrowingBytes() ?? 0), 0);
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

  /** Those of the roles that run when they are asked, with hooks in front. */
  #makePeers(): Peers {
    const hook = <Role extends object>(name: RoleName, find: () => Role): Role =>
      new Proxy({} as Role, {
        get: (_target, method: string) => {
          const role = find();
          return this.#withHook(name, method, Reflect.get(role, method));
        },
      });
    const peers = (): Peers => this.#roleSet!.peers;
    return {
      rootcoord: hook('rootcoord', () => peers().rootcoord),
      datacoord: hook('datacoord', () => peers().datacoord),
      indexcoord: hook('indexcoord', () => peers().indexcoord),
      querycoord: hook('querycoord', () => peers().querycoord),
      datanode: hook('datanode', () => peers().datanode),
      indexnode: hook('indexnode', () => peers().indexnode),
      shard: (vchannel) => hook('streamingnode', () => peers().shard(vchannel)),
      querynode: (nodeId) => hook('querynode', () => peers().querynode(nodeId)),
    };
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
    const runtime = withClock(options.runtime, options.nowMs);
    const logger = new ErrorLogger(this.errors);
    const health = new Health();
    this.health = health;
    const catalog = new Catalog(this.#kv);
    await catalog.open();
    const storage = await LocalDirStorage.open({
      root: join(this.folder, 'storage'),
      fileSystem: new NodeFileSystem(),
      crc32c: (bytes, seed) => native.crc32c(bytes, seed),
    });
    const openLocal = storage.openLocal.bind(storage);
    storage.openLocal = async (key) => this.#count(await openLocal(key));
    const plans = planNodes(options);
    const directory = makeDirectory(plans);
    const copy = options.copy && !options.isGrpc;
    const onDefect = (name: string, error: unknown): void => {
      this.errors.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    };
    this.#roleSet = new RoleSet({ directory, runtime, onDefect, copy });
    const parts = {
      logs: this.#makeLogs(),
      ...{ catalog, storage, peers: this.peers, directory, logger, health, runtime },
      onNameGone: () => undefined,
      onBuilt: () => undefined,
      onRead: () => undefined,
    };
    const settings = readSettings(options);
    this.#system = makeSystem(settings, parts, plans);
    this.#makeSuccessor = () => makeNode(settings, parts, plans[0]!).streamingnode!;
    addToRoleSet(this.#roleSet, this.#system);
    if (options.isGrpc) this.#stops.push(await this.#roleSet.connectByGrpc());
    await startRoles(this.#system, this.#stops);
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

  async #stop(): Promise<void> {
    for (const step of this.#stops.splice(0).reverse()) await step();
  }
}

/** As many as are wanted, and at least one for each streaming node. */
function listPchannels({ pchannelCount, streamingNodes }: Required<SandboxOptions>): string[] {
  const count = Math.max(pchannelCount, streamingNodes);
  return Array.from({ length: count }, (_unused, i) => namePchannel(i));
}

/** One node where there is one of each; else every role of a kind has a node of its own. */
function planNodes(options: Required<SandboxOptions>): NodePlan[] {
  const { streamingNodes, queryNodes } = options;
  const all = listPchannels(options);
  if (streamingNodes === 1 && queryNodes === 1) {
    return [{ nodeId: 1, pchannels: all, hasQueryNode: true }];
  }
  const writers = Array.from({ length: streamingNodes }, (_unused, i) => ({
    nodeId: i + 1,
    pchannels: all.filter((_name, at) => at % streamingNodes === i),
    hasQueryNode: false,
  }));
  const holders = Array.from({ length: queryNodes }, (_unused, i) => ({
    nodeId: streamingNodes + i + 1,
    pchannels: [],
    hasQueryNode: true,
  }));
  return [...writers, ...holders];
}

function readSettings(options: Required<SandboxOptions>): RoleSettings {
  return {
    ...options,
    growingSegmentBytesMax: options.segmentBytesMax,
    indexRowsMin: 1024,
    searchThreads: 2,
    waitingReadsMax: 1024,
    limits: {
      maxDatabaseNum: 64,
      maxPartitionNum: 1024,
      maxGeneralCapacity: 65536,
      maxCollectionNum: 65536,
      maxCollectionNumPerDb: 65536,
      defaultPartitionName: '_default',
      pchannels: listPchannels(options),
    },
  };
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
