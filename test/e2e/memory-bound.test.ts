// A short form of scripts/soak/memory-bound.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkMemoryBound } from '../support/memory-bound.ts';

test('P6 a server of 1 GiB outlives clients that ask for more, with typed refusals', async () => {
  const { answers } = await checkMemoryBound(16, 6);
  const codes = new Set([...answers.keys()].map((key) => Number(key.split(' ')[1])));
  assert.ok(codes.has(0) && codes.size > 1, JSON.stringify([...answers]));
});
