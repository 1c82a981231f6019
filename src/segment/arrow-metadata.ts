// The metadata of a segment file: Arrow schema, record batch header, footer, as flatbuffers.
// Source: Arrow columnar format 1.5, "IPC file format", and its Schema.fbs, Message.fbs, File.fbs.

import { Builder } from 'flatbuffers';
import { Block } from 'apache-arrow/fb/block';
import { Bool } from 'apache-arrow/fb/bool';
import { Buffer as ArrowBuffer } from 'apache-arrow/fb/buffer';
import { Endianness } from 'apache-arrow/fb/endianness';
import { Field } from 'apache-arrow/fb/field';
import { FieldNode } from 'apache-arrow/fb/field-node';
import { FixedSizeList } from 'apache-arrow/fb/fixed-size-list';
import { FloatingPoint } from 'apache-arrow/fb/floating-point';
import { Footer } from 'apache-arrow/fb/footer';
import { Int } from 'apache-arrow/fb/int';
import { KeyValue } from 'apache-arrow/fb/key-value';
import { LargeBinary } from 'apache-arrow/fb/large-binary';
import { LargeList } from 'apache-arrow/fb/large-list';
import { LargeUtf8 } from 'apache-arrow/fb/large-utf8';
import { Message } from 'apache-arrow/fb/message';
import { MessageHeader } from 'apache-arrow/fb/message-header';
import { MetadataVersion } from 'apache-arrow/fb/metadata-version';
import { Precision } from 'apache-arrow/fb/precision';
import { RecordBatch } from 'apache-arrow/fb/record-batch';
import { Schema } from 'apache-arrow/fb/schema';
import { Type } from 'apache-arrow/fb/type';
import { DataType } from '../model/data-type.ts';
import { findVectorType } from '../model/vector-type.ts';

/** Metadata keys of a column: which field it is, and which field it is the binary form of. */
export const FIELD_ID_KEY = 'elanus.field_id';
export const VARIANT_OF_KEY = 'elanus.variant_of';
/** Metadata key of the footer: CRC32C of each buffer in Arrow's order, hexadecimal, by spaces. */
export const CHECKSUMS_KEY = 'elanus.crc32c';

export interface ArrowColumn {
  readonly name: string;
  /** Number of schema.DataType; JSON stands for LargeBinary. */
  readonly dataType: number;
  readonly elementType: number;
  readonly dim: number;
  readonly nullable: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ArrowNode {
  readonly rows: number;
  readonly nulls: number;
}

export interface ArrowRegion {
  /** From the first byte of the body. */
  readonly offset: number;
  readonly bytes: number;
}

/** A record batch's place in the file. */
export interface ArrowBlock {
  readonly offset: number;
  readonly metadataBytes: number;
  readonly bodyBytes: number;
}

export function encodeSchemaMessage(columns: readonly ArrowColumn[]): Uint8Array {
  const builder = new Builder(1024);
  const schema = addSchema(builder, columns);
  const message = Message.createMessage(
    builder, MetadataVersion.V5, MessageHeader.Schema, schema, 0n, 0,
  );
  builder.finish(message);
  return builder.asUint8Array();
}

export function encodeBatchMessage(
  rows: number,
  nodes: readonly ArrowNode[],
  regions: readonly ArrowRegion[],
  bodyBytes: number,
): Uint8Array {
  const builder = new Builder(1024);
  // Flatbuffers grow downwards: structs of a vector go in from the last to the first.
  RecordBatch.startNodesVector(builder, nodes.length);
  for (const node of [...nodes].reverse()) {
    FieldNode.createFieldNode(builder, BigInt(node.rows), BigInt(node.nulls));
  }
  const nodesAt = builder.endVector();
  RecordBatch.startBuffersVector(builder, regions.length);
  for (const region of [...regions].reverse()) {
    ArrowBuffer.createBuffer(builder, BigInt(region.offset), BigInt(region.bytes));
  }
  const buffersAt = builder.endVector();
  RecordBatch.startRecordBatch(builder);
  RecordBatch.addLength(builder, BigInt(rows));
  RecordBatch.addNodes(builder, nodesAt);
  RecordBatch.addBuffers(builder, buffersAt);
  const batch = RecordBatch.endRecordBatch(builder);
  const message = Message.createMessage(
    builder, MetadataVersion.V5, MessageHeader.RecordBatch, batch, BigInt(bodyBytes), 0,
  );
  builder.finish(message);
  return builder.asUint8Array();
}

export function encodeFooter(
  columns: readonly ArrowColumn[],
  block: ArrowBlock,
  checksums: readonly number[],
): Uint8Array {
  const builder = new Builder(1024);
  const written = checksums.map((checksum) => checksum.toString(16)).join(' ');
  const key = builder.createString(CHECKSUMS_KEY);
  const pair = KeyValue.createKeyValue(builder, key, builder.createString(written));
  const metadata = Footer.createCustomMetadataVector(builder, [pair]);
  const schema = addSchema(builder, columns);
  Footer.startRecordBatchesVector(builder, 1);
  Block.createBlock(
    builder, BigInt(block.offset), block.metadataBytes, BigInt(block.bodyBytes),
  );
  const blocks = builder.endVector();
  Footer.startDictionariesVector(builder, 0);
  const dictionaries = builder.endVector();
  Footer.startFooter(builder);
  Footer.addVersion(builder, MetadataVersion.V5);
  Footer.addSchema(builder, schema);
  Footer.addDictionaries(builder, dictionaries);
  Footer.addRecordBatches(builder, blocks);
  Footer.addCustomMetadata(builder, metadata);
  builder.finish(Footer.endFooter(builder));
  return builder.asUint8Array();
}

function addSchema(builder: Builder, columns: readonly ArrowColumn[]): number {
  const fields = columns.map((column) => addField(builder, column));
  const fieldsAt = Schema.createFieldsVector(builder, fields);
  return Schema.createSchema(builder, Endianness.Little, fieldsAt, 0, 0);
}

function addField(builder: Builder, column: ArrowColumn): number {
  const children: number[] = [];
  const childType = getChildType(column);
  if (childType !== undefined) {
    const child = { name: 'item', dataType: childType, elementType: 0, dim: 0 };
    children.push(addField(builder, { ...child, nullable: false, metadata: {} }));
  }
  const name = builder.createString(column.name);
  const [typeType, type] = addType(builder, column);
  const childrenAt = Field.createChildrenVector(builder, children);
  const metadata = Object.entries(column.metadata).map(([key, value]) =>
    KeyValue.createKeyValue(builder, builder.createString(key), builder.createString(value)),
  );
  const metadataAt = Field.createCustomMetadataVector(builder, metadata);
  Field.startField(builder);
  Field.addName(builder, name);
  Field.addNullable(builder, column.nullable);
  Field.addTypeType(builder, typeType);
  Field.addType(builder, type);
  Field.addChildren(builder, childrenAt);
  Field.addCustomMetadata(builder, metadataAt);
  return Field.endField(builder);
}

function getChildType({ dataType, elementType }: ArrowColumn): number | undefined {
  if (dataType === DataType.Array) return elementType;
  return findVectorType(dataType)?.elementType;
}

function addType(builder: Builder, { dataType, dim }: ArrowColumn): [Type, number] {
  switch (dataType) {
    case DataType.Bool:
      return [Type.Bool, Bool.createBool(builder)];
    case DataType.Int8:
      return [Type.Int, Int.createInt(builder, 8, true)];
    case DataType.Int16:
      return [Type.Int, Int.createInt(builder, 16, true)];
    case DataType.Int32:
      return [Type.Int, Int.createInt(builder, 32, true)];
    case DataType.Int64:
      return [Type.Int, Int.createInt(builder, 64, true)];
    case DataType.Float:
      return [Type.FloatingPoint, FloatingPoint.createFloatingPoint(builder, Precision.SINGLE)];
    case DataType.Double:
      return [Type.FloatingPoint, FloatingPoint.createFloatingPoint(builder, Precision.DOUBLE)];
    case DataType.VarChar:
      return [Type.LargeUtf8, LargeUtf8.createLargeUtf8(builder)];
    case DataType.JSON:
      return [Type.LargeBinary, LargeBinary.createLargeBinary(builder)];
    case DataType.Array:
      return [Type.LargeList, LargeList.createLargeList(builder)];
    default:
      if (findVectorType(dataType) === undefined)
        throw new Error(`no Arrow type for data type ${dataType}`);
      return [Type.FixedSizeList, FixedSizeList.createFixedSizeList(builder, dim)];
  }
}
