// Retrying on virtual time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retry } from '../../../src/base/retry.ts';
import type { RetryOptions } from '../../../src/base/retry.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const build = (runtime: VirtualRuntime, more: Partial<RetryOptions> = {}): RetryOptions => ({
  runtime,
  attemptsMax: 4,
  baseDelayMs: 100,
  delayMsMax: 250,
  isRetriable: () => true,
  ...more,
});

test('retry: tries until it works, with waits within bounds that double', async () => {
  const runtime = new VirtualRuntime();
  const startedMs: number[] = [];
  const result = retry(async (attempt) => {
    startedMs.push(runtime.monotonicMs());
    if (attempt < 3) throw new Error('not yet');
    return 'done';
  }, build(runtime));
  await runtime.advance(1000);
  assert.equal(await result, 'done');
  const waitsMs = startedMs.slice(1).map((ms, at) => ms - (startedMs[at] ?? 0));
  assert.equal(waitsMs.length, 3);
  [100, 200, 250].forEach((boundMs, at) => assert.ok((waitsMs[at] ?? Infinity) <= boundMs));
});

test('retry: the last error is thrown when attempts run out or it may not be retried', async () => {
  const runtime = new VirtualRuntime();
  let attempts = 0;
  const fail = async (attempt: number): Promise<never> => {
    attempts += 1;
    throw new Error(`attempt ${attempt}`);
  };
  const exhausted = assert.rejects(retry(fail, build(runtime)), /attempt 3/);
  await runtime.advance(1000);
  await exhausted;
  await assert.rejects(retry(fail, build(runtime, { isRetriable: () => false })), /attempt 0/);
  assert.equal(attempts, 5);
});

test('retry: nothing is tried again after the time that it has', async () => {
  const runtime = new VirtualRuntime();
  const triedMs: number[] = [];
  const fail = (): Promise<never> => {
    triedMs.push(runtime.monotonicMs());
    return Promise.reject(new Error('not yet'));
  };
  const untilMs = runtime.monotonicMs() + 2000;
  const options = build(runtime, { attemptsMax: Infinity, untilMs });
  const failed = assert.rejects(retry(fail, options), /not yet/);
  await runtime.advance(10_000);
  await failed;
  assert.ok(triedMs.length >= 8, `${triedMs.length} tries`);
  assert.ok(triedMs.every((ms) => ms <= untilMs));
});

test('retry: an aborted signal ends the wait', async () => {
  const runtime = new VirtualRuntime();
  const stop = new AbortController();
  const options = build(runtime, { call: { signal: stop.signal } });
  const result = retry(() => Promise.reject(new Error('x')), options);
  const rejected = assert.rejects(result, /stopped/);
  await runtime.advance(0);
  assert.equal(runtime.sleeperCount, 1);
  stop.abort(new Error('stopped'));
  await rejected;
  assert.equal(runtime.sleeperCount, 0);
});
