// A server of this or another checkout as a child process: started on free ports in a temporary
// directory, measured, stopped.

import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SERVICE } from './milvus-client.ts';
import { ROOT } from './paths.ts';

const START_MS_MAX = 60_000;

export class ServerProcess {
  readonly port: number;
  readonly folder: string;
  readonly #child: ChildProcess;
  #log = '';

  private constructor(child: ChildProcess, port: number, folder: string) {
    this.#child = child;
    this.port = port;
    this.folder = folder;
    const keep = (text: Buffer): void => {
      this.#log = (this.#log + text.toString()).slice(-4000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  /**
   * Resolves when the server has answered GetVersion.
   *
   * @param folder     data directory; default a new one
   * @param port       default a free one
   * @param nodeFlags  of the runtime, such as --cpu-prof
   * @param root       a built checkout; default this one
   * @param settings   further environment variables
   */
  static async start(
    given: {
      folder?: string;
      port?: number;
      nodeFlags?: readonly string[];
      root?: string;
      settings?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<ServerProcess> {
    const root = given.root ?? ROOT;
    const folder = given.folder ?? (await mkdtemp(join(tmpdir(), 'elanus-bench-')));
    const port = given.port ?? (await findFreePort());
    const child = spawn(
      process.execPath,
      [...(given.nodeFlags ?? []), join(root, 'bin/elanus.cjs')],
      {
        cwd: root,
        env: {
          ...process.env,
          PROXY_PORT: String(port),
          METRICS_PORT: '0',
          LOCALSTORAGE_PATH: folder,
          ...given.settings,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const server = new ServerProcess(child, port, folder);
    const deadline = Date.now() + START_MS_MAX;
    while (!(await askVersion(port))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        if (given.folder === undefined) await rm(folder, { recursive: true, force: true });
        throw new Error(`the server did not start:\n${server.#log}`);
      }
    }
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Resident memory in MiB: all, and what is not file pages. */
  memory(): { residentMiB: number; anonymousMiB: number; peakMiB: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const read = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? NaN) / 1024;
    return { residentMiB: read('VmRSS'), anonymousMiB: read('RssAnon'), peakMiB: read('VmHWM') };
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** CPU time used so far by the threads that live. */
  cpuMs(): number {
    const tasks = `/proc/${this.#child.pid}/task`;
    let nanoseconds = 0;
    for (const task of readdirSync(tasks)) {
      nanoseconds += Number(readFileSync(join(tasks, task, 'schedstat'), 'utf8').split(' ')[0]);
    }
    return nanoseconds / 1e6;
  }

  /** Keeps the data directory. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await gone;
  }

  /** Stops it and removes its data. */
  async stop(): Promise<void> {
    await this.kill('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * One GetVersion over raw HTTP/2: a refused connection costs a millisecond, not a client's backoff.
 */
export function askVersion(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const finish = (isOk: boolean): void => {
      session.destroy();
      if (isOk) resolve(true);
      else setTimeout(() => resolve(false), 2);
    };
    session.once('error', () => finish(false));
    session.once('connect', () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': `/${SERVICE}/GetVersion`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      let bytes = 0;
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      stream.once('error', () => finish(false));
      stream.once('end', () => finish(bytes > 5));
      stream.end(Buffer.alloc(5));
    });
  });
}
