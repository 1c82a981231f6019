// One line per key: tasks of the same key run one after another in the order they were added, tasks
// of different keys beside each other. Bounded over all keys together: past it a caller is refused.
// A key costs memory only while it has tasks.

import assert from 'node:assert/strict';

export interface KeyedQueueOptions {
  /** Tasks waiting or running, of all keys together. */
  readonly pendingCountMax: number;
  /** Makes the error that a refused caller gets: normally a MilvusError RateLimit. */
  readonly refuse: (pendingCount: number) => Error;
}

export class KeyedQueue<Key> {
  readonly #options: KeyedQueueOptions;
  /** By key: settles when its last task has; never rejects. */
  readonly #tails = new Map<Key, Promise<void>>();
  #pendingCount = 0;

  constructor(options: KeyedQueueOptions) {
    assert(options.pendingCountMax > 0);
    this.#options = options;
  }

  get pendingCount(): number {
    return this.#pendingCount;
  }

  /**
   * Runs `task` after all earlier ones of the key, failed or not; settles as it does. A task must
   * not wait for another one of its own key.
   *
   * @throws the `refuse` error (as a rejection) when the queue is full; the task then never runs
   */
  run<T>(key: Key, task: () => Promise<T>): Promise<T> {
    if (this.#pendingCount >= this.#options.pendingCountMax) {
      return Promise.reject(this.#options.refuse(this.#pendingCount));
    }
    this.#pendingCount += 1;
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(task);
    const tail: Promise<void> = result.then(
      () => this.#end(key, tail),
      () => this.#end(key, tail),
    );
    this.#tails.set(key, tail);
    return result;
  }

  /** Resolves when nothing is pending. Tasks added meanwhile are waited for too. */
  async whenIdle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }

  #end(key: Key, tail: Promise<void>): void {
    this.#pendingCount -= 1;
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
  }
}
