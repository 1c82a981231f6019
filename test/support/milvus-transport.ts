// How a call of a test's client travels: by grpc-js to an address, or in a way of the caller's.

import * as grpc from '@grpc/grpc-js';
import type protobuf from 'protobufjs';
import { getMessageType } from './codec/milvus-proto.ts';

const PACKAGE = 'milvus.proto.milvus';
const CALL_DEADLINE_MS = 60_000;
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Carries one call: a method's name and its message there, the reply back. */
export type Transport = (method: string, message: Buffer) => Promise<Uint8Array>;

/** A call that got no reply (connection lost, deadline): whether it took effect is unknown. */
export class LostCallError extends Error {}

export interface Connection {
  readonly send: Transport;
  readonly close: () => void;
}

/** Connects to `host:port` at the first call; `dbName` is that of requests that name none. */
export function connect(address: string, dbName: string): Connection {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  });
  const metadata = new grpc.Metadata();
  if (dbName !== '') metadata.set('dbname', dbName);
  return {
    send: (method, message) => callOver(client, method, message, metadata),
    close: () => client.close(),
  };
}

function callOver(
  client: grpc.Client,
  method: string,
  message: Buffer,
  metadata: grpc.Metadata,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${PACKAGE}.MilvusService/${method}`,
      (body: Buffer) => body,
      (body: Buffer) => body,
      message,
      metadata,
      { deadline: Date.now() + CALL_DEADLINE_MS },
      (error, body) => {
        if (error !== null) reject(new LostCallError(`${method}: ${error.message}`));
        else resolve(body!);
      },
    );
  });
}

interface MethodTypes {
  readonly requestType: protobuf.Type;
  readonly replyType: protobuf.Type;
}
const methods = new Map<string, MethodTypes>();

/** The messages of a method. */
export function findMethod(name: string): MethodTypes {
  const known = methods.get(name);
  if (known !== undefined) return known;
  const { root } = getMessageType(`${PACKAGE}.InsertRequest`);
  const method = root.lookupService(`${PACKAGE}.MilvusService`).methods[name];
  if (method?.resolvedRequestType == null || method.resolvedResponseType === null) {
    throw new Error(`the protocol has no method ${name}`);
  }
  const types = { requestType: method.resolvedRequestType, replyType: method.resolvedResponseType };
  methods.set(name, types);
  return types;
}
