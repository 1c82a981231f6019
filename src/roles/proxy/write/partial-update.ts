// Upsert of some fields: the stored rows with the given fields put in, whole again. The caller has
// the rows' locks, so that nobody writes them between the read here and the write (R6).

import { applyArrayOp } from '../../../codec/array-op.ts';
import { PartialUpdateOp, type FieldPartialUpdateOp } from '../../../codec/insert-request.ts';
import { mergeJsonObjects } from '../../../codec/project-json.ts';
import {
  concatRows,
  encodeRowBatch,
  takeRows,
  type ColumnInput,
} from '../../../codec/row-batch-ops.ts';
import { RowBatchReader, type RowColumn } from '../../../codec/row-batch.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType, getDataTypeName } from '../../../model/data-type.ts';
import { invalidParameter } from '../../../model/error.ts';
import {
  findPartitionKeyField,
  getPrimaryKeyField,
  ROW_ID_FIELD_ID,
  TIMESTAMP_FIELD_ID,
  type FieldSchema,
} from '../../../model/schema.ts';
import type { Keys } from '../../../model/keys.ts';
import { KeyReader } from '../../../segment/reduce.ts';
import { queryEachShard } from '../read/read-shards.ts';
import { buildRowBatch, readKeys } from './build-row-batch.ts';
import type { CheckedColumns } from './check-columns.ts';
import { checkJson, checkRows } from './check-rows.ts';
import type { RowSlice } from './row-source.ts';
import {
  makeCheckOptions,
  requirePartition,
  type PreparedRows,
  type WriteAttempt,
} from './shard-rows.ts';
import type { ShardWrites } from './shard-writes.ts';
import { hashKey, splitKeys } from './sharding.ts';

/** A slice of the request: the fields that it gives, and the keys. */
export interface GivenRows {
  readonly slice: RowSlice;
  readonly checked: CheckedColumns;
  readonly keys: Keys;
  readonly keysByShard: readonly (Keys | undefined)[];
  readonly rowIds: BigInt64Array;
  /** The one that is read and written; 0 = all. */
  readonly partitionId: bigint;
}

/** @throws MilvusError ParameterInvalid, PartitionNotFound */
export async function readGivenRows(attempt: WriteAttempt, slice: RowSlice): Promise<GivenRows> {
  const { proxy, info } = attempt;
  const partitionId = requirePartition(attempt);
  const checked = slice.check({ ...makeCheckOptions(attempt, slice), allowMissingFields: true });
  checkFieldOps(info.schema.fields, checked, attempt.fieldOps);
  const { firstRow, rowCount } = slice;
  const rowIds = await attempt.rowIds.get(firstRow, () => proxy.rowIds.take(rowCount));
  const keys = readKeys(checked.columns.find(({ field }) => field.isPrimaryKey)!, rowIds);
  return { slice, checked, keys, keysByShard: splitKeys(info, keys), rowIds, partitionId };
}

/**
 * Returns whole rows: those that exist first, then new ones.
 * @param writes  rows of shards that have written theirs are left out
 * @throws MilvusError ParameterInvalid when a new row lacks a field, or a row that results does not
 * fit the schema
 */
export async function mergePartialRows(
  attempt: WriteAttempt,
  given: GivenRows,
  writes: ShardWrites,
): Promise<PreparedRows> {
  const { info, fieldOps } = attempt;
  const { schema } = info;
  const { slice, checked, keys, rowIds } = given;
  const shardCount = info.vchannels.length;
  const isWanted = (row: number): boolean =>
    !writes.hasBegun || !writes.isWritten(hashKey(keys.values[row]!) % shardCount);
  const wanted = Array.from(keys.values.keys()).filter(isWanted);
  const old = await readRows(attempt, given, writes);
  const { existing, kept, fresh } = matchRows(info, keys, wanted, old);
  const order = [...existing, ...fresh];
  const toRequestRow = (row: number): number => slice.firstRow + order[row]!;
  const parts: RowBatchReader[] = [];
  if (existing.length > 0) {
    const patch = buildRowBatch(checked, rowIds, Uint32Array.from(existing));
    const fields = checked.columns.map(({ field }) => field);
    checkJson(fields, patch, schema.name, toRequestRow);
    const before = new RowBatchReader(takeRows(old, kept));
    parts.push(patchRows(info, before, new RowBatchReader(patch), fieldOps));
  }
  if (fresh.length > 0) {
    const whole = slice.check(makeCheckOptions(attempt, slice));
    parts.push(new RowBatchReader(buildRowBatch(whole, rowIds, Uint32Array.from(fresh))));
  }
  const batch = parts.length === 1 ? parts[0]! : new RowBatchReader(concatRows(parts));
  checkRows(schema.fields, batch, {
    collectionName: checked.collectionName,
    jsonBytesMax: attempt.proxy.deps.limits.jsonMaxLength,
    toRequestRow,
  });
  const partitionField = findPartitionKeyField(schema);
  return {
    rowCount: order.length,
    toRequestRow,
    given: keys,
    keys, // The reply lists them as the client did.
    shardKeys: takeKeys(keys, order),
    partition:
      partitionField === undefined || order.length === 0
        ? given.partitionId
        : readKeyColumn(batch, partitionField),
    makeBatch: (rows) => (rows === undefined ? batch.bytes : takeRows(batch, rows)),
  };
}

/** Which of these rows are stored, and as which row of `old`, and which are new. */
function matchRows(
  info: CollectionInfo,
  keys: Keys,
  rows: readonly number[],
  old: RowBatchReader,
): { readonly existing: number[]; readonly kept: number[]; readonly fresh: number[] } {
  const oldRowOf = new Map<bigint | string, number>();
  if (old.rows > 0) {
    const oldKeys = new KeyReader(old, getPrimaryKeyField(info.schema));
    for (let row = 0; row < old.rows; row++) oldRowOf.set(oldKeys.at(row), row);
  }
  const existing = rows.filter((row) => oldRowOf.has(keys.values[row]!));
  const kept = existing.map((row) => oldRowOf.get(keys.values[row]!)!);
  const fresh = rows.filter((row) => !oldRowOf.has(keys.values[row]!));
  return { existing, kept, fresh };
}

function takeKeys(keys: Keys, rows: readonly number[]): Keys {
  if (keys.kind === 'string') {
    return { kind: 'string', values: rows.map((row) => keys.values[row]!) };
  }
  return { kind: 'int64', values: BigInt64Array.from(rows, (row) => keys.values[row]!) };
}

/** Returns a key column's values. */
function readKeyColumn(batch: RowBatchReader, field: FieldSchema): Keys {
  const reader = new KeyReader(batch, field);
  const values = Array.from({ length: batch.rows }, (_unused, row) => reader.at(row));
  return field.dataType === DataType.Int64
    ? { kind: 'int64', values: BigInt64Array.from(values as bigint[]) }
    : { kind: 'string', values: values as string[] };
}

async function readRows(
  { proxy, info, context }: WriteAttempt,
  { keysByShard, partitionId }: GivenRows,
  writes: ShardWrites,
): Promise<RowBatchReader> {
  const rows = keysByShard.reduce((sum, keys) => sum + (keys?.values.length ?? 0), 0);
  const query = {
    target: {
      partitionIds: partitionId === 0n ? [] : [partitionId],
      ignoreGrowing: false,
      pinnedTimestamp: 0n,
    },
    params: {
      outputFieldIds: info.schema.fields.map((field) => field.fieldId),
      limit: 0,
      countOnly: false,
    },
    ofShard: (shard: number) => {
      const keys = keysByShard[shard];
      return keys === undefined || writes.isWritten(shard) ? undefined : { keys };
    },
    size: { rows, rowsEach: rows, spareRows: 0, isInternal: true },
  };
  const found = await queryEachShard(proxy, info, query, context);
  const batches = found.map((reply) => new RowBatchReader(reply.rows));
  return batches.length === 1 ? batches[0]! : new RowBatchReader(concatRows(batches));
}

/**
 * The old rows with the patch's columns in place of theirs; both have the same rows in the same
 * order.
 */
function patchRows(
  info: CollectionInfo,
  old: RowBatchReader,
  patch: RowBatchReader,
  fieldOps: readonly FieldPartialUpdateOp[],
): RowBatchReader {
  const columns: ColumnInput[] = [];
  const rowIds = patch.findColumn(ROW_ID_FIELD_ID)!;
  columns.push(rowIds);
  for (const field of info.schema.fields) {
    const before = old.findColumn(field.fieldId);
    const after = patch.findColumn(field.fieldId);
    if (after === undefined) {
      if (before !== undefined && before.fieldId !== TIMESTAMP_FIELD_ID) columns.push(before);
      continue;
    }
    const op = fieldOps.find(({ fieldName }) => fieldName === field.name)?.op;
    if (field.isDynamic && before !== undefined) columns.push(mergeDynamic(before, after));
    else if (before === undefined || op === undefined || op === PartialUpdateOp.Replace) {
      columns.push(after);
    } else {
      columns.push(applyArrayOp(field, before, after, op === PartialUpdateOp.ArrayAppend));
    }
  }
  return new RowBatchReader(encodeRowBatch(columns, old.rows));
}

/** Dynamic keys are fields of their own: those not given stay. */
function mergeDynamic(before: RowColumn, after: RowColumn): ColumnInput {
  const texts = Array.from({ length: after.rows }, (_unused, row) =>
    mergeJsonObjects(before.getBytes(row), after.getBytes(row)),
  );
  const offsets = new Uint32Array(after.rows + 1);
  texts.forEach((text, row) => {
    offsets[row + 1] = offsets[row]! + text.length;
  });
  const { fieldId, dataType } = after;
  return { fieldId, dataType, offsets, data: Buffer.concat(texts) };
}

function checkFieldOps(
  fields: readonly FieldSchema[],
  checked: CheckedColumns,
  fieldOps: readonly FieldPartialUpdateOp[],
): void {
  const seen = new Set<string>();
  for (const { fieldName, op } of fieldOps) {
    const field = fields.find(({ name }) => name === fieldName);
    if (field === undefined) throw invalidParameter(`field ${fieldName} not exist`);
    if (seen.has(fieldName))
      throw invalidParameter(`field ${fieldName} has more than one operation`);
    seen.add(fieldName);
    if (field.isPrimaryKey) {
      throw invalidParameter(
        `field "${fieldName}" is the primary key and cannot carry a partial-update op`,
      );
    }
    const opName = op === PartialUpdateOp.ArrayAppend ? 'ARRAY_APPEND' : 'ARRAY_REMOVE';
    if (op !== PartialUpdateOp.Replace && field.dataType !== DataType.Array) {
      throw invalidParameter(
        `op ${opName} requires Array field, but field "${fieldName}" is ` +
          getDataTypeName(field.dataType),
      );
    }
    if (!checked.columns.some((column) => column.field.name === fieldName)) {
      throw invalidParameter(
        `partial-update op targets field "${fieldName}" not present in fields_data`,
      );
    }
  }
}
