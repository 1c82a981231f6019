// Random filters over random rows: native's answer in every state of the data (P5) against the slow
// oracle. Replay: FILTER_FUZZ_SEED=<seed> FILTER_FUZZ_DATASET=<n> [FILTER_FUZZ_FILTER=<n>]; more
// work: FILTER_FUZZ_FILTERS=<count>.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RowBatchReader } from '../../src/codec/row-batch.ts';
import { compileFilter } from '../../src/expr/compile.ts';
import { encodePlan } from '../../src/expr/encode-plan.ts';
import type { PlanNode } from '../../src/expr/plan.ts';
import { native, type NativeQueryRequest } from '../../src/index/native.ts';
import type { QueryReply } from '../../src/model/read.ts';
import { DataType } from '../../src/model/data-type.ts';
import { TIMESTAMP_FIELD_ID } from '../../src/model/schema.ts';
import { Random } from '../support/codec/random.ts';
import {
  KEY_FIELD,
  makeDataset,
  toNativeKeys,
  VECTOR_FIELD,
  type Dataset,
  type DatasetRow,
  type DatasetState,
} from '../support/filter-dataset.ts';
import { formatJson, type JsonValue } from '../support/json-value.ts';
import { evaluateRow } from '../support/oracle/evaluate.ts';
import { printPlan } from '../support/print-plan.ts';
import { makeRandomFilter } from '../support/random-filter.ts';
import { shrinkPlan } from '../support/shrink-plan.ts';

const SEED = Number(process.env['FILTER_FUZZ_SEED'] ?? 4711);
const FILTERS = Number(process.env['FILTER_FUZZ_FILTERS'] ?? 100_000);
const ONLY_DATASET = process.env['FILTER_FUZZ_DATASET'];
const ONLY_FILTER = process.env['FILTER_FUZZ_FILTER'];
const FILTERS_PER_DATASET = 2500;

/** What a filter must give. */
interface Expected {
  /** The newest of the matching rows of each key (R7). */
  readonly rows: readonly DatasetRow[];
  /** Of all matching rows. */
  readonly count: number;
  /** Keys of matching rows that a search can find. */
  readonly withVector: readonly (bigint | string)[];
}

test('native and the oracle agree on random filters in every state of the data', async () => {
  const started = performance.now();
  const datasets = Math.ceil(FILTERS / FILTERS_PER_DATASET);
  let compared = 0;
  let kept = 0;
  for (let d = 0; d < datasets; d += 1) {
    if (ONLY_DATASET !== undefined && Number(ONLY_DATASET) !== d) continue;
    const folder = await mkdtemp(join(tmpdir(), 'elanus-fuzz-'));
    const random = new Random(SEED * 1000 + d);
    const dataset = await makeDataset(random, folder, pickRowCount(random, d));
    try {
      await compareWholeRows(dataset);
      const filters = Math.min(FILTERS_PER_DATASET, FILTERS - d * FILTERS_PER_DATASET);
      for (let f = 0; f < filters; f += 1) {
        if (ONLY_FILTER !== undefined && Number(ONLY_FILTER) !== f) continue;
        const fuzz = new FilterRun(dataset, d, f);
        kept += await fuzz.run();
        compared += 1;
      }
    } finally {
      dataset.close();
      await rm(folder, { recursive: true });
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`seed ${SEED}: ${compared} filters, ${kept} rows kept, ${seconds} s`);
});

/** Mostly a few words of rows; now and then one row, exactly a word, or many. */
function pickRowCount(random: Random, dataset: number): number {
  const counts = [1, 64, 65, 128, 700];
  if (dataset % 8 === 7) return random.pick(counts);
  return 100 + random.below(150);
}

/** Reads every field of every row in each state: all must give what the rows were made from. */
async function compareWholeRows(dataset: Dataset): Promise<void> {
  const request = makeQuery(dataset.lastTimestamp, { outputFieldIds: dataset.allFieldIds });
  let first: Uint8Array | undefined;
  for (const { name, segments } of dataset.states) {
    const { rows } = await native.query(segments, request);
    const bare = stripJson(rows);
    first ??= bare;
    assert.ok(Buffer.compare(first, bare) === 0, `seed ${SEED}: rows differ in state ${name}`);
  }
}

/** The JSON text is the client's; states made from other texts of one value may differ in it. */
function stripJson(rows: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { fieldId, dataType, data, validity, offsets } of new RowBatchReader(rows).columns) {
    parts.push(Buffer.from(`${fieldId}:`));
    if (validity !== undefined) parts.push(validity);
    if (dataType === DataType.JSON) continue;
    if (offsets !== undefined) parts.push(new Uint8Array(Uint32Array.from(offsets).buffer));
    parts.push(data);
  }
  return Buffer.concat(parts);
}

function makeQuery(
  readTimestamp: bigint,
  more: Partial<NativeQueryRequest> = {},
): NativeQueryRequest {
  return { readTimestamp, limit: 0, outputFieldIds: [], countOnly: false, ...more };
}

/** One filter over all states of one data set. */
class FilterRun {
  readonly #dataset: Dataset;
  readonly #label: string;
  readonly #random: Random;

  constructor(dataset: Dataset, d: number, f: number) {
    this.#dataset = dataset;
    this.#label =
      `FILTER_FUZZ_SEED=${SEED} FILTER_FUZZ_DATASET=${d} FILTER_FUZZ_FILTER=${f}`;
    this.#random = new Random((SEED * 1000 + d) * 7919 + f);
  }

  /** Returns how many rows the filter keeps. */
  async run(): Promise<number> {
    const { filterSchema, pool, states, lastTimestamp } = this.#dataset;
    const random = this.#random;
    const depthMax = random.below(4);
    const filter = makeRandomFilter(random, { schema: filterSchema, pool, depthMax });
    let plan: PlanNode;
    try {
      plan = compileFilter(filter.text, filterSchema, filter.templates);
    } catch (error) {
      throw new Error(`${this.#label}: does not compile: ${filter.text}`, { cause: error });
    }
    const isPast = random.chance(0.15);
    const back = isPast ? BigInt(random.below(Number(lastTimestamp - 999n))) : 0n;
    const timestamp = lastTimestamp - back;
    const bytes = encodePlan(plan);
    const expected = evaluate(this.#dataset, plan, timestamp);
    const readable = states.filter(({ keptFrom }) => timestamp >= keptFrom);
    const request = makeQuery(timestamp, { plan: bytes });
    const results = await Promise.all(
      readable.map(({ segments }) =>
        native.query(segments, request).catch((error: unknown) => error as Error),
      ),
    );
    for (const [i, result] of results.entries()) {
      const state = readable[i]!;
      if (!(result instanceof Error) && isSame(this.#dataset, result, expected.rows)) continue;
      await this.#explain(filter.text, plan, timestamp, state, result);
    }
    if (random.chance(0.05)) await this.#checkVariants(bytes, timestamp, expected, readable);
    return expected.rows.length;
  }

  /** The same filter as a count, with a limit, with keys, and under a search for everything. */
  async #checkVariants(
    plan: Uint8Array,
    readTimestamp: bigint,
    expected: Expected,
    states: readonly DatasetState[],
  ): Promise<void> {
    const { rows } = expected;
    const { segments, name } = this.#random.pick(states);
    const where = `${this.#label}, state ${name}`;
    const ask = (more: Partial<NativeQueryRequest>): Promise<QueryReply> =>
      native.query(segments, makeQuery(readTimestamp, { plan, ...more }));
    assert.equal((await ask({ countOnly: true })).count, expected.count, `${where}: count`);
    const limit = 1 + this.#random.below(20);
    const limited = await ask({ limit });
    assert.ok(isSame(this.#dataset, limited, rows.slice(0, limit)), `${where}: limit`);
    const some = rows.filter(() => this.#random.chance(0.3));
    if (some.length > 0) {
      const keyed = await ask({ keys: toNativeKeys(some.map(({ key }) => key)) });
      assert.ok(isSame(this.#dataset, keyed, some), `${where}: keys`);
    }
    // A key is found by any of its rows that has a vector, not by the newest alone.
    const wanted = new Set(expected.withVector);
    const found = await native.search(segments, {
      fieldId: VECTOR_FIELD,
      metric: 'L2',
      nq: 1,
      k: Math.max(1, wanted.size + this.#random.below(3)),
      queries: new Uint8Array(Float32Array.of(0.1, -0.2, 0.3, 0).buffer),
      plan,
      readTimestamp,
      indexParams: {},
      outputFieldIds: [],
    });
    const keys = readKeys(this.#dataset, found.rows);
    assert.equal(new Set(keys).size, wanted.size, `${where}: hits of a search (P4)`);
    assert.ok(keys.every((key) => wanted.has(key)), `${where}: a search finds other rows`);
  }

  async #explain(
    text: string,
    plan: PlanNode,
    timestamp: bigint,
    state: DatasetState,
    result: QueryReply | Error,
  ): Promise<never> {
    const dataset = this.#dataset;
    const ask = async (candidate: PlanNode): Promise<QueryReply | Error> =>
      native
        .query(state.segments, makeQuery(timestamp, { plan: encodePlan(candidate) }))
        .catch((error: unknown) => error as Error);
    const smallest = await shrinkPlan(plan, async (candidate) => {
      const got = await ask(candidate);
      const { rows } = evaluate(dataset, candidate, timestamp);
      return got instanceof Error || !isSame(dataset, got, rows);
    });
    const got = await ask(smallest);
    const lines = [
      this.#label,
      `state ${state.name}, read at ${timestamp}, ${dataset.rows.length} rows`,
      `filter: ${text}`,
      `smallest: ${printPlan(smallest, dataset.filterSchema)}`,
    ];
    if (got instanceof Error) {
      lines.push(`native throws: ${got.message}`);
    } else {
      for (const line of explainRows(dataset, smallest, timestamp, got)) lines.push(line);
    }
    if (result instanceof Error) lines.push(`the whole filter throws: ${result.message}`);
    throw new Error(lines.join('\n'));
  }
}

function evaluate(dataset: Dataset, plan: PlanNode, timestamp: bigint): Expected {
  const matching = dataset.rows.filter(
    (row) =>
      row.insertedAt <= timestamp && row.deletedAt > timestamp && evaluateRow(plan, row) === true,
  );
  const rows = matching.filter((row, i) => matching[i + 1]?.key !== row.key);
  const withVector = matching
    .filter((row) => row.getValue(VECTOR_FIELD) !== undefined)
    .map(({ key }) => key);
  return { rows, count: matching.length, withVector };
}

function readKeys(dataset: Dataset, rows: Uint8Array): readonly (bigint | string)[] {
  const batch = new RowBatchReader(rows);
  const column = batch.findColumn(KEY_FIELD)!;
  if (!dataset.isStringKey) return [...column.asInt64()];
  return Array.from({ length: batch.rows }, (_unused, row) => column.getString(row));
}

function isSame(
  dataset: Dataset,
  { rows }: QueryReply,
  expected: readonly DatasetRow[],
): boolean {
  const batch = new RowBatchReader(rows);
  if (batch.rows !== expected.length) return false;
  const timestamps = batch.findColumn(TIMESTAMP_FIELD_ID)!.asInt64();
  const column = batch.findColumn(KEY_FIELD)!;
  const numbers = dataset.isStringKey ? undefined : column.asInt64();
  return expected.every((row, i) => {
    const key = numbers === undefined ? column.getString(i) : numbers[i];
    return key === row.key && timestamps[i] === row.insertedAt;
  });
}

/** The first row that one side keeps and the other does not, with its values. */
function explainRows(
  dataset: Dataset,
  plan: PlanNode,
  timestamp: bigint,
  got: QueryReply,
): string[] {
  const keys = readKeys(dataset, got.rows);
  const gotKeys = new Set(keys);
  const expected = evaluate(dataset, plan, timestamp).rows;
  const expectedKeys = new Set(expected.map(({ key }) => key));
  const wrong = dataset.rows.find(
    ({ key, insertedAt, deletedAt }) =>
      insertedAt <= timestamp &&
      deletedAt > timestamp &&
      gotKeys.has(key) !== expectedKeys.has(key),
  );
  const counts = `expected ${expected.length} rows, got ${keys.length}`;
  if (wrong === undefined) return [counts, 'same keys, other order or versions'];
  const oracle = evaluateRow(plan, wrong);
  const values = dataset.filterSchema.fields
    .filter(({ fieldId }) => fieldId !== VECTOR_FIELD)
    .map(({ fieldId, name }) => {
      const value = wrong.getValue(fieldId);
      return `  ${name}: ${value === undefined ? 'null' : formatJson(value as JsonValue)}`;
    });
  return [counts, `row: expected ${oracle}, native keeps it: ${gotKeys.has(wrong.key)}`, ...values];
}
