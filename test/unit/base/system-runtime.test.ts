// The real clock, as far as it can be tested without waiting long.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRuntime } from '../../../src/base/system-runtime.ts';

test('system runtime: sleep lasts at least its time by the monotonic clock', async () => {
  const startMs = systemRuntime.monotonicMs();
  await systemRuntime.sleep(3);
  assert.ok(systemRuntime.monotonicMs() - startMs >= 3);
});

test('system runtime: an aborted signal ends sleep with its reason, early or at once', async () => {
  const stop = new AbortController();
  const sleeping = systemRuntime.sleep(3_000_000_000, stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(sleeping, /stopped/);
  await assert.rejects(systemRuntime.sleep(0, stop.signal), /stopped/);
});
