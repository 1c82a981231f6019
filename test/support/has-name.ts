// What `assert.rejects` asks of an error of ours.

import { MilvusError, type ErrorName } from '../../src/model/error.ts';

export const hasName =
  (name: ErrorName) =>
  (error: unknown): boolean =>
    error instanceof MilvusError && error.errorName === name;
