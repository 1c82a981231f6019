// Upsert of some fields: read the rows, put the given fields in, write them back whole. The shard
// refuses the write when one of the rows was written in between (R6); the caller then does it
// again.

import { applyArrayOp } from '../../codec/array-op.ts';
import type { CheckedColumns } from '../../codec/check-columns.ts';
import { checkColumns, type CheckOptions } from '../../codec/check-columns.ts';
import { buildRowBatch } from '../../codec/field-data-to-rows.ts';
import { PartialUpdateOp, type UpsertRequest } from '../../codec/insert-request.ts';
import { mergeJsonObjects } from '../../codec/project-json.ts';
import {
  concatRows,
  encodeRowBatch,
  takeRows,
  type ColumnInput,
} from '../../codec/row-batch-ops.ts';
import { RowBatchReader, type RowColumn } from '../../codec/row-batch.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType, getDataTypeName } from '../../model/data-type.ts';
import { invalidParameter } from '../../model/error.ts';
import {
  findField,
  getPrimaryKeyField,
  ROW_ID_FIELD_ID,
  TIMESTAMP_FIELD_ID,
  type FieldSchema,
} from '../../model/schema.ts';
import type { Keys } from '../../rpc/contract.ts';
import { KeyReader } from '../../segment/reduce.ts';
import type { Proxy, RequestContext } from './proxy.ts';
import { toShardRead } from './read-target.ts';
import { splitKeys } from './sharding.ts';

/** The rows of the request: the fields that it gives, and the keys. */
export interface GivenRows {
  readonly checked: CheckedColumns;
  readonly given: Keys;
  readonly rowIds: BigInt64Array;
}

export interface MergedRows {
  /** Whole rows: those that existed first, then new ones. */
  readonly batch: RowBatchReader;
  readonly keys: Keys;
  /** The rows were read at these timestamps, by shard. */
  readonly readTimestamps: readonly bigint[];
}

/**
 * @throws MilvusError ParameterInvalid when a new row lacks a field, or an array operation does not
 * fit
 */
export async function mergePartialRows(
  proxy: Proxy,
  info: CollectionInfo,
  request: UpsertRequest,
  { checked, given, rowIds }: GivenRows,
  options: CheckOptions,
  context: RequestContext,
): Promise<MergedRows> {
  const { schema } = info;
  const primary = getPrimaryKeyField(schema);
  checkFieldOps(schema.fields, checked, request);
  const { old, readTimestamps } = await readRows(proxy, info, given, context);
  const oldRowOf = new Map<bigint | string, number>();
  const oldKeys = new KeyReader(old, primary);
  for (let row = 0; row < old.rows; row++) oldRowOf.set(oldKeys.at(row), row);
  const existing: number[] = [];
  const fresh: number[] = [];
  given.values.forEach((key: bigint | string, row: number) => {
    (oldRowOf.has(key) ? existing : fresh).push(row);
  });
  const parts: RowBatchReader[] = [];
  if (existing.length > 0) {
    const patch = new RowBatchReader(buildRowBatch(checked, rowIds, Uint32Array.from(existing)));
    const kept = existing.map((row) => oldRowOf.get(given.values[row]!)!);
    parts.push(patchRows(info, new RowBatchReader(takeRows(old, kept)), patch, request));
  }
  if (fresh.length > 0) {
    const whole = checkColumns(schema, request.fieldsData, options);
    parts.push(new RowBatchReader(buildRowBatch(whole, rowIds, Uint32Array.from(fresh))));
  }
  const batch = parts.length === 1 ? parts[0]! : new RowBatchReader(concatRows(parts));
  return { batch, keys: readKeyColumn(batch, primary), readTimestamps };
}

/** Returns a key column's values. */
export function readKeyColumn(batch: RowBatchReader, field: FieldSchema): Keys {
  const reader = new KeyReader(batch, field);
  const values = Array.from({ length: batch.rows }, (_unused, row) => reader.at(row));
  return field.dataType === DataType.Int64
    ? { kind: 'int64', values: BigInt64Array.from(values as bigint[]) }
    : { kind: 'string', values: values as string[] };
}

async function readRows(
  proxy: Proxy,
  info: CollectionInfo,
  given: Keys,
  context: RequestContext,
): Promise<{ old: RowBatchReader; readTimestamps: bigint[] }> {
  const outputFieldIds = info.schema.fields.map((field) => field.fieldId);
  const byShard = splitKeys(info, given);
  const target = { partitionIds: [], ignoreGrowing: false, pinnedTimestamp: 0n };
  const replies = await Promise.all(
    info.vchannels.map((vchannel, shard) => {
      const empty: Keys =
        given.kind === 'int64'
          ? { kind: 'int64', values: new BigInt64Array() }
          : { kind: 'string', values: [] };
      const keys = byShard[shard] ?? empty;
      const params = { keys, limit: 0, outputFieldIds, countOnly: false };
      return proxy.peers.streamingnode.query(
        { ...toShardRead(info, vchannel, target), params },
        context,
      );
    }),
  );
  const batches = replies.map((reply) => new RowBatchReader(reply.rows));
  return {
    old: batches.length === 1 ? batches[0]! : new RowBatchReader(concatRows(batches)),
    readTimestamps: replies.map((reply) => reply.timestamp),
  };
}

/**
 * The old rows with the patch's columns in place of theirs; both have the same rows in the same
 * order.
 */
function patchRows(
  info: CollectionInfo,
  old: RowBatchReader,
  patch: RowBatchReader,
  request: UpsertRequest,
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
    const op = request.fieldOps.find(({ fieldName }) => fieldName === field.name)?.op;
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
  request: UpsertRequest,
): void {
  const seen = new Set<string>();
  for (const { fieldName, op } of request.fieldOps) {
    const field = findField({ fields } as never, fieldName);
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
