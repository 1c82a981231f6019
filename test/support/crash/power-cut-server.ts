// The whole server in this process, on a disk whose power can be cut (R26). Metadata are held in
// memory, durable once a transaction resolves, which LMDB's own test has to prove; log and segments
// are on the disk that is cut.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogFields, Logger } from '../../../src/base/logger.ts';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { loadConfig } from '../../../src/config.ts';
import type { Kv } from '../../../src/meta/kv.ts';
import { createMemoryKv } from '../../../src/meta/memory.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { startServer, type RunningServer } from '../../../src/server.ts';
import { MirroredFileSystem } from '../mirrored-file-system.ts';
import { PowerCutFileSystem, type PowerCutFileSystemOptions } from '../power-cut-file-system.ts';
import type { Victim } from './world.ts';

export interface PowerCutServerOptions {
  /** A directory for the files that native code maps. */
  readonly folder: string;
  readonly random: () => number;
  readonly makeSettings: (random: () => number) => Record<string, string>;
  readonly disk?: PowerCutFileSystemOptions;
}

export class PowerCutServer implements Victim {
  readonly startMsMax = 40;
  readonly #options: PowerCutServerOptions;
  readonly #kv = createMemoryKv(systemRuntime);
  #disk: MirroredFileSystem | undefined;
  #life = 0;
  #server: Promise<RunningServer> | undefined;
  complaints = '';

  constructor(options: PowerCutServerOptions) {
    this.#options = options;
  }

  async start(random: () => number): Promise<string> {
    const { folder, makeSettings, disk: diskOptions } = this.#options;
    this.complaints = '';
    const env = { ...makeSettings(random), PROXY_PORT: '0', METRICS_PORT: '0' };
    this.#disk ??= await MirroredFileSystem.create(
      new PowerCutFileSystem(diskOptions),
      join(folder, '0'),
    );
    const disk = this.#disk;
    const { config } = loadConfig({ env: { ...env, LOCALSTORAGE_PATH: disk.folder } });
    const logger = this.#makeLogger({});
    const kv = openKv(this.#kv, disk);
    this.#server = startServer(config, { fileSystem: disk, kv, logger });
    const { port } = await this.#server;
    return `127.0.0.1:${port}`;
  }

  async kill(): Promise<void> {
    const { folder, random } = this.#options;
    const server = this.#server;
    const disk = this.#disk;
    if (server === undefined || disk === undefined) return;
    this.#server = undefined;
    this.#life += 1;
    const cut = random() < 0.5 ? { random } : {};
    this.#disk = await disk.powerCut(cut, join(folder, String(this.#life)));
    // What is left of it finds no disk and no metadata any more.
    await server.then((running) => running.stop()).catch(() => undefined);
    await rm(disk.folder, { recursive: true, force: true });
  }

  /** The end of all lives. */
  async remove(): Promise<void> {
    await this.kill();
    await this.#kv.close();
    await mkdir(this.#options.folder, { recursive: true });
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  #makeLogger(fields: LogFields): Logger {
    const note = (level: string) => (more: LogFields, message: string) => {
      if (this.#disk?.isOff === false) {
        const { error, ...rest } = { ...fields, ...more };
        const reason = error instanceof Error ? error.message : '';
        this.complaints += `${level} ${message} ${JSON.stringify(rest)} ${reason}\n`;
      }
    };
    return {
      debug: () => undefined,
      info: () => undefined,
      warn: note('WARN'),
      error: note('ERROR'),
      child: (more) => this.#makeLogger({ ...fields, ...more }),
    };
  }
}

/** The store as one life sees it: refused once the disk is off, and never closed. */
function openKv(kv: Kv, disk: MirroredFileSystem): Kv {
  const requireOn = (): void => {
    if (disk.isOff) throw new MilvusError('IoFailed', { message: 'the power is off' });
  };
  return {
    get: async (key) => {
      requireOn();
      return kv.get(key);
    },
    range: (prefix) => {
      requireOn();
      return kv.range(prefix);
    },
    transact: async (transaction) => {
      requireOn();
      return kv.transact(transaction);
    },
    watch: (prefix, listener) => kv.watch(prefix, listener),
    lease: async (ttlMs) => {
      requireOn();
      return kv.lease(ttlMs);
    },
    close: async () => undefined,
  };
}
