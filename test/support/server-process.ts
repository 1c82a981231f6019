// The real server in its own process, for tests that kill it: started as `npm start` does on
// free ports, ready when its banner is out. Invariant: no process outlives the object that started
// it: kill or stop it.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../bin/elanus.cjs', import.meta.url));
const OUTPUT_MAX = 256 * 1024;
const READY_WITHIN_MS = 60_000;

export interface ServerProcessOptions {
  /** Made if it is not there; the caller removes it. */
  readonly dataPath: string;
  /** Environment variables, by Milvus' rule: `{ DATACOORD_SEGMENT_MAXSIZE: '1' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly readyWithinMs?: number;
  /** Shell words that run before it, in its process: a limit to enter. */
  readonly enter?: string;
}

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number;
  /** `host:port` of the client API. */
  readonly grpc: string;
}

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class ServerProcess {
  readonly #child: ChildProcess;
  #output = '';
  /** Settles when the process is gone, whoever ended it. Never rejects. */
  readonly exited: Promise<ServerExit>;
  /** Resolves when the banner is out; rejects when the process ends before or the time is up. */
  readonly ready: Promise<ServerAddress>;

  /** Spawns and does not wait. */
  constructor(options: ServerProcessOptions) {
    const { dataPath, settings = {}, readyWithinMs = READY_WITHIN_MS } = options;
    const [command, args] =
      options.enter === undefined
        ? [process.execPath, [MAIN]]
        : ['/bin/sh', ['-c', `${options.enter}; exec "$0" "$1"`, process.execPath, MAIN]];
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        PROXY_PORT: '0',
        METRICS_PORT: '0',
        LOCALSTORAGE_PATH: dataPath,
        LOG_LEVEL: 'warn',
        ...settings,
      },
    });
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', () => resolve({ code: null, signal: null }));
    });
    this.ready = new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not ready after ${readyWithinMs} ms: ${this.#output}`)),
        readyWithinMs,
      );
      const take = (chunk: Buffer): void => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_MAX);
        const address = readBanner(this.#output);
        if (address === undefined) return;
        clearTimeout(timer);
        resolve(address);
      };
      this.#child.stdout!.on('data', take);
      this.#child.stderr!.on('data', take);
      void this.exited.then(({ code, signal }) => {
        clearTimeout(timer);
        reject(new Error(`ended before it was ready (${code ?? signal}): ${this.#output}`));
      });
    });
    this.ready.catch(() => undefined);
  }

  /** Spawns and waits for the banner. */
  static async start(
    options: ServerProcessOptions,
  ): Promise<{ server: ServerProcess; address: ServerAddress }> {
    const server = new ServerProcess(options);
    try {
      return { server, address: await server.ready };
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  /** Everything that it has written to stdout and stderr; the last 256 KiB. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<ServerExit> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }

  /** SIGTERM; resolves when the process has ended by itself. */
  async stop(): Promise<ServerExit> {
    this.#child.kill('SIGTERM');
    return this.exited;
  }
}

function readBanner(output: string): ServerAddress | undefined {
  // The last line of the banner tells that all of it is there.
  if (!output.includes('MilvusClient("')) return undefined;
  const grpc = /^ *gRPC +(\S+):(\d+)$/m.exec(output);
  const metrics = /^ *metrics +http:\/\/\S+:(\d+)\/metrics$/m.exec(output);
  if (grpc === null || metrics === null) return undefined;
  const [, host = '', port = ''] = grpc;
  return { host, port: Number(port), metricsPort: Number(metrics[1]), grpc: `${host}:${port}` };
}

/** A directory for one test. */
export async function makeTempDirectory(
  name: string,
): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `elanus-${name}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
