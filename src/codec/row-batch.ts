// Row batches (docs/formats/row-batch.md): the one form in which rows travel between roles and
// native. The reader checks the whole structure once, so its getters need no checks; it copies a
// batch that does not begin at a multiple of 8. The builder lays out a batch; the caller fills it.

import assert from 'node:assert/strict';
import { DataType, getDataTypeName } from '../model/data-type.ts';
import { getFixedWidth } from '../model/stored-types.ts';
import { asBuffer, decodeUtf8, DecodeError } from './wire.ts';

const MAGIC = 0x31424c45;
const HEADER_BYTES = 32;
const ENTRY_BYTES = 48;
const UINT32_RANGE = 4294967296;

export interface ColumnSpec {
  readonly fieldId: bigint;
  readonly dataType: number;
  /** Element type of an Array column. */
  readonly elementType?: number;
  readonly dim?: number;
  readonly hasValidity: boolean;
  /** Needed for types of variable width only. */
  readonly dataBytes?: number;
}

/** Where to write a column: all of `data` and `offsets`; `validity` begins as zeros. */
export interface ColumnSlot {
  /** Bit i & 7 of byte i >> 3 is row i, 1 = has a value. */
  readonly validity: Uint8Array | undefined;
  /** rows + 1 ascending offsets into `data`, for types of variable width. */
  readonly offsets: Uint32Array | undefined;
  readonly data: Uint8Array;
}

export function isVariableWidth(dataType: number): boolean {
  return (
    dataType === DataType.VarChar || dataType === DataType.JSON || dataType === DataType.Array
  );
}

/** Lays out a batch: `slots` are in the order of `specs`, the directory ascends by field id. */
export class RowBatchBuilder {
  readonly bytes: Buffer;
  readonly slots: readonly ColumnSlot[];

  constructor(rows: number, specs: readonly ColumnSpec[]) {
    const order = specs.map((_, i) => i).sort((a, b) => compareIds(specs[a]!, specs[b]!));
    let size = HEADER_BYTES + ENTRY_BYTES * specs.length;
    const layouts = specs.map((): Layout => ({ validityAt: 0, offsetsAt: 0, dataAt: 0, bytes: 0 }));
    for (const i of order) {
      const layout = placeColumn(rows, specs[i]!, size);
      layouts[i] = layout;
      size = padTo8(layout.dataAt + layout.bytes);
    }
    this.bytes = Buffer.allocUnsafeSlow(size);
    writeHeader(this.bytes, rows, specs.length);
    order.forEach((i, position) => {
      writeEntry(this.bytes, HEADER_BYTES + ENTRY_BYTES * position, specs[i]!, layouts[i]!);
      clearAround(this.bytes, rows, layouts[i]!);
    });
    this.slots = layouts.map((layout) => makeSlot(this.bytes, rows, layout));
  }
}

interface Layout {
  /** 0 when absent. */
  readonly validityAt: number;
  readonly offsetsAt: number;
  readonly dataAt: number;
  readonly bytes: number;
}

function placeColumn(rows: number, spec: ColumnSpec, start: number): Layout {
  let at = start;
  const validityAt = spec.hasValidity ? at : 0;
  if (spec.hasValidity) at = padTo8(at + ((rows + 7) >> 3));
  const isVariable = isVariableWidth(spec.dataType);
  const offsetsAt = isVariable ? at : 0;
  if (isVariable) at = padTo8(at + 4 * (rows + 1));
  const bytes = isVariable ? spec.dataBytes : rows * getFixedWidth(spec.dataType, spec.dim ?? 0);
  assert.ok(bytes !== undefined && bytes < UINT32_RANGE, 'column data below 4 GiB');
  assert.ok(isVariable || rows === 0 || bytes > 0, 'type without a width in row batches');
  return { validityAt, offsetsAt, dataAt: at, bytes };
}

function writeHeader(bytes: Buffer, rows: number, columns: number): void {
  bytes.fill(0, 0, HEADER_BYTES + ENTRY_BYTES * columns);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(rows, 4);
  bytes.writeUInt32LE(columns, 8);
  writeUint64(bytes, 16, bytes.length);
}

function writeEntry(bytes: Buffer, at: number, spec: ColumnSpec, layout: Layout): void {
  bytes.writeBigInt64LE(spec.fieldId, at);
  bytes[at + 8] = spec.dataType;
  bytes[at + 9] = spec.elementType ?? 0;
  bytes[at + 10] = spec.hasValidity ? 1 : 0;
  bytes.writeUInt32LE(spec.dim ?? 0, at + 12);
  writeUint64(bytes, at + 16, layout.validityAt);
  writeUint64(bytes, at + 24, layout.offsetsAt);
  writeUint64(bytes, at + 32, layout.dataAt);
  writeUint64(bytes, at + 40, layout.bytes);
}

/** Zeroes the validity bitmap and all padding, so that equal rows are equal bytes. */
function clearAround(bytes: Buffer, rows: number, layout: Layout): void {
  if (layout.validityAt > 0) {
    bytes.fill(0, layout.validityAt, padTo8(layout.validityAt + ((rows + 7) >> 3)));
  }
  if (layout.offsetsAt > 0) bytes.fill(0, layout.offsetsAt + 4 * (rows + 1), layout.dataAt);
  const dataEnd = layout.dataAt + layout.bytes;
  bytes.fill(0, dataEnd, padTo8(dataEnd));
}

function makeSlot(bytes: Buffer, rows: number, layout: Layout): ColumnSlot {
  const { buffer, byteOffset } = bytes;
  return {
    validity:
      layout.validityAt > 0
        ? new Uint8Array(buffer, byteOffset + layout.validityAt, (rows + 7) >> 3)
        : undefined,
    offsets:
      layout.offsetsAt > 0
        ? new Uint32Array(buffer, byteOffset + layout.offsetsAt, rows + 1)
        : undefined,
    data: new Uint8Array(buffer, byteOffset + layout.dataAt, layout.bytes),
  };
}

/** One column of a checked batch; views of the batch's bytes. */
export class RowColumn {
  readonly fieldId: bigint;
  readonly dataType: number;
  readonly elementType: number;
  readonly dim: number;
  readonly rows: number;
  readonly validity: Uint8Array | undefined;
  readonly offsets: Uint32Array | undefined;
  readonly data: Uint8Array;

  constructor(spec: ColumnSpec, rows: number, slot: ColumnSlot) {
    this.fieldId = spec.fieldId;
    this.dataType = spec.dataType;
    this.elementType = spec.elementType ?? 0;
    this.dim = spec.dim ?? 0;
    this.rows = rows;
    this.validity = slot.validity;
    this.offsets = slot.offsets;
    this.data = slot.data;
  }

  isValid(row: number): boolean {
    return this.validity === undefined || ((this.validity[row >> 3]! >> (row & 7)) & 1) === 1;
  }

  /** Bytes of a row's value: UTF-8, JSON text, Array blob or little-endian number. */
  getBytes(row: number): Uint8Array {
    if (this.offsets !== undefined) {
      return this.data.subarray(this.offsets[row]!, this.offsets[row + 1]!);
    }
    const width = getFixedWidth(this.dataType, this.dim);
    return this.data.subarray(row * width, (row + 1) * width);
  }

  getString(row: number): string {
    assert.ok(this.offsets !== undefined);
    return decodeUtf8(asBuffer(this.data), this.offsets[row]!, this.offsets[row + 1]!);
  }

  asInt64(): BigInt64Array {
    return new BigInt64Array(this.data.buffer, this.data.byteOffset, this.data.byteLength / 8);
  }

  asFloat(): Float32Array {
    return new Float32Array(this.data.buffer, this.data.byteOffset, this.data.byteLength / 4);
  }
}

export class RowBatchReader {
  readonly rows: number;
  /** Ascending by field id. */
  readonly columns: readonly RowColumn[];
  /** The batch; a copy when the given bytes were not aligned. */
  readonly bytes: Uint8Array;

  /** @throws DecodeError when the bytes are not a well-formed batch. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    if (bytes.length < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) {
      throw new DecodeError('not a row batch');
    }
    this.rows = view.getUint32(4, true);
    const columns = view.getUint32(8, true);
    if (readUint64(view, 16) !== bytes.length || bytes.length % 8 !== 0) {
      throw new DecodeError('row batch is cut');
    }
    if (HEADER_BYTES + ENTRY_BYTES * columns > bytes.length) {
      throw new DecodeError('row batch directory is cut');
    }
    const read: RowColumn[] = [];
    for (let i = 0; i < columns; i += 1) {
      const column = readColumn(this.bytes, view, HEADER_BYTES + ENTRY_BYTES * i, this.rows);
      if (i > 0 && read[i - 1]!.fieldId >= column.fieldId) {
        throw new DecodeError('row batch columns do not ascend');
      }
      read.push(column);
    }
    this.columns = read;
  }

  /** Returns the field's column; a missing one reads as null (or the field's default). */
  findColumn(fieldId: bigint): RowColumn | undefined {
    return this.columns.find((column) => column.fieldId === fieldId);
  }
}

function readColumn(bytes: Uint8Array, view: DataView, at: number, rows: number): RowColumn {
  const spec: ColumnSpec = {
    fieldId: view.getBigInt64(at, true),
    dataType: view.getUint8(at + 8),
    elementType: view.getUint8(at + 9),
    hasValidity: view.getUint8(at + 10) === 1,
    dim: view.getUint32(at + 12, true),
  };
  const isVariable = isVariableWidth(spec.dataType);
  const layout: Layout = {
    validityAt: spec.hasValidity ? readUint64(view, at + 16) : 0,
    offsetsAt: isVariable ? readUint64(view, at + 24) : 0,
    dataAt: readUint64(view, at + 32),
    bytes: readUint64(view, at + 40),
  };
  if (spec.hasValidity) checkRange(bytes, layout.validityAt, (rows + 7) >> 3);
  if (isVariable) checkRange(bytes, layout.offsetsAt, 4 * (rows + 1));
  checkRange(bytes, layout.dataAt, layout.bytes);
  if (!isVariable) {
    const width = getFixedWidth(spec.dataType, spec.dim);
    if (width === 0 && rows > 0) {
      throw new DecodeError(`row batch of unknown type ${getDataTypeName(spec.dataType)}`);
    }
    if (layout.bytes !== rows * width) throw new DecodeError('row batch column has a wrong length');
  }
  const slot = makeSlot(asBuffer(bytes), rows, layout);
  if (slot.offsets !== undefined) checkOffsets(slot.offsets, layout.bytes);
  return new RowColumn(spec, rows, slot);
}

function checkRange(bytes: Uint8Array, at: number, length: number): void {
  if (at % 8 !== 0 || at < HEADER_BYTES || at + length > bytes.length) {
    throw new DecodeError('row batch column goes past the batch');
  }
}

function checkOffsets(offsets: Uint32Array, dataBytes: number): void {
  let previous = 0;
  for (let i = 0; i < offsets.length; i += 1) {
    const offset = offsets[i]!;
    if (offset < previous) throw new DecodeError('row batch offsets do not ascend');
    previous = offset;
  }
  if (previous > dataBytes) throw new DecodeError('row batch offsets go past the data');
}

function compareIds(a: ColumnSpec, b: ColumnSpec): number {
  return a.fieldId < b.fieldId ? -1 : 1;
}

function padTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function writeUint64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % UINT32_RANGE, at);
  bytes.writeUInt32LE(Math.floor(value / UINT32_RANGE), at + 4);
}

function readUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * UINT32_RANGE;
}
