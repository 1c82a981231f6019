// A small collection's segments in native memory and in files, without any role.

import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeRowBatch } from '../../src/codec/row-batch-ops.ts';
import { native, type NativeSegment } from '../../src/index/native.ts';
import { DataType } from '../../src/model/data-type.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { getNativeFields } from '../../src/segment/native-fields.ts';
import { readSegmentLayout, writeSegmentFile } from '../../src/segment/segment-file.ts';
import { encodeColumn, makeField } from './codec/random-batch.ts';
import type { Random } from './codec/random.ts';

export const DIM = 16;
export const KEY = 100n;
export const VECTOR = 101n;
export const TEXT = 102n;

const SCHEMA: CollectionSchema = {
  name: 'c',
  description: '',
  fields: [
    makeField({ fieldId: KEY, name: 'id', dataType: DataType.Int64, isPrimaryKey: true }),
    makeField({ fieldId: VECTOR, name: 'vec', dataType: DataType.FloatVector, dim: DIM }),
    makeField({ fieldId: TEXT, name: 's', dataType: DataType.VarChar }),
  ],
  enableDynamicField: false,
  version: 0,
  properties: {},
};
const FIELDS = getNativeFields(SCHEMA);
const ROWS_PER_BATCH = 1000;

export function makeVector(random: Random): number[] {
  return Array.from({ length: DIM }, () => random.next() - 0.5);
}

/** Rows with the keys 0, 1, 2 and so on, all at one timestamp. */
export function makeGrowing(
  rows: number,
  random: Random,
  makeText: (key: number) => string = (key) => `text ${key}`,
): NativeSegment {
  const segment = native.createGrowing(FIELDS);
  for (let at = 0; at < rows; at += ROWS_PER_BATCH) {
    const count = Math.min(ROWS_PER_BATCH, rows - at);
    const list = <T>(make: (key: number) => T): T[] =>
      Array.from({ length: count }, (_, i) => make(at + i));
    const data = new BigInt64Array(count);
    const batch = encodeRowBatch(
      [
        { fieldId: 0n, dataType: DataType.Int64, data },
        encodeColumn(SCHEMA.fields[0]!, list(BigInt)),
        encodeColumn(SCHEMA.fields[1]!, list(() => makeVector(random))),
        encodeColumn(SCHEMA.fields[2]!, list(makeText)),
      ],
      count,
    );
    native.appendRows(segment, batch, 1n);
  }
  return segment;
}

/** A folder for segment files. */
export class SegmentFolder {
  readonly #path: string;
  #files = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  static async create(): Promise<SegmentFolder> {
    return new SegmentFolder(await mkdtemp(join(tmpdir(), 'elanus-segments-')));
  }

  async remove(): Promise<void> {
    await rm(this.#path, { recursive: true });
  }

  /** Writes the segment's rows to a file and opens it. */
  async seal(growing: NativeSegment): Promise<{ segment: NativeSegment; path: string }> {
    const path = join(this.#path, String(this.#files++));
    const writer = await native.createWriter([growing], 0n);
    const file = await open(path, 'w');
    const fileBytes = await writeSegmentFile(SCHEMA, FIELDS, writer, {
      write: async (bytes) => {
        await file.write(bytes);
      },
    });
    await file.close();
    native.closeWriter(writer);
    const content = await readFile(path);
    const { rows, layout } = await readSegmentLayout(path, fileBytes, (offset, length) =>
      Promise.resolve(content.subarray(offset, offset + length)),
    );
    return { segment: await native.openSealed(FIELDS, path, rows, layout), path };
  }
}
