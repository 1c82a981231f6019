// Random rows with history (inserts, deletes, upserts, repeats) held as native segments in every
// state that a segment can be in. The rows stay beside them, so that an oracle can say what a read
// must return.

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeRowBatch } from '../../src/codec/row-batch-ops.ts';
import type { FilterSchema } from '../../src/expr/filter-schema.ts';
import { native, type NativeKeys, type NativeSegment } from '../../src/index/native.ts';
import { DataType, SCALAR_TYPES } from '../../src/model/data-type.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';
import { getNativeFields } from '../../src/segment/native-fields.ts';
import { readSegmentLayout, writeSegmentFile } from '../../src/segment/segment-file.ts';
import { encodeDeletes, packKeys } from './deletes.ts';
import type { Random } from './codec/random.ts';
import { encodeColumn, makeField, type CellValue } from './codec/random-batch.ts';
import { FILTER_POOL, makeRandomPath, makeRandomRow, type FilterPool } from './filter-pool.ts';
import { formatJson, type JsonValue } from './json-value.ts';
import type { FieldValue, OracleRow } from './oracle/evaluate.ts';

export const KEY_FIELD = 100n;
export const VECTOR_FIELD = 101n;
const DIM = 4;
const NULL_CHANCE = 0.6;
/** Field types that a scalar index can be built over. */
const INDEXED = new Set<number>([...SCALAR_TYPES, DataType.Array]);

const JSON_CASTS = [DataType.Bool, DataType.Double, DataType.VarChar] as const;

type Key = bigint | string;

/** One stored version of a key. Visible to reads at a timestamp in [insertedAt, deletedAt). */
export interface DatasetRow extends OracleRow {
  readonly key: Key;
  readonly insertedAt: bigint;
  deletedAt: bigint;
  /** Which growing segment took it. */
  readonly part: number;
}

/** One state of the data: segments that together hold all rows. */
export interface DatasetState {
  readonly name: string;
  readonly segments: readonly NativeSegment[];
  /** Reads before it may miss rows that were deleted by then. */
  readonly keptFrom: bigint;
}

export interface Dataset {
  readonly filterSchema: FilterSchema;
  readonly pool: FilterPool;
  readonly isStringKey: boolean;
  /** Ascending by key, then by insertedAt. */
  readonly rows: readonly DatasetRow[];
  readonly states: readonly DatasetState[];
  readonly lastTimestamp: bigint;
  readonly allFieldIds: readonly bigint[];
  close(): void;
}

interface Delete {
  readonly keys: readonly Key[];
  readonly timestamp: bigint;
  readonly killsUpTo: bigint;
}

const NEVER = 2n ** 62n;
const PARTS = 3;

/** Makes rows and brings them into each state. Files go to the folder. */
export async function makeDataset(
  random: Random,
  folder: string,
  rowCount: number,
): Promise<Dataset> {
  const schema = makeSchema(random);
  const history = makeHistory(random, schema, rowCount);
  const maker = new StateMaker(random, schema, history, folder);
  const states = await maker.make();
  return {
    filterSchema: schema,
    pool: history.pool,
    isStringKey: history.isStringKey,
    rows: [...history.rows].sort(compareRows),
    states,
    lastTimestamp: history.lastTimestamp,
    allFieldIds: schema.fields.map(({ fieldId }) => fieldId),
    close: () => maker.close(),
  };
}

/** Bytewise for strings, as native sorts them. */
export function compareRows(a: DatasetRow, b: DatasetRow): number {
  return compareKeys(a.key, b.key) || Number(a.insertedAt - b.insertedAt);
}

function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  if (a === b) return 0;
  return a < (b as bigint) ? -1 : 1;
}

/** One field of each kind that can be stored, nullable by chance. */
function makeSchema(random: Random): CollectionSchema {
  const scalars: readonly (readonly [string, number])[] = [
    ['flag', DataType.Bool],
    ['ok', DataType.Bool],
    ['i8', DataType.Int8],
    ['i16', DataType.Int16],
    ['i32', DataType.Int32],
    ['age', DataType.Int64],
    ['f', DataType.Float],
    ['d', DataType.Double],
    ['name', DataType.VarChar],
    ['note', DataType.VarChar],
    ['j', DataType.JSON],
    ['doc', DataType.JSON],
  ];
  const arrays: readonly (readonly [string, number])[] = [
    ['flags', DataType.Bool],
    ['bytes', DataType.Int8],
    ['shorts', DataType.Int16],
    ['ints32', DataType.Int32],
    ['ints', DataType.Int64],
    ['floats', DataType.Float],
    ['doubles', DataType.Double],
    ['words', DataType.VarChar],
  ];
  const isStringKey = random.chance(0.3);
  const fields: FieldSchema[] = [
    makeField({
      fieldId: KEY_FIELD,
      name: 'id',
      dataType: isStringKey ? DataType.VarChar : DataType.Int64,
      isPrimaryKey: true,
    }),
    makeField({
      fieldId: VECTOR_FIELD,
      name: 'vec',
      dataType: DataType.FloatVector,
      dim: DIM,
      nullable: random.chance(0.3),
    }),
  ];
  let fieldId = VECTOR_FIELD;
  for (const [name, dataType] of scalars) {
    fieldId += 1n;
    fields.push(makeField({ fieldId, name, dataType, nullable: random.chance(0.5) }));
  }
  for (const [name, elementType] of arrays) {
    fieldId += 1n;
    const nullable = random.chance(0.5);
    fields.push(makeField({ fieldId, name, dataType: DataType.Array, elementType, nullable }));
  }
  const enableDynamicField = random.chance(0.6);
  if (enableDynamicField) {
    fieldId += 1n;
    fields.push(
      makeField({ fieldId, name: '$meta', dataType: DataType.JSON, isDynamic: true }),
    );
  }
  return { name: 'fuzz', description: '', fields, enableDynamicField, version: 0, properties: {} };
}

interface History {
  readonly pool: FilterPool;
  readonly isStringKey: boolean;
  readonly rows: readonly DatasetRow[];
  /** Rows of one insert, in order of time. */
  readonly batches: readonly { readonly timestamp: bigint; readonly rows: readonly DatasetRow[] }[];
  readonly deletes: readonly Delete[];
  readonly lastTimestamp: bigint;
}

/** The shared pool, or one with values of its own: few repeats, all magnitudes. */
function makePool(random: Random): FilterPool {
  if (random.chance(0.5)) return FILTER_POOL;
  const list = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
  return {
    integers: [...list(25, () => random.int64()), 0n, 1n, -1n],
    doubles: [
      ...list(12, () => (random.next() - 0.5) * 10 ** (random.below(40) - 15)),
      ...list(12, () => random.below(2000) / 8 - 100),
      -0,
      0,
    ],
    strings: [...list(25, () => random.text()), '', 'a'],
    keys: FILTER_POOL.keys,
  };
}

function makeHistory(random: Random, schema: CollectionSchema, rowCount: number): History {
  const pool = makePool(random);
  const isStringKey = schema.fields[0]?.dataType === DataType.VarChar;
  const keys = makeKeys(random, pool, isStringKey, rowCount);
  const rows: DatasetRow[] = [];
  const batches: { timestamp: bigint; rows: DatasetRow[] }[] = [];
  const deletes: Delete[] = [];
  let timestamp = 1000n;
  const alive = new Map<Key, DatasetRow[]>();
  const hasRepeats = random.chance(0.4);
  const insert = (chosen: readonly Key[], part: number): void => {
    const made = chosen.map((key) => makeRow(random, schema, pool, { key, timestamp, part }));
    for (const row of made) alive.set(row.key, [...(alive.get(row.key) ?? []), row]);
    for (const row of made) rows.push(row);
    batches.push({ timestamp, rows: made });
  };
  const remove = (chosen: readonly Key[]): void => {
    deletes.push({ keys: chosen, timestamp, killsUpTo: timestamp - 1n });
    for (const key of chosen) {
      for (const row of alive.get(key) ?? []) row.deletedAt = timestamp;
      alive.delete(key);
    }
  };
  for (let at = 0, part = 0; at < keys.length; part += 1) {
    const count = 1 + random.below(Math.ceil(rowCount / 2));
    insert(keys.slice(at, at + count), part % PARTS);
    at += count;
    timestamp += 1n + BigInt(random.below(3));
    const known = [...alive.keys()];
    if (random.chance(0.6)) remove(known.filter(() => random.chance(0.15)));
    timestamp += 1n;
    if (random.chance(0.6)) {
      // An upsert: delete and insert at one timestamp.
      const changed = known.filter(() => random.chance(0.15));
      remove(changed);
      insert(changed, part % PARTS);
    }
    timestamp += 1n;
    if (hasRepeats && random.chance(0.5)) {
      // Inserted again without a delete: both rows are there (R7).
      insert(known.filter(() => random.chance(0.2)), random.below(PARTS));
      timestamp += 1n;
    }
  }
  return { pool, isStringKey, rows, batches, deletes, lastTimestamp: timestamp };
}

function makeKeys(
  random: Random,
  pool: FilterPool,
  isStringKey: boolean,
  rowCount: number,
): readonly Key[] {
  const from = BigInt(random.below(200) - 150);
  const numbers = Array.from({ length: rowCount }, (_unused, i) => from + BigInt(i));
  const fixed: readonly Key[] = isStringKey ? pool.strings : pool.integers;
  const others = isStringKey ? numbers.map((number) => `k${number}`) : numbers;
  const keys = [...new Set<Key>([...fixed.filter(() => random.chance(0.5)), ...others])];
  for (let i = keys.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [keys[i], keys[j]] = [keys[j]!, keys[i]!];
  }
  return keys.slice(0, rowCount);
}

function makeRow(
  random: Random,
  schema: CollectionSchema,
  pool: FilterPool,
  { key, timestamp, part }: { key: Key; timestamp: bigint; part: number },
): DatasetRow {
  const isSparse = random.chance(0.5);
  const made = makeRandomRow(random, schema, pool);
  const values = new Map<bigint, FieldValue>();
  for (const { fieldId, dataType, nullable } of schema.fields) {
    const isNull = isSparse && nullable && random.chance(NULL_CHANCE);
    if (isNull) {
      values.set(fieldId, undefined);
    } else if (dataType === DataType.FloatVector) {
      values.set(fieldId, Array.from({ length: DIM }, () => Math.fround(random.next() - 0.5)));
    } else {
      values.set(fieldId, made.getValue(fieldId));
    }
  }
  values.set(KEY_FIELD, key);
  const getValue = (fieldId: bigint): FieldValue => values.get(fieldId);
  return { key, insertedAt: timestamp, deletedAt: NEVER, part, getValue };
}

function encodeRows(
  random: Random,
  schema: CollectionSchema,
  rows: readonly DatasetRow[],
): Uint8Array {
  const columns = schema.fields.map((field) => {
    const cells = rows.map((row): CellValue => {
      const value = row.getValue(field.fieldId);
      if (value === undefined) return null;
      return field.dataType === DataType.JSON ? writeJson(random, value) : (value as CellValue);
    });
    return encodeColumn(field, cells);
  });
  const rowIds = { fieldId: 0n, dataType: DataType.Int64, data: new BigInt64Array(rows.length) };
  return encodeRowBatch([rowIds, ...columns], rows.length);
}

/** The value's JSON text, sometimes with the space and the escapes that clients may write. */
function writeJson(random: Random, value: JsonValue): string {
  const text = formatJson(value);
  if (random.chance(0.7)) return text;
  return ` ${text.replaceAll('"a', (found) => (random.chance(0.2) ? '"\\u0061' : found))}\n`;
}

class StateMaker {
  readonly #random: Random;
  readonly #schema: CollectionSchema;
  readonly #history: History;
  readonly #folder: string;
  readonly #opened: NativeSegment[] = [];
  #files = 0;

  constructor(random: Random, schema: CollectionSchema, history: History, folder: string) {
    this.#random = random;
    this.#schema = schema;
    this.#history = history;
    this.#folder = folder;
  }

  async make(): Promise<DatasetState[]> {
    const { lastTimestamp } = this.#history;
    const growing = this.#grow(undefined);
    const parts = Array.from({ length: PARTS }, (_unused, part) => this.#grow(part));
    // Deletes up to some moment are left out of the files; the later ones are applied again.
    const dropUpTo = 1000n + BigInt(this.#random.below(Number(lastTimestamp - 1000n)));
    const whole = await this.#write([growing], 0n);
    const sealed = await this.#open(whole, 0n);
    const indexed = await this.#open(whole, 0n);
    const sealedParts: NativeSegment[] = [];
    for (const part of parts) {
      sealedParts.push(await this.#open(await this.#write([part], 0n), 0n));
    }
    const compacted = await this.#open(await this.#write(sealedParts, dropUpTo), dropUpTo);
    await this.#index(indexed, 0.8);
    if (this.#random.chance(0.5)) await this.#index(compacted, 0.3);
    const [first, second, third] = sealedParts;
    const mixed = [parts[0]!, second!, third!];
    if (this.#random.chance(0.5)) mixed[0] = first!;
    return [
      { name: 'growing', segments: [growing], keptFrom: 0n },
      { name: 'sealed', segments: [sealed], keptFrom: 0n },
      { name: 'indexed', segments: [indexed], keptFrom: 0n },
      { name: 'compacted', segments: [compacted], keptFrom: dropUpTo },
      { name: 'mixed', segments: mixed, keptFrom: 0n },
    ];
  }

  close(): void {
    for (const segment of this.#opened) native.closeSegment(segment);
  }

  /** Plays the history into a growing segment; `part` undefined = all rows. */
  #grow(part: number | undefined): NativeSegment {
    const segment = native.createGrowing(getNativeFields(this.#schema));
    this.#opened.push(segment);
    const { batches, deletes } = this.#history;
    const events = [
      ...batches.map(({ timestamp, rows }) => ({ timestamp, order: 1, rows })),
      ...deletes.map((entry) => ({ timestamp: entry.timestamp, order: 0, entry })),
    ].sort((a, b) => Number(a.timestamp - b.timestamp) || a.order - b.order);
    for (const event of events) {
      if ('entry' in event) {
        this.#applyDelete(segment, event.entry);
        continue;
      }
      const rows = event.rows.filter((row) => part === undefined || row.part === part);
      if (rows.length === 0) continue;
      native.appendRows(segment, encodeRows(this.#random, this.#schema, rows), event.timestamp);
    }
    return segment;
  }

  #applyDelete(segment: NativeSegment, { keys, timestamp, killsUpTo }: Delete): void {
    if (keys.length === 0) return;
    native.deleteKeys([segment], packKeys(toNativeKeys(keys)), timestamp, killsUpTo);
  }

  async #write(segments: readonly NativeSegment[], dropUpTo: bigint): Promise<string> {
    const path = join(this.#folder, `segment-${this.#files++}`);
    const writer = await native.createWriter(segments, dropUpTo);
    const file = await open(path, 'w');
    await writeSegmentFile(this.#schema, getNativeFields(this.#schema), writer, {
      write: async (bytes) => {
        await file.write(bytes);
      },
    });
    await file.close();
    native.closeWriter(writer);
    return path;
  }

  /** Opens a file and applies the deletes that it lacks, as after a restart. */
  async #open(path: string, deletesUpTo: bigint): Promise<NativeSegment> {
    const file = await open(path, 'r');
    const { size } = await file.stat();
    const { rows, layout } = await readSegmentLayout(path, size, async (offset, length) => {
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, offset);
      return bytes;
    });
    await file.close();
    const segment = await native.openSealed(getNativeFields(this.#schema), path, rows, layout);
    this.#opened.push(segment);
    const deletes = this.#history.deletes
      .filter(({ keys }) => keys.length > 0)
      .toSorted((a, b) => Number(a.timestamp - b.timestamp))
      .map((entry) => ({ ...entry, keys: toNativeKeys(entry.keys) }));
    await native.applyDeletes(
      [{ segment, partitionId: 0n, deletesUpTo }],
      encodeDeletes(deletes),
    );
    return segment;
  }

  /** Scalar indexes over random fields and JSON paths, and one over the vectors. */
  async #index(segment: NativeSegment, chance: number): Promise<void> {
    for (const { fieldId, dataType } of this.#schema.fields) {
      if (dataType === DataType.JSON) await this.#indexPaths(segment, fieldId, chance);
      if (!INDEXED.has(dataType) || !this.#random.chance(chance)) continue;
      const params = { kind: 'SCALAR', metric: '', params: {} };
      await this.#attach(segment, fieldId, params);
    }
    const isGraph = this.#random.chance(0.5);
    const params = isGraph
      ? { kind: 'HNSW', metric: 'L2', params: { M: 8, efConstruction: 40 } }
      : { kind: 'IVF_FLAT', metric: 'L2', params: { nlist: 8 } };
    await this.#attach(segment, VECTOR_FIELD, params);
  }

  async #indexPaths(segment: NativeSegment, fieldId: bigint, chance: number): Promise<void> {
    const { pool } = this.#history;
    const paths = [...pool.keys.map((key) => [key]), makeRandomPath(this.#random, pool), []];
    for (const jsonPath of paths) {
      for (const jsonCastType of JSON_CASTS) {
        if (!this.#random.chance(0.4 * chance)) continue;
        const base = { kind: 'SCALAR', metric: '', params: {} };
        await this.#attach(segment, fieldId, { ...base, jsonPath, jsonCastType });
      }
    }
  }

  async #attach(
    segment: NativeSegment,
    fieldId: bigint,
    params: Parameters<typeof native.buildIndex>[2],
  ): Promise<void> {
    const path = join(this.#folder, `index-${this.#files++}`);
    await native.buildIndex(segment, fieldId, params, path, this.#files);
    await native.attachIndex(segment, fieldId, path);
  }
}

export function toNativeKeys(keys: readonly Key[]): NativeKeys {
  return typeof keys[0] === 'string'
    ? (keys as readonly string[])
    : BigInt64Array.from(keys as readonly bigint[]);
}
