// Writes and opens segment files: Arrow IPC files of one uncompressed record batch whose buffers
// begin at multiples of 64 bytes. Bytes go out through the given sink, in order; nothing here
// touches a disk. docs/formats/segment.md has the layout.

import { ByteBuffer } from 'flatbuffers';
import { Footer } from 'apache-arrow/fb/footer';
import { Message } from 'apache-arrow/fb/message';
import { RecordBatch } from 'apache-arrow/fb/record-batch';
import { getErrorMessage } from '../base/error-message.ts';
import {
  native,
  type BufferName,
  type NativeColumnLayout,
  type NativeColumnPlan,
  type NativeField,
  type NativeFileCheck,
  type NativeSegmentWriter,
  type NativeVarLayout,
} from '../index/native.ts';
import { DataType } from '../model/data-type.ts';
import { MilvusError } from '../model/error.ts';
import {
  findFieldById,
  ROW_ID_FIELD_ID,
  TIMESTAMP_FIELD_ID,
  type CollectionSchema,
} from '../model/schema.ts';
import { findVectorType } from '../model/vector-type.ts';
import {
  CHECKSUMS_KEY,
  encodeBatchMessage,
  encodeFooter,
  encodeSchemaMessage,
  FIELD_ID_KEY,
  VARIANT_OF_KEY,
  type ArrowBlock,
  type ArrowColumn,
  type ArrowNode,
  type ArrowRegion,
} from './arrow-metadata.ts';

const MAGIC = Buffer.from('ARROW1');
const ALIGNMENT = 64;
const CONTINUATION = 0xffffffff;
/** Before the footer: this and the CRC32C of all bytes before the body and of the footer. */
const METADATA_MARK = Buffer.from('ELMC');
const METADATA_CHECK_BYTES = 8;
/** i32 bytes of the footer, and the magic number. */
const TRAILER_BYTES = 4 + MAGIC.length;
/** Written at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Read from the end of a file to find its footer; a longer footer takes a second read. */
const TAIL_BYTES = 16 * 1024;

/** Takes a file's bytes in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

interface PlannedBuffer extends ArrowRegion {
  /** Absent for buffers that the format wants but that have no bytes. */
  readonly source?: { readonly fieldId: bigint; readonly name: BufferName };
}

const padTo = (bytes: number, alignment: number): number =>
  Math.ceil(bytes / alignment) * alignment;

/** Writes the rows of a laid-out segment. Returns the file's length in bytes. */
export async function writeSegmentFile(
  schema: CollectionSchema,
  fields: readonly NativeField[],
  writer: NativeSegmentWriter,
  sink: ByteSink,
): Promise<number> {
  const rows = native.writerRows(writer);
  const layout = new BatchLayout(schema, fields, native.writerColumns(writer), rows);
  const out = new CountingSink(sink);
  const { head, block } = encodeHead(layout, rows);
  await out.write(head);
  const checksums: number[] = [];
  for (const buffer of layout.buffers) {
    let checksum = 0;
    for (let at = 0; buffer.source !== undefined && at < buffer.bytes; at += PIECE_BYTES) {
      const { fieldId, name } = buffer.source;
      const length = Math.min(PIECE_BYTES, buffer.bytes - at);
      const piece = await native.readBuffer(writer, fieldId, name, at, length);
      checksum = native.crc32c(piece, checksum);
      await out.write(piece);
    }
    checksums.push(checksum);
    await out.pad(ALIGNMENT);
  }
  await out.write(endOfStream());
  const footer = encodeFooter(layout.columns, block, checksums);
  await out.write(encodeMetadataCheck(head, footer));
  await out.write(footer);
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeInt32LE(footer.byteLength, 0);
  MAGIC.copy(trailer, 4);
  await out.write(trailer);
  return out.bytes;
}

/** What comes before the body, and the record batch's place. */
function encodeHead(layout: BatchLayout, rows: number): { head: Buffer; block: ArrowBlock } {
  const begin = Buffer.alloc(padTo(MAGIC.length, 8));
  MAGIC.copy(begin);
  const schema = frameMessage(encodeSchemaMessage(layout.columns), begin.length, 8);
  const offset = begin.length + schema.length;
  const message = encodeBatchMessage(rows, layout.nodes, layout.buffers, layout.bodyBytes);
  const batch = frameMessage(message, offset, ALIGNMENT);
  const block = { offset, metadataBytes: batch.length, bodyBytes: layout.bodyBytes };
  return { head: Buffer.concat([begin, schema, batch]), block };
}

function encodeMetadataCheck(head: Uint8Array, footer: Uint8Array): Buffer {
  const bytes = Buffer.alloc(METADATA_CHECK_BYTES);
  METADATA_MARK.copy(bytes);
  const checksum = native.crc32c(footer, native.crc32c(head, 0));
  bytes.writeUInt32LE(checksum, METADATA_MARK.length);
  return bytes;
}

type ReadRange = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * Reads a file's metadata: where each column's buffers lie.
 * @throws MilvusError DataIntegrity naming the file
 */
export async function readSegmentLayout(
  file: string,
  fileBytes: number,
  read: ReadRange,
): Promise<{ rows: number; layout: NativeColumnLayout[] }> {
  const { footer, batch, bodyAt } = await readMetadata(file, fileBytes, read);
  return { rows: Number(batch.length()), layout: readColumns(footer, batch, bodyAt, file) };
}

/**
 * Lists what all bytes behind the head should be. The head is compared here, with the footer, where
 * the file says how (older ones do not).
 * @throws MilvusError DataIntegrity naming the file
 */
export async function listSegmentChecks(
  file: string,
  fileBytes: number,
  read: ReadRange,
): Promise<NativeFileCheck[]> {
  const { footer, batch, bodyAt, tail, tailAt } = await readMetadata(file, fileBytes, read);
  const checksums = readChecksums(footer, file);
  const checks: NativeFileCheck[] = [];
  let end = bodyAt;
  const add = (name: string, bytes: number, crc32c: number): void => {
    if (bytes > 0) checks.push({ name, offset: end, bytes, crc32c });
    end += bytes;
  };
  const pad = (offset: number): void => {
    if (offset < end || offset - end >= ALIGNMENT) throw makeDamaged(file, 'places of buffers');
    add('padding', offset - end, native.crc32c(new Uint8Array(offset - end), 0));
  };
  for (let i = 0; i < batch.buffersLength(); i += 1) {
    const buffer = batch.buffers(i);
    pad(bodyAt + Number(buffer?.offset() ?? -1));
    add(`buffer ${i}`, Number(buffer?.length() ?? 0), checksums[i] ?? 0);
  }
  pad(padTo(end - bodyAt, ALIGNMENT) + bodyAt);
  const mark = endOfStream();
  add('end of stream', mark.length, native.crc32c(mark, 0));
  if (end !== tailAt) throw makeDamaged(file, 'length of the body');
  add('footer', tail.byteLength, native.crc32c(tail, 0));
  return checks;
}

function readChecksums(footer: Footer, file: string): number[] {
  for (let i = 0; i < footer.customMetadataLength(); i += 1) {
    const pair = footer.customMetadata(i);
    if (pair?.key() !== CHECKSUMS_KEY) continue;
    return (pair.value() ?? '').split(' ').map((text) => parseInt(text, 16));
  }
  throw makeDamaged(file, 'no checksums');
}

function makeDamaged(file: string, what: string): MilvusError {
  return new MilvusError('DataIntegrity', { message: `segment file: ${what}`, fields: { file } });
}

interface FileMetadata {
  readonly footer: Footer;
  readonly batch: RecordBatch;
  /** Offset in the file of the first buffer. */
  readonly bodyAt: number;
  /** What comes after the body's end of stream, to the end of the file. */
  readonly tail: Uint8Array;
  readonly tailAt: number;
}

/** What is damaged looks like anything, also to the reader of flatbuffers. */
async function readMetadata(
  file: string,
  fileBytes: number,
  read: ReadRange,
): Promise<FileMetadata> {
  try {
    return await parseMetadata(file, fileBytes, read);
  } catch (error) {
    if (error instanceof MilvusError) throw error;
    throw makeDamaged(file, `metadata: ${getErrorMessage(error)}`);
  }
}

async function parseMetadata(
  file: string,
  fileBytes: number,
  read: ReadRange,
): Promise<FileMetadata> {
  const damaged = (what: string): MilvusError => makeDamaged(file, what);
  const tailBytes = Math.min(TAIL_BYTES, fileBytes);
  let end = Buffer.from(await read(fileBytes - tailBytes, tailBytes));
  if (end.length < TRAILER_BYTES || !end.subarray(-MAGIC.length).equals(MAGIC)) {
    throw damaged('no footer');
  }
  const footerBytes = end.readInt32LE(end.length - TRAILER_BYTES);
  const wanted = footerBytes + TRAILER_BYTES + METADATA_CHECK_BYTES;
  if (footerBytes <= 0 || wanted > fileBytes) throw damaged('footer length');
  if (wanted > end.length) end = Buffer.from(await read(fileBytes - wanted, wanted));
  const footerAt = end.length - TRAILER_BYTES - footerBytes;
  const footerPart = end.subarray(footerAt, footerAt + footerBytes);
  const footer = Footer.getRootAsFooter(new ByteBuffer(footerPart));
  const block = footer.recordBatches(0);
  if (block === null || footer.recordBatchesLength() !== 1) throw damaged('record batches');
  const offset = Number(block.offset());
  const bodyAt = offset + block.metaDataLength();
  if (offset < 0 || bodyAt < offset + 8 || bodyAt > fileBytes) throw damaged('record batch');
  const head = Buffer.from(await read(0, bodyAt));
  const check = end.subarray(footerAt - METADATA_CHECK_BYTES, footerAt);
  const isChecked = check.subarray(0, METADATA_MARK.length).equals(METADATA_MARK);
  if (isChecked && !check.equals(encodeMetadataCheck(head, footerPart))) {
    throw damaged('checksum of the metadata');
  }
  const message = Message.getRootAsMessage(new ByteBuffer(head.subarray(offset + 8)));
  const batch = message.header(new RecordBatch()) as RecordBatch | null;
  if (batch === null) throw damaged('record batch header');
  const tail = end.subarray(footerAt - (isChecked ? METADATA_CHECK_BYTES : 0));
  return { footer, batch, bodyAt, tail, tailAt: fileBytes - tail.length };
}

/** Columns, nodes and buffers of the record batch, in Arrow's pre-order. */
class BatchLayout {
  readonly columns: ArrowColumn[] = [];
  readonly nodes: ArrowNode[] = [];
  readonly buffers: PlannedBuffer[] = [];
  bodyBytes = 0;

  constructor(
    schema: CollectionSchema,
    fields: readonly NativeField[],
    plans: readonly NativeColumnPlan[],
    rows: number,
  ) {
    for (const plan of plans) this.#addColumn(schema, fields, plan, rows);
  }

  #addColumn(
    schema: CollectionSchema,
    fields: readonly NativeField[],
    plan: NativeColumnPlan,
    rows: number,
  ): void {
    const { fieldId } = plan;
    const field = fields.find((candidate) => candidate.fieldId === fieldId);
    const dataType = field?.dataType ?? DataType.Int64;
    const column: ArrowColumn = {
      name: getColumnName(schema, fieldId),
      dataType,
      elementType: field?.elementType ?? 0,
      dim: field?.dim ?? 0,
      nullable: plan.nullCount > 0 || (field?.nullable ?? false),
      metadata: { [FIELD_ID_KEY]: String(fieldId) },
    };
    this.columns.push(column);
    this.nodes.push({ rows, nulls: plan.nullCount });
    this.#add(plan, 'validity', plan.validityBytes);
    if (dataType === DataType.VarChar || dataType === DataType.JSON) {
      this.#add(plan, 'offsets', plan.offsetsBytes);
      this.#add(plan, 'data', plan.dataBytes);
    } else if (dataType === DataType.Array) {
      this.#addArray(plan, column.elementType);
    } else if (findVectorType(dataType) !== undefined) {
      this.nodes.push({ rows: rows * column.dim, nulls: 0 });
      this.#add(plan, 'validity', 0);
      this.#add(plan, 'data', plan.dataBytes);
    } else {
      this.#add(plan, 'data', plan.dataBytes);
    }
    if (dataType === DataType.JSON) this.#addVariant(plan, column, rows);
  }

  #addArray(plan: NativeColumnPlan, elementType: number): void {
    this.#add(plan, 'offsets', plan.offsetsBytes);
    this.nodes.push({ rows: plan.childRows, nulls: 0 });
    this.#add(plan, 'validity', 0);
    if (elementType === DataType.VarChar) {
      this.#add(plan, 'childOffsets', plan.childOffsetsBytes);
      this.#add(plan, 'childData', plan.childDataBytes);
    } else {
      this.#add(plan, 'data', plan.dataBytes);
    }
  }

  /** The binary form of a JSON field is a column of its own beside the text. */
  #addVariant(plan: NativeColumnPlan, text: ArrowColumn, rows: number): void {
    const metadata = { [VARIANT_OF_KEY]: String(plan.fieldId) };
    this.columns.push({ ...text, name: `${text.name}$variant`, nullable: false, metadata });
    this.nodes.push({ rows, nulls: 0 });
    this.#add(plan, 'validity', 0);
    this.#add(plan, 'variantOffsets', plan.variantOffsetsBytes);
    this.#add(plan, 'variantData', plan.variantDataBytes);
  }

  #add(plan: NativeColumnPlan, name: BufferName, bytes: number): void {
    const region = { offset: this.bodyBytes, bytes };
    this.buffers.push(
      bytes === 0 ? region : { ...region, source: { fieldId: plan.fieldId, name } },
    );
    this.bodyBytes += padTo(bytes, ALIGNMENT);
  }
}

function getColumnName(schema: CollectionSchema, fieldId: bigint): string {
  if (fieldId === ROW_ID_FIELD_ID) return 'RowID';
  if (fieldId === TIMESTAMP_FIELD_ID) return 'Timestamp';
  return findFieldById(schema, fieldId)?.name ?? `field_${fieldId}`;
}

/**
 * Prefixes a message with its length and pads it so that what follows begins at a multiple of
 * `alignment`.
 */
function frameMessage(message: Uint8Array, at: number, alignment: number): Buffer {
  const end = padTo(at + 8 + message.byteLength, alignment);
  const framed = Buffer.alloc(end - at);
  framed.writeUInt32LE(CONTINUATION, 0);
  framed.writeInt32LE(framed.length - 8, 4);
  framed.set(message, 8);
  return framed;
}

function endOfStream(): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(CONTINUATION, 0);
  return bytes;
}

class CountingSink {
  readonly #sink: ByteSink;
  bytes = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#sink.write(bytes);
    this.bytes += bytes.byteLength;
  }

  async pad(alignment: number): Promise<void> {
    const missing = padTo(this.bytes, alignment) - this.bytes;
    if (missing > 0) await this.write(new Uint8Array(missing));
  }
}

/** Walks schema and buffers side by side. */
function readColumns(
  footer: Footer,
  batch: RecordBatch,
  bodyAt: number,
  file: string,
): NativeColumnLayout[] {
  const schema = footer.schema();
  if (schema === null) throw makeDamaged(file, 'no schema');
  const columns = new Map<bigint, NativeColumnLayout>();
  let next = 0;
  const take = (): ArrowRegion => {
    const buffer = batch.buffers(next++);
    if (buffer === null) throw makeDamaged(file, 'buffers');
    return { offset: bodyAt + Number(buffer.offset()), bytes: Number(buffer.length()) };
  };
  for (let i = 0; i < schema.fieldsLength(); i++) {
    const field = schema.fields(i);
    if (field === null) throw makeDamaged(file, 'field');
    const metadata = new Map<string, string>();
    for (let m = 0; m < field.customMetadataLength(); m++) {
      const pair = field.customMetadata(m);
      metadata.set(pair?.key() ?? '', pair?.value() ?? '');
    }
    const child = field.childrenLength() > 0 ? field.children(0) : null;
    const read = readColumn(field.typeType(), child?.typeType(), take);
    const variantOf = metadata.get(VARIANT_OF_KEY);
    if (variantOf !== undefined) {
      const owner = columns.get(BigInt(variantOf));
      if (owner === undefined) throw makeDamaged(file, 'variant without its field');
      const { offsetsOffset, offsetsBytes, dataOffset, dataBytes } = read;
      const variant = { offsetsOffset, offsetsBytes, dataOffset, dataBytes };
      columns.set(owner.fieldId, { ...owner, variant });
      continue;
    }
    const fieldId = BigInt(metadata.get(FIELD_ID_KEY) ?? '-1');
    columns.set(fieldId, { ...read, fieldId });
  }
  return [...columns.values()];
}

/** Numbers of Arrow's union Type. */
const ARROW_FIXED_SIZE_LIST = 16;
const ARROW_LARGE_BINARY = 19;
const ARROW_LARGE_UTF8 = 20;
const ARROW_LARGE_LIST = 21;

function readColumn(
  type: number,
  childType: number | undefined,
  take: () => ArrowRegion,
): Omit<NativeColumnLayout, 'fieldId'> {
  const validity = take();
  const base = {
    validityOffset: validity.offset,
    validityBytes: validity.bytes,
    offsetsOffset: 0,
    offsetsBytes: 0,
    dataOffset: 0,
    dataBytes: 0,
  };
  const withData = (region: ArrowRegion): { dataOffset: number; dataBytes: number } => ({
    dataOffset: region.offset,
    dataBytes: region.bytes,
  });
  if (type === ARROW_LARGE_UTF8 || type === ARROW_LARGE_BINARY) {
    return { ...base, ...readVar(take) };
  }
  if (type === ARROW_FIXED_SIZE_LIST) {
    take(); // The child's validity: vectors have no null elements.
    return { ...base, ...withData(take()) };
  }
  if (type !== ARROW_LARGE_LIST) return { ...base, ...withData(take()) };
  const offsets = take();
  const list = { ...base, offsetsOffset: offsets.offset, offsetsBytes: offsets.bytes };
  take(); // The child's validity.
  if (childType === ARROW_LARGE_UTF8) return { ...list, child: readVar(take) };
  return { ...list, ...withData(take()) };
}

function readVar(take: () => ArrowRegion): NativeVarLayout {
  const offsets = take();
  const data = take();
  return {
    offsetsOffset: offsets.offset,
    offsetsBytes: offsets.bytes,
    dataOffset: data.offset,
    dataBytes: data.bytes,
  };
}
