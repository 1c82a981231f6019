// A file that someone else is writing at a path, on its way to becoming an object: what
// `ObjectStorage.createLocal` gives. Invariant: it is published or discarded, once.

import { MilvusError } from '../model/error.ts';
import type { LocalObjectWriter } from './object-storage.ts';

export interface LocalOutputSteps {
  /** Makes the file durable and gives it its key; throws MilvusError. */
  readonly publish: () => Promise<void>;
  /** Removes the file, if it is there; does not throw. */
  readonly discard: () => Promise<void>;
}

export class LocalOutput implements LocalObjectWriter {
  readonly path: string;
  readonly #key: string;
  readonly #steps: LocalOutputSteps;
  #isSpent = false;

  constructor(key: string, path: string, steps: LocalOutputSteps) {
    this.#key = key;
    this.path = path;
    this.#steps = steps;
  }

  async finish(): Promise<void> {
    if (this.#isSpent) {
      throw new MilvusError('IoFailed', {
        fields: { key: this.#key, reason: 'the object writer is spent' },
      });
    }
    this.#isSpent = true;
    try {
      await this.#steps.publish();
    } catch (error) {
      await this.#steps.discard();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.#isSpent) return;
    this.#isSpent = true;
    await this.#steps.discard();
  }
}
