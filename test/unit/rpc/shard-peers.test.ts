// Calls that came to the wrong node, and those that did not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError, type ErrorName } from '../../../src/model/error.ts';
import type { CallContext, StreamingNode } from '../../../src/rpc/contract.ts';
import { ShardPeers } from '../../../src/rpc/shard-peers.ts';
import { hasName } from '../../support/has-name.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

type Flush = StreamingNode['flush'];
const REPLY = { segmentIds: [], timestamp: 7n };
const refuse = (name: ErrorName, isUnexecuted = true): Flush =>
  () => Promise.reject(new MilvusError(name, { isUnexecuted }));

/** Shards whose owner is looked up by `find`; what they do is the test's. */
function makeShards(runtime: VirtualRuntime, find: (pchannel: string) => Flush) {
  const shards = new ShardPeers({
    runtime,
    findOwner: (pchannel) => ({ flush: find(pchannel) }) as unknown as StreamingNode,
  });
  return (vchannel: string, call: CallContext = {}) =>
    shards.get(vchannel).flush({ vchannel }, call);
}

test('a call goes to the owner of its shard', async () => {
  const asked: string[] = [];
  const flush = makeShards(new VirtualRuntime(), (pchannel) => async (request) => {
    asked.push(`${pchannel}: ${request.vchannel}`);
    return REPLY;
  });
  assert.deepEqual(await flush('a_1v0'), REPLY);
  assert.deepEqual(await flush('b_1v1'), REPLY);
  assert.deepEqual(asked, ['a: a_1v0', 'b: b_1v1']);
});

test('a call that came to the wrong node goes to the right one, looked up again', async () => {
  const wrong: readonly ErrorName[] = ['ChannelNotFound', 'ServiceNotReady', 'ServiceUnavailable'];
  for (const name of wrong) {
    const runtime = new VirtualRuntime();
    const owners = [refuse(name), refuse(name), async () => REPLY];
    const flush = makeShards(runtime, () => owners.shift()!);
    const work = flush('a');
    await runtime.advance(2000);
    assert.deepEqual(await work, REPLY, name);
  }
});

test('what the owner refuses, or may have carried out, is not asked again', async () => {
  const refusals: readonly (readonly [ErrorName, boolean])[] = [
    ['RateLimit', true],
    ['CollectionSchemaMismatch', true],
    ['ServiceUnavailable', false],
    ['CollectionNotFound', false],
  ];
  for (const [name, isUnexecuted] of refusals) {
    let asked = 0;
    const flush = makeShards(new VirtualRuntime(), () => {
      asked += 1;
      return refuse(name, isUnexecuted);
    });
    await assert.rejects(flush('a'), hasName(name));
    assert.equal(asked, 1, name);
  }
});

test('a caller waits for an owner until its deadline, else for ten seconds', async () => {
  for (const [waitMs, expectedMs] of [[1000, 1000], [60_000, 10_000], [undefined, 10_000]]) {
    const runtime = new VirtualRuntime();
    const startMs = runtime.monotonicMs();
    let lastMs = 0;
    const flush = makeShards(runtime, () => {
      lastMs = runtime.monotonicMs() - startMs;
      return refuse('ChannelNotFound');
    });
    const call = waitMs === undefined ? {} : { deadlineMs: startMs + waitMs };
    const failed = assert.rejects(flush('a', call), hasName('ChannelNotFound'));
    await runtime.advance(70_000);
    await failed;
    assert.ok(lastMs <= expectedMs! && lastMs >= expectedMs! - 500, `${waitMs}: ${lastMs} ms`);
  }
});

test('a caller that gives up waits no longer', async () => {
  const runtime = new VirtualRuntime();
  const gone = new AbortController();
  const flush = makeShards(runtime, () => refuse('ChannelNotFound'));
  const failed = assert.rejects(flush('a', { signal: gone.signal }), /gone/);
  await runtime.advance(100);
  gone.abort(new Error('gone'));
  await failed;
  assert.equal(runtime.sleeperCount, 0);
});

test('1024 calls wait for an owner, further ones are told at once', async () => {
  const runtime = new VirtualRuntime();
  let isThere = false;
  const find = (): Flush => (isThere ? async () => REPLY : refuse('ServiceNotReady'));
  const flush = makeShards(runtime, find);
  const waiting = Array.from({ length: 1024 }, (_unused, i) => flush(`c${i}`));
  await runtime.advance(0);
  await assert.rejects(flush('one more'), hasName('ServiceNotReady'));
  isThere = true;
  await runtime.advance(1000);
  assert.equal((await Promise.all(waiting)).length, 1024);
  assert.deepEqual(await flush('one more'), REPLY);
});
