// The Milvus protocol as protobufjs knows it: services, message types, object ↔ bytes for the cold
// messages. From the JSON that the build makes of proto/milvus/*.proto. Of its 410 types a method
// gets only those that its messages reach, when it is first called: reflecting all of them would be
// a third of the server's start.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { IConversionOptions, INamespace, Root, Type } from 'protobufjs';
import { requireFewElements } from './message-bounds.ts';
import { selectTypes } from './proto-subset.ts';

/** int64 as decimal strings, enums as numbers, absent fields as defaults. */
const CONVERSION: IConversionOptions = {
  longs: String,
  enums: Number,
  defaults: true,
  arrays: true,
  objects: true,
};

/** The package that holds the services, and the services that one port serves. */
const PACKAGE = 'milvus.proto.milvus';
const SERVICES = ['MilvusService', 'ClientTelemetryService'];
const STATUS_TYPE = 'common.Status';

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

interface MethodJson {
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
}

export class MilvusProto {
  readonly methods: readonly RpcMethod[];
  readonly #json: INamespace;
  readonly #types = new Map<string, Type>();

  constructor(json: INamespace) {
    this.#json = json;
    const services = PACKAGE.split('.').reduce(getChild, json);
    this.methods = SERVICES.flatMap((service) => {
      const { methods } = getChild(services, service) as { methods?: Record<string, MethodJson> };
      return Object.entries(methods ?? {}).map(([name, method]) =>
        this.#toRpcMethod(service, name, method),
      );
    });
  }

  static load(path: string): MilvusProto {
    return new MilvusProto(JSON.parse(readFileSync(path, 'utf8')) as INamespace);
  }

  /** @throws Error when the bytes are not such a message */
  decodeMessage(typeName: string, bytes: Uint8Array): object {
    return decode(this.#getType('', typeName), bytes);
  }

  #toRpcMethod(service: string, name: string, method: MethodJson): RpcMethod {
    const { requestType, responseType, requestStream, responseStream } = method;
    return {
      service: `${PACKAGE}.${service}`,
      name,
      isRequestStream: requestStream === true,
      isReplyStream: responseStream === true,
      repliesStatus: responseType === STATUS_TYPE,
      decodeRequest: (bytes) => decode(this.#getType(PACKAGE, requestType), bytes),
      encodeReply: (object) => {
        const type = this.#getType(PACKAGE, responseType);
        return type.encode(type.fromObject(object)).finish();
      },
    };
  }

  /** The type that `name` means inside the package `scope`. */
  #getType(scope: string, name: string): Type {
    const key = `${scope}/${name}`;
    const known = this.#types.get(key);
    if (known !== undefined) return known;
    const subset = selectTypes(this.#json, scope, name);
    const type = loadProtobuf().Root.fromJSON(subset.json).lookupType(subset.fullName);
    this.#types.set(key, type);
    return type;
  }
}

function decode(type: Type, bytes: Uint8Array): object {
  requireFewElements(type, bytes);
  return type.toObject(type.decode(bytes), CONVERSION);
}

function getChild(parent: INamespace, name: string): INamespace {
  return parent.nested![name] as INamespace;
}

interface Protobuf {
  readonly Root: { fromJSON(json: INamespace): Root };
}

/**
 * The reflection build without the .proto parser: less to load. At the first cold message, not at
 * start.
 */
function loadProtobuf(): Protobuf {
  return createRequire(import.meta.url)('protobufjs/light.js') as Protobuf;
}
