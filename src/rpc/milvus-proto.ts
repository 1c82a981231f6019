// The Milvus protocol as protobufjs knows it: services, message types, object ↔ bytes for the cold messages.
// Loaded from the JSON that the build makes of proto/milvus/*.proto: parsing the text costs ten times as much.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { IConversionOptions, INamespace, Method, Root, Type } from 'protobufjs';

// The reflection build without the .proto parser: less to load at start.
const protobuf = createRequire(import.meta.url)('protobufjs/light.js') as {
  Root: { fromJSON(json: INamespace): Root };
};

/** int64 as decimal strings, enums as numbers, absent fields as defaults. */
const CONVERSION: IConversionOptions = {
  longs: String,
  enums: Number,
  defaults: true,
  arrays: true,
  objects: true,
};

/** The services that one port serves. */
const SERVICES = ['milvus.proto.milvus.MilvusService', 'milvus.proto.milvus.ClientTelemetryService'];
const STATUS_TYPE = '.milvus.proto.common.Status';

export interface RpcMethod {
  readonly service: string;
  readonly name: string;
  readonly isRequestStream: boolean;
  readonly isReplyStream: boolean;
  /** The reply is a bare common.Status; all others carry one in the field `status`. */
  readonly repliesStatus: boolean;
  readonly decodeRequest: (bytes: Uint8Array) => object;
  readonly encodeReply: (reply: object) => Uint8Array;
}

export class MilvusProto {
  readonly methods: readonly RpcMethod[];
  readonly #root: Root;

  constructor(json: INamespace) {
    this.#root = protobuf.Root.fromJSON(json);
    this.#root.resolveAll();
    this.methods = SERVICES.flatMap((service) =>
      this.#root.lookupService(service).methodsArray.map((method) => toRpcMethod(service, method)),
    );
  }

  static load(path: string): MilvusProto {
    return new MilvusProto(JSON.parse(readFileSync(path, 'utf8')) as INamespace);
  }

  /** @throws Error when the bytes are not such a message */
  decodeMessage(typeName: string, bytes: Uint8Array): object {
    const type = this.#root.lookupType(typeName);
    return type.toObject(type.decode(bytes), CONVERSION);
  }
}

function toRpcMethod(service: string, method: Method): RpcMethod {
  const request = method.resolvedRequestType as Type;
  const reply = method.resolvedResponseType as Type;
  return {
    service,
    name: method.name,
    isRequestStream: method.requestStream === true,
    isReplyStream: method.responseStream === true,
    repliesStatus: reply.fullName === STATUS_TYPE,
    decodeRequest: (bytes) => request.toObject(request.decode(bytes), CONVERSION),
    encodeReply: (object) => reply.encode(reply.fromObject(object)).finish(),
  };
}
