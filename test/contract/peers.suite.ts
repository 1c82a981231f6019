// What every kind of peer must do, whether the role is in this process or behind the network.
// Run over each by peers.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import type { CallContext } from '../../src/rpc/contract.ts';
import { MilvusError, invalidParameter, type ErrorName } from '../../src/model/error.ts';
import { hasName } from '../support/has-name.ts';

export interface PeersFixture {
  /** Returns the role as its callers see it. */
  connect<Role extends object>(role: Role): Promise<Role>;
  /** Returns a peer whose role is not there. */
  connectMissing<Role extends object>(): Promise<Role>;
  dispose(): Promise<void>;
}

export interface PeersSupport {
  /** Nothing is shared between caller and callee. */
  readonly copies: boolean;
  /** An abort ends the call although the callee does not look at its signal. */
  readonly abortsAtOnce: boolean;
  readonly missingRole: ErrorName;
}

type Echo = (request: unknown, call: CallContext) => Promise<unknown>;

/** Everything by which a client can tell two MilvusErrors apart. */
function toPlain(error: unknown): object {
  assert.ok(error instanceof MilvusError, String(error));
  const { name, errorName, code, message, retriable, isInputError, isUnexecuted } = error;
  return { name, errorName, code, message, retriable, isInputError, isUnexecuted };
}

async function catchError(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => assert.fail('was expected to reject'),
    (error: unknown) => error,
  );
}

/** Resolves once the signal fires. */
function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const VALUES: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  booleans: [true, false],
  numbers: [0, -0, 1.5, -1, 2 ** 31, 2 ** 53, NaN, Infinity, -Infinity, 5e-324],
  bigints: [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 100n],
  strings: ['', 'plain', 'größe', 'коллекция', '向量', '\u{1f600}', '\ud800', 'x'.repeat(70_000)],
  bytes: Uint8Array.of(0, 1, 254, 255),
  'no bytes': new Uint8Array(0),
  'typed arrays': [
    Int8Array.of(-128, 127),
    Int16Array.of(-1, 2),
    Uint16Array.of(65535),
    Int32Array.of(-(2 ** 31), 7),
    Uint32Array.of(2 ** 32 - 1),
    Float32Array.of(0.1, -0, NaN),
    Float64Array.of(Math.PI, -Infinity),
    BigInt64Array.of(-(2n ** 63n), 3n),
    BigUint64Array.of(2n ** 64n - 1n),
  ],
  'a view into the middle': new Float32Array(Float32Array.of(1, 2, 3, 4).buffer, 4, 2),
  'maps and sets': [
    new Map<unknown, unknown>([
      ['a', 1n],
      [2, new Set(['b'])],
    ]),
    new Set([1]),
  ],
  nested: { empty: {}, list: [[], [{ deep: { deeper: [1n, Uint8Array.of(9)] } }]], no: undefined },
  frozen: Object.freeze({ ids: Object.freeze([1n, 2n]), name: 'a' }),
  'odd names': { '': 1, 'a.b': 2, then: 3, constructor: 4, ключ: 5, 0: 6 },
};

export function testPeers(
  name: string,
  makeFixture: () => Promise<PeersFixture>,
  supports: PeersSupport,
): void {
  const peersTest = (title: string, body: (fixture: PeersFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const fixture = await makeFixture();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };

  peersTest('values of every kind arrive equal, there and back', async (fixture) => {
    let seen: unknown;
    const echo: Echo = async (request) => (seen = request);
    const peer = await fixture.connect({ echo });
    for (const [kind, value] of Object.entries(VALUES)) {
      const reply = await peer.echo(value, {});
      assert.deepStrictEqual(seen, value, `${kind}, there`);
      assert.deepStrictEqual(reply, value, `${kind}, back`);
    }
    assert.deepStrictEqual(await peer.echo(VALUES, {}), VALUES);
  });

  peersTest('MilvusErrors arrive equal', async (fixture) => {
    const errors = [
      new MilvusError('CollectionNotFound', { fields: { database: 'default', collection: 7n } }),
      new MilvusError('ServiceNotReady', { isUnexecuted: true }),
      new MilvusError('Canceled'),
      new MilvusError('Unexpected', { message: '' }),
      invalidParameter('поле 向量: wrong dimension'),
      new MilvusError('RateLimit', { message: 'x'.repeat(40_000) }),
    ];
    const fail = async ({ at }: { at: number }): Promise<void> => {
      throw errors[at]!;
    };
    const peer = await fixture.connect({ fail });
    for (const [at, error] of errors.entries()) {
      assert.deepEqual(toPlain(await catchError(peer.fail({ at }))), toPlain(error));
    }
  });

  peersTest('any other error arrives as Unexpected with its message', async (fixture) => {
    const thrown: readonly unknown[] = [new TypeError('x is not a function'), 'just text', null];
    const peer = await fixture.connect({
      reject: async ({ at }: { at: number }): Promise<void> => {
        throw thrown[at];
      },
      throwAtOnce: (): Promise<void> => {
        throw new RangeError('too far');
      },
    });
    for (const [at, message] of ['x is not a function', 'just text', 'null'].entries()) {
      const expected = toPlain(new MilvusError('Unexpected', { message }));
      assert.deepEqual(toPlain(await catchError(peer.reject({ at }))), expected);
    }
    const expected = toPlain(new MilvusError('Unexpected', { message: 'too far' }));
    assert.deepEqual(toPlain(await catchError(peer.throwAtOnce())), expected);
  });

  peersTest('a plain error with a code of the table gets its name', async (fixture) => {
    const fail = async (): Promise<void> => {
      throw Object.assign(new Error('no memory for the index'), { code: 3 });
    };
    const peer = await fixture.connect({ fail });
    const expected = new MilvusError('MemoryLimitExceeded', { message: 'no memory for the index' });
    assert.deepEqual(toPlain(await catchError(peer.fail())), toPlain(expected));
  });

  peersTest('a signal that has fired rejects with Canceled, without a call', async (fixture) => {
    let callCount = 0;
    const echo: Echo = async () => (callCount += 1);
    const peer = await fixture.connect({ echo });
    const aborted = peer.echo({}, { signal: AbortSignal.abort() });
    await assert.rejects(aborted, hasName('Canceled'));
    const reason = new MilvusError('Timeout');
    const timedOut = peer.echo({}, { signal: AbortSignal.abort(reason) });
    await assert.rejects(timedOut, hasName('Timeout'));
    assert.equal(callCount, 0);
  });

  peersTest('an abort during the call reaches the callee and rejects', async (fixture) => {
    const controller = new AbortController();
    let calleeSaw: (aborted: boolean) => void = () => undefined;
    const whenSeen = new Promise<boolean>((resolve) => (calleeSaw = resolve));
    const wait: Echo = async (_, { signal }) => {
      assert.ok(signal !== undefined);
      controller.abort();
      await whenAborted(signal);
      calleeSaw(signal.aborted);
      signal.throwIfAborted();
    };
    const peer = await fixture.connect({ wait });
    const work = peer.wait({}, { signal: controller.signal });
    await assert.rejects(work, hasName('Canceled'));
    assert.equal(await whenSeen, true);
  });

  peersTest('a timeout signal rejects with Timeout', async (fixture) => {
    const wait: Echo = async (_, { signal }) => {
      await whenAborted(signal!);
      signal!.throwIfAborted();
    };
    const peer = await fixture.connect({ wait });
    // A timeout signal does not keep the process alive.
    const alive = setInterval(() => undefined, 1_000);
    const work = peer.wait({}, { signal: AbortSignal.timeout(5) });
    await assert.rejects(work, hasName('Timeout')).finally(() => clearInterval(alive));
  });

  if (supports.abortsAtOnce) {
    peersTest('an abort ends the call of a callee that does not look', async (fixture) => {
      const controller = new AbortController();
      let finish: (value: unknown) => void = () => undefined;
      const wait: Echo = () => {
        setImmediate(() => controller.abort());
        return new Promise((resolve) => (finish = resolve));
      };
      const peer = await fixture.connect({ wait });
      const work = peer.wait({}, { signal: controller.signal });
      await assert.rejects(work, hasName('Canceled'));
      finish('late');
    });
  }

  peersTest('an abort after the reply changes nothing', async (fixture) => {
    const controller = new AbortController();
    let calleeSignal: AbortSignal | undefined;
    const echo: Echo = async (request, { signal }) => {
      calleeSignal = signal;
      return request;
    };
    const peer = await fixture.connect({ echo });
    assert.equal(await peer.echo(1n, { signal: controller.signal }), 1n);
    assert.equal(calleeSignal?.aborted, false);
    controller.abort();
    assert.equal(await peer.echo(2n, {}), 2n);
  });

  peersTest('a callee knows when its caller gives up, and when it does not', async (fixture) => {
    const seen: (number | undefined)[] = [];
    const look: Echo = async (_, { deadlineMs }) => void seen.push(deadlineMs);
    const peer = await fixture.connect({ look });
    const deadlineMs = systemRuntime.monotonicMs() + 60_000;
    await peer.look({}, { deadlineMs });
    await peer.look({}, {});
    assert.equal(seen[1], undefined);
    // On the wire it is a time that is left: never less of it, and little more.
    assert.ok(seen[0]! >= deadlineMs && seen[0]! < deadlineMs + 10_000, String(seen[0]));
  });

  peersTest('a method that the role lacks rejects with Unimplemented', async (fixture) => {
    class Role {
      readonly echo: Echo = async (request) => request;
      async stop(): Promise<void> {
        throw new Error('a role is not stopped by its peers');
      }
    }
    const peer = await fixture.connect(new Role() as object);
    const { fly, stop } = peer as { fly: Echo; stop: Echo };
    await assert.rejects(fly({}, {}), hasName('Unimplemented'));
    await assert.rejects(stop({}, {}), hasName('Unimplemented'));
    const { echo } = peer as Role;
    assert.equal(await echo('still alive', {}), 'still alive');
  });

  peersTest('a peer can be awaited, printed and compared', async (fixture) => {
    const peer = await fixture.connect({ echo: (async (request) => request) as Echo });
    assert.equal(await Promise.resolve(peer), peer);
    assert.equal(JSON.stringify(peer), '{}');
    assert.equal(peer.echo, peer.echo);
    assert.throws(() => Object.assign(peer, { echo: 1 }), TypeError);
  });

  peersTest('a role that is not there rejects, and one may try again', async (fixture) => {
    const peer = await fixture.connectMissing<{ echo: Echo }>();
    const error = await catchError(peer.echo({}, {}));
    assert.ok(hasName(supports.missingRole)(error), String(error));
    assert.equal((error as MilvusError).retriable, true);
    assert.equal((error as MilvusError).isUnexecuted, true);
  });

  peersTest('40 MB there and back arrive equal', async (fixture) => {
    const bytes = new Uint8Array(40_000_000);
    const words = new Uint32Array(bytes.buffer);
    for (let i = 0; i < words.length; i += 1) words[i] = Math.imul(i, 0x9e3779b1);
    const echo: Echo = async (request) => request;
    const peer = await fixture.connect({ echo });
    const reply = (await peer.echo({ bytes, words }, {})) as { bytes: Uint8Array };
    assert.equal(Buffer.compare(reply.bytes, bytes), 0);
    assert.equal(Object.getPrototypeOf(reply.bytes), Uint8Array.prototype);
  });

  peersTest('many calls at once each get their own reply', async (fixture) => {
    let inFlight = 0;
    let most = 0;
    const square = async ({ n, pad }: { n: bigint; pad: Uint8Array }): Promise<object> => {
      most = Math.max(most, (inFlight += 1));
      await new Promise(setImmediate);
      inFlight -= 1;
      if (n % 7n === 0n) throw invalidParameter(`no ${n}`);
      return { square: n * n, length: pad.length };
    };
    const peer = await fixture.connect({ square });
    const calls = Array.from({ length: 500 }, (_, i) =>
      peer.square({ n: BigInt(i), pad: new Uint8Array(i * 20) }),
    );
    const replies = await Promise.allSettled(calls);
    for (const [i, reply] of replies.entries()) {
      if (reply.status === 'rejected') {
        assert.equal(i % 7, 0);
        assert.deepEqual(toPlain(reply.reason), toPlain(invalidParameter(`no ${i}`)));
      } else assert.deepEqual(reply.value, { square: BigInt(i * i), length: i * 20 });
    }
    assert.ok(most > 1);
  });

  if (supports.copies) {
    peersTest('nothing is shared between caller and callee', async (fixture) => {
      const kept: { list: number[] }[] = [];
      const keep = async (request: { list: number[] }): Promise<{ list: number[] }> => {
        kept.push(request);
        return request;
      };
      const peer = await fixture.connect({ keep });
      const request = { list: [1] };
      const work = peer.keep(request);
      request.list.push(2);
      const reply = await work;
      reply.list.push(3);
      assert.deepEqual([kept[0]!.list, reply.list], [[1], [1, 3]]);
    });

    peersTest('a class instance arrives as plain data, a Buffer as bytes', async (fixture) => {
      class Point {
        readonly x = 1;
      }
      const seen: object[] = [];
      const peer = await fixture.connect({ see: async (value: object) => void seen.push(value) });
      await peer.see(new Point());
      await peer.see(Buffer.from('ab'));
      assert.deepStrictEqual(seen, [{ x: 1 }, Uint8Array.of(97, 98)]);
    });

    peersTest('a request or reply that is not data rejects with Unexpected', async (fixture) => {
      const makeFunction = async (): Promise<unknown> => ({ run: () => 1 });
      const echo: Echo = async (request) => request;
      const peer = await fixture.connect({ makeFunction, echo });
      await assert.rejects(peer.makeFunction(), hasName('Unexpected'));
      await assert.rejects(peer.echo({ run: () => 1 }, {}), hasName('Unexpected'));
    });
  }
}
