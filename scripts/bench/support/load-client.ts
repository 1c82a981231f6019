// Runs grpc_load (scripts/bench/grpc_load.cc), which it compiles at first use: a client that is not
// the bottleneck.

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SERVICE } from './milvus-client.ts';
import { cacheFolder, ROOT } from './paths.ts';

export interface LoadResult {
  readonly calls: number;
  readonly errors: number;
  readonly seconds: number;
  readonly callsPerSecond: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p95Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly method: string;
  /** As `writeRequests` writes it. */
  readonly requests: string;
  readonly connections?: number;
  readonly streams?: number;
  readonly count?: number;
  readonly seconds?: number;
  /** Where the last reply to each request goes. */
  readonly replies?: string;
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { method, ...rest } = options;
  const args = ['--path', `/${SERVICE}/${method}`];
  for (const [name, value] of Object.entries(rest)) args.push(`--${name}`, String(value));
  const { stdout } = await promisify(execFile)(buildLoadClient(), args);
  const result = JSON.parse(stdout) as LoadResult;
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.calls} calls failed`);
  return result;
}

export async function writeRequests(path: string, messages: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const message of messages) {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(message.byteLength);
      await file.writev([head, message]);
    }
  } finally {
    await file.close();
  }
}

/** Messages of a file that `grpc_load --replies` wrote; an empty one where no reply came. */
export async function readReplies(path: string): Promise<Uint8Array[]> {
  const all = await readFile(path);
  const replies: Uint8Array[] = [];
  for (let at = 0; at < all.length;) {
    const length = all.readUInt32LE(at);
    replies.push(all.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return replies;
}

function buildLoadClient(): string {
  const source = join(ROOT, 'scripts/bench/grpc_load.cc');
  const program = join(cacheFolder(), 'grpc_load');
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  const compiler = process.env['CXX'] ?? 'g++';
  const built = spawnSync(compiler, ['-std=c++20', '-O2', source, '-o', program], {
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`cannot compile ${source}: ${built.stderr}`);
  return program;
}
