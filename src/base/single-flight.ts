// Lets callers that ask for the same thing at the same time share one piece of work.
// Holds an entry only while its work runs: it is not a cache, and a failure is not remembered.

export class SingleFlight<Key, T> {
  readonly #running = new Map<Key, Promise<T>>();

  /** Returns the result of the running work for `key`, or starts `work` and returns its result. */
  run(key: Key, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = this.#start(key, work);
    this.#running.set(key, started);
    return started;
  }

  /** Makes the next `run` start anew; callers already waiting keep the work that runs. */
  forget(key: Key): void {
    this.#running.delete(key);
  }

  #start(key: Key, work: () => Promise<T>): Promise<T> {
    const started: Promise<T> = Promise.resolve()
      .then(work)
      .finally(() => {
        if (this.#running.get(key) === started) this.#running.delete(key);
      });
    return started;
  }
}
