// Runs tasks one after another in the order they were added, and refuses work past its bounds.
// Invariant: at most one task runs at a time; a task that fails does not stop the ones behind it.

import assert from 'node:assert/strict';
import { createDeferred } from './deferred.ts';

export interface SerialQueueOptions {
  /** Tasks waiting or running. */
  readonly pendingCountMax: number;
  /** Sum of the bytes that waiting and running tasks hold. Without it bytes are not bounded. */
  readonly pendingBytesMax?: number;
  /** Makes the error that a refused caller gets: normally a MilvusError RateLimit. */
  readonly refuse: () => Error;
}

interface Task {
  readonly bytes: number;
  readonly start: () => Promise<void>;
}

export class SerialQueue {
  readonly #options: SerialQueueOptions;
  readonly #waiting: Task[] = [];
  /** First task of `#waiting` not yet started; the ones before it are cut off in lumps. */
  #head = 0;
  #pendingCount = 0;
  #pendingBytes = 0;
  #isRunning = false;
  #idle = createDeferred<void>();

  constructor(options: SerialQueueOptions) {
    assert(options.pendingCountMax > 0);
    this.#options = options;
    this.#idle.resolve();
  }

  get pendingCount(): number {
    return this.#pendingCount;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Runs `task` after all earlier ones; settles as it does. The first task of an idle queue starts
   * in this call. A single task larger than the byte bound is taken when nothing else is pending.
   *
   * @param bytes  memory that the task holds while it waits and runs
   * @throws the `refuse` error (as a rejection) when the queue is full; the task then never runs
   */
  run<T>(task: () => Promise<T> | T, bytes = 0): Promise<T> {
    if (this.#isFull(bytes)) return Promise.reject(this.#options.refuse());
    const result = createDeferred<T>();
    const start = async (): Promise<void> => {
      try {
        result.resolve(await task());
      } catch (error) {
        result.reject(error);
      }
    };
    this.#pendingCount += 1;
    this.#pendingBytes += bytes;
    this.#waiting.push({ bytes, start });
    if (!this.#isRunning) void this.#drain();
    return result.promise;
  }

  /** Resolves when nothing is pending. Tasks added meanwhile are waited for too. */
  async whenIdle(): Promise<void> {
    while (this.#isRunning) await this.#idle.promise;
  }

  #isFull(bytes: number): boolean {
    if (this.#pendingCount === 0) return false;
    const { pendingCountMax, pendingBytesMax = Infinity } = this.#options;
    return this.#pendingCount >= pendingCountMax || this.#pendingBytes + bytes > pendingBytesMax;
  }

  async #drain(): Promise<void> {
    this.#isRunning = true;
    this.#idle = createDeferred();
    for (let task = this.#take(); task !== undefined; task = this.#take()) {
      await task.start();
      this.#pendingCount -= 1;
      this.#pendingBytes -= task.bytes;
    }
    this.#isRunning = false;
    this.#idle.resolve();
  }

  #take(): Task | undefined {
    const task = this.#waiting[this.#head];
    this.#head += 1;
    if (task === undefined || this.#head >= 1024) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    return task;
  }
}
