// A milvus-lite server as a child process: the peer that speaks the same protocol.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { askVersion, findFreePort } from './server-process.ts';

const START_MS_MAX = 60_000;

export class LiteProcess {
  readonly port: number;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number, folder: string) {
    this.#child = child;
    this.port = port;
    this.#folder = folder;
  }

  /** Resolves when it answers; undefined where that interpreter has no milvus-lite. */
  static async start(python: string): Promise<LiteProcess | undefined> {
    const program = join(dirname(python), 'milvus-lite');
    if (!existsSync(program)) return undefined;
    const folder = await mkdtemp(join(tmpdir(), 'milvus-lite-bench-'));
    const port = await findFreePort();
    const args = ['server', '--data-dir', folder, '--host', '127.0.0.1', '--port', String(port)];
    const child = spawn(program, args, { stdio: 'ignore' });
    const lite = new LiteProcess(child, port, folder);
    const deadline = Date.now() + START_MS_MAX;
    while (!(await askVersion(port))) {
      if (child.exitCode === null && Date.now() < deadline) continue;
      await lite.stop();
      throw new Error('milvus-lite did not start');
    }
    return lite;
  }

  /** Stops it and removes its data. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGKILL');
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
