// Array columns changed in place by a partial update: elements appended, or removed by value.

import { forEachString, getArrayLength } from './array-blob.ts';
import type { ColumnInput } from './row-batch-ops.ts';
import type { RowColumn } from './row-batch.ts';
import { DataType } from '../model/data-type.ts';
import type { FieldSchema } from '../model/schema.ts';
import { getFixedWidth } from '../model/stored-types.ts';

/**
 * Appends the elements of `change` to those of `before`, or removes every element that occurs in
 * `change`. A null array counts as an empty one; a null change leaves the row as it is. Whether the
 * result fits the field is checked with the whole row (check-rows.ts).
 */
export function applyArrayOp(
  field: FieldSchema,
  before: RowColumn,
  change: RowColumn,
  isAppend: boolean,
): ColumnInput {
  const { elementType } = field;
  const blobs: Buffer[] = [];
  const validity = new Uint8Array((before.rows + 7) >> 3);
  const offsets = new Uint32Array(before.rows + 1);
  for (let row = 0; row < before.rows; row++) {
    const old = before.isValid(row) ? splitBlob(before.getBytes(row), elementType) : [];
    const given = change.isValid(row) ? splitBlob(change.getBytes(row), elementType) : [];
    const elements = isAppend ? [...old, ...given] : removeAll(old, given);
    const isNull = !before.isValid(row) && !change.isValid(row);
    const blob = isNull ? Buffer.alloc(0) : joinBlob(elements, elementType);
    if (!isNull) validity[row >> 3]! |= 1 << (row & 7);
    blobs.push(blob);
    offsets[row + 1] = offsets[row]! + blob.length;
  }
  const data = Buffer.concat(blobs);
  const { fieldId, dataType } = before;
  return { fieldId, dataType, elementType, validity, offsets, data };
}

/** Looked up: both lists may have thousands of elements, in each of thousands of rows. */
function removeAll(elements: readonly Buffer[], removed: readonly Buffer[]): Buffer[] {
  const gone = new Set(removed.map((element) => element.toString('latin1')));
  return elements.filter((element) => !gone.has(element.toString('latin1')));
}

function splitBlob(bytes: Uint8Array, elementType: number): Buffer[] {
  const blob = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements: Buffer[] = [];
  if (elementType === DataType.VarChar) {
    forEachString(blob, (start, end) => elements.push(blob.subarray(start, end)));
    return elements;
  }
  const width = getFixedWidth(elementType);
  for (let i = 0; i < getArrayLength(blob, elementType); i++) {
    elements.push(blob.subarray(i * width, (i + 1) * width));
  }
  return elements;
}

function joinBlob(elements: readonly Buffer[], elementType: number): Buffer {
  if (elementType !== DataType.VarChar) return Buffer.concat(elements);
  const head = Buffer.alloc(4 + 4 * (elements.length + 1));
  head.writeUInt32LE(elements.length, 0);
  let at = 0;
  elements.forEach((element, i) => {
    at += element.length;
    head.writeUInt32LE(at, 8 + 4 * i);
  });
  return Buffer.concat([head, ...elements]);
}
