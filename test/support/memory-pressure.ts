// Many clients that ask a server for more memory than it has: inserts of 60 MiB, searches and
// queries with answers of any size, and small ones between. Counts what it answers. Messages are
// encoded once and sent from one buffer, so that the clients themselves take little memory.

import { connect, type ClientHttp2Session } from 'node:http2';
import { DataType } from '../../src/model/data-type.ts';
import { getMessageType } from './codec/milvus-proto.ts';

const PACKAGE = 'milvus.proto.milvus';
const DIM = 1024;
const ROWS = 15_000;
/** A request of 60 MiB that waits for the server's window. */
const SESSION_MIB_MAX = 256;
const CALL_MS_MAX = 300_000;
/** Memory, too many, rate limit, too large: what a server at its bounds may say. */
const REFUSALS = new Set([0, 3, 4, 8, 1102]);

export interface PressureOptions {
  /** `host:port`. */
  readonly address: string;
  readonly collection: string;
  readonly clients: number;
  readonly seconds: number;
}

export interface PressureReport {
  /** Calls by method and code of Milvus. */
  readonly answers: ReadonlyMap<string, number>;
  /** Answers that are none of those that a bounded server gives. */
  readonly wrong: readonly string[];
}

interface Call {
  readonly method: string;
  readonly message: Buffer;
}

/** The collection that the pressure is put on, for MilvusClient.createCollection. */
export const PRESSURE_FIELDS = [
  { name: 'id', type: DataType.Int64, isPrimaryKey: true },
  { name: 'v', type: DataType.FloatVector, dim: DIM },
  { name: 't', type: DataType.VarChar, maxLength: 1000 },
] as const;

export async function pressMemory(options: PressureOptions): Promise<PressureReport> {
  const calls = makeCalls(options.collection);
  const answers = new Map<string, number>();
  const wrong: string[] = [];
  const until = Date.now() + options.seconds * 1000;
  const run = async (client: number): Promise<void> => {
    const session = connect(`http://${options.address}`, { maxSessionMemory: SESSION_MIB_MAX });
    session.on('error', () => undefined); // The calls tell.
    for (let i = client; Date.now() < until; i += 1) {
      const call = calls[i % calls.length]!;
      const answer = await send(session, call).catch((error: Error) => error.message);
      const key = `${call.method} ${answer}`;
      answers.set(key, (answers.get(key) ?? 0) + 1);
      if (typeof answer === 'string' || !REFUSALS.has(answer)) wrong.push(key);
    }
    session.close();
  };
  await Promise.all(Array.from({ length: options.clients }, (_unused, i) => run(i)));
  return { answers, wrong };
}

/** Resolves with the code of the reply's status. @throws Error without a reply */
function send(session: ClientHttp2Session, { method, message }: Call): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${PACKAGE}.MilvusService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let head = Buffer.alloc(0);
    let status = '';
    const read = (headers: object): void => {
      status = (headers as Record<string, string>)['grpc-status'] ?? status;
    };
    stream.setTimeout(CALL_MS_MAX, () => stream.destroy(new Error('no answer in time')));
    stream.on('response', read);
    stream.on('trailers', read);
    stream.on('data', (chunk: Buffer) => {
      if (head.byteLength < HEAD_BYTES) head = Buffer.concat([head, chunk]);
    });
    stream.once('error', reject);
    stream.once('close', () => {
      if (status === '0') resolve(readCode(head));
      else reject(new Error(`grpc-status ${status}`));
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.byteLength, 1);
    stream.write(prefix);
    stream.end(message);
  });
}

/** More than the status at the beginning of a reply takes. */
const HEAD_BYTES = 4096;

/** The status is field 1 of every reply used here. */
function readCode(frame: Buffer): number {
  const body = frame.subarray(5);
  if (body[0] !== 0x0a) return 0;
  const length = body[1]! < 0x80 ? body[1]! : (body[1]! & 0x7f) | (body[2]! << 7);
  const start = body[1]! < 0x80 ? 2 : 3;
  const type = getMessageType('milvus.proto.common.Status');
  const status = type.decode(body.subarray(start, start + length)) as unknown as { code: number };
  return status.code;
}

function makeCalls(collection: string): Call[] {
  const insert = makeInsert(collection);
  const huge = makeSearch(collection, 100, 16384, ['v']);
  const many = makeSearch(collection, 20, 2000, ['t']);
  const page = makeQuery(collection, 'id >= 0', { limit: '16384' }, ['v', 't']);
  const all = makeQuery(collection, 'id % 3 == 0', {}, ['v']);
  const small = makeSearch(collection, 1, 10, ['t']);
  return [insert, huge, small, insert, many, page, small, all];
}

const encode = (name: string, message: object): Buffer =>
  // Not through fromObject, which takes no typed arrays.
  Buffer.from(getMessageType(`${PACKAGE}.${name}`).encode(message as never).finish());

function makeInsert(collection: string): Call {
  const ids = Array.from({ length: ROWS }, (_unused, i) => i);
  const floats = Float32Array.from({ length: ROWS * DIM }, (_unused, i) => (i % 977) / 977);
  const texts = ids.map((id) => `text ${id}`);
  const fields = [
    { type: DataType.Int64, field_name: 'id', scalars: { long_data: { data: ids } } },
    {
      type: DataType.FloatVector,
      field_name: 'v',
      vectors: { dim: DIM, float_vector: { data: floats } },
    },
    { type: DataType.VarChar, field_name: 't', scalars: { string_data: { data: texts } } },
  ];
  const request = { collection_name: collection, num_rows: ROWS, fields_data: fields };
  return { method: 'Insert', message: encode('InsertRequest', request) };
}

function makeSearch(collection: string, nq: number, k: number, outputFields: string[]): Call {
  const values = Array.from({ length: nq }, (_unused, i) =>
    Buffer.from(new Float32Array(DIM).fill(i / nq).buffer),
  );
  const group = getMessageType('milvus.proto.common.PlaceholderGroup');
  const placeholders = [{ tag: '$0', type: DataType.FloatVector, values }];
  const request = {
    collection_name: collection,
    dsl_type: 1,
    placeholder_group: group.encode({ placeholders } as never).finish(),
    output_fields: outputFields,
    nq,
    search_params: toPairs({ anns_field: 'v', topk: String(k), params: '{}' }),
  };
  return { method: 'Search', message: encode('SearchRequest', request) };
}

function makeQuery(
  collection: string,
  expr: string,
  params: Record<string, string>,
  outputFields: string[],
): Call {
  const request = {
    collection_name: collection,
    expr,
    output_fields: outputFields,
    query_params: toPairs(params),
  };
  return { method: 'Query', message: encode('QueryRequest', request) };
}

function toPairs(params: Readonly<Record<string, string>>): { key: string; value: string }[] {
  return Object.entries(params).map(([key, value]) => ({ key, value }));
}
