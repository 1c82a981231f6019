// Memory for the rows of a read: what it begins with, when it is done again with more, what is
// given back. Whoever gathers is a function here that counts as native does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../../../src/model/data-type.ts';
import { MilvusError } from '../../../../src/model/error.ts';
import type { ReadBounds } from '../../../../src/model/read.ts';
import type { CollectionSchema } from '../../../../src/model/schema.ts';
import { ANONYMOUS, type Proxy, type RequestContext } from '../../../../src/roles/proxy/proxy.ts';
import { readWithin, type ReadSize } from '../../../../src/roles/proxy/read/read-shards.ts';
import { Admission } from '../../../../src/rpc/admission.ts';
import { makeField } from '../../../support/codec/random-batch.ts';
import { VirtualRuntime } from '../../../support/virtual-runtime.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const OUTPUT_MAX = 100 * MIB;

const FIELDS = {
  id: { ...makeField({ name: 'id', dataType: DataType.Int64, isPrimaryKey: true }), fieldId: 100n },
  v: { ...makeField({ name: 'v', dataType: DataType.FloatVector, dim: 256 }), fieldId: 101n },
  j: { ...makeField({ name: 'j', dataType: DataType.JSON }), fieldId: 102n },
};
const SCHEMA: CollectionSchema = {
  name: 'c',
  description: '',
  fields: Object.values(FIELDS),
  enableDynamicField: false,
  version: 0,
  properties: {},
};

function makeCall(memoryBytes: number): { gate: Admission; context: RequestContext } {
  const runtime = new VirtualRuntime();
  const sleep = (delayMs: number, signal: AbortSignal) => runtime.sleep(delayMs, signal);
  const gate = new Admission({ bytesMax: 2 * memoryBytes, callsMax: 10, sleep });
  const { call } = gate.enter({ kind: 'read', copies: 1 }, 0, gate.makeShare());
  const facts = { collection: undefined, units: 0 };
  return { gate, context: { dbName: '', principal: ANONYMOUS, memory: call, facts } };
}

const proxy = { deps: { limits: { maxOutputSize: OUTPUT_MAX } } } as Proxy;

/** Reads rows of so many bytes; tells with which bounds it was tried, and what was held then. */
function makeReader(gate: Admission, rowBytes: number) {
  const tries: { bounds: ReadBounds; held: number }[] = [];
  const read = async ([bounds]: readonly ReadBounds[]): Promise<Uint8Array> => {
    tries.push({ bounds: bounds!, held: gate.held.bytes });
    if (rowBytes <= bounds!.gatherBytesMax) return new Uint8Array(rowBytes);
    const fields = { need: rowBytes, have: bounds!.gatherBytesMax };
    throw new MilvusError('MemoryLimitExceeded', { fields });
  };
  return { tries, read, listRows: (rows: Uint8Array) => [rows] };
}

const sizeOf = (fieldIds: readonly bigint[], rows: number, spareRows = 0): ReadSize => ({
  schema: SCHEMA,
  fieldIds,
  rows,
  rowsEach: rows,
  spareRows,
});

test('P6 rows of fixed width take what they need, twice, and are read once', async () => {
  const { gate, context } = makeCall(256 * MIB);
  const reader = makeReader(gate, 1000 * (16 + 4 * 256) + 232);
  await readWithin(proxy, context, { sizes: [sizeOf([101n], 1000)], ...reader });
  assert.equal(reader.tries.length, 1);
  const [{ bounds, held }] = reader.tries as [{ bounds: ReadBounds; held: number }];
  assert.ok(bounds.gatherBytesMax < 1.01 * 1000 * (16 + 4 * 256) + 4 * KIB);
  assert.equal(bounds.replyBytesMax, OUTPUT_MAX);
  assert.equal(held, 2 * bounds.gatherBytesMax);
});

test('P6 longer values than was thought are read again with more memory', async () => {
  const { gate, context } = makeCall(256 * MIB);
  const reader = makeReader(gate, 30 * MIB);
  const rows = await readWithin(proxy, context, { sizes: [sizeOf([102n], 100)], ...reader });
  assert.ok(reader.tries.length > 1);
  for (const { bounds, held } of reader.tries) assert.equal(held, 2 * bounds.gatherBytesMax);
  assert.equal(gate.held.bytes, 2 * rows.byteLength);
});

test('P6 what all the memory for replies does not hold is refused with need and have', async () => {
  const { gate, context } = makeCall(64 * MIB);
  const reader = makeReader(gate, 33 * MIB);
  const all = readWithin(proxy, context, { sizes: [sizeOf([102n], Infinity)], ...reader });
  await assert.rejects(all, (error: unknown) => {
    assert.ok(error instanceof MilvusError && error.code === 1102);
    assert.match(error.message, /need=34603008\]\[have=33554432/);
    return true;
  });
  assert.equal(gate.held.bytes, 0);
});

test('P6 rows that the reply leaves out count against memory, not against the reply', async () => {
  const { gate, context } = makeCall(2048 * MIB);
  const reader = makeReader(gate, 500 * MIB);
  await readWithin(proxy, context, { sizes: [sizeOf([102n], 16_000, 15_900)], ...reader });
  assert.equal(reader.tries.at(-1)!.bounds.spareRows, 15_900);
});
