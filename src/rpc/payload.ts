// Plain data ↔ bytes for calls between roles: undefined, null, booleans, numbers, bigints, strings,
// typed arrays, Maps, Sets, arrays and objects of these, as in the structured clone algorithm.
// A class instance arrives as a plain object, a Buffer as a Uint8Array; a function cannot be sent.
// Layout: one byte of our version, then V8's own format, which begins with V8's version.

import { DefaultDeserializer, DefaultSerializer } from 'node:v8';
import { getErrorMessage } from '../base/error-message.ts';
import { MilvusError } from '../model/error.ts';

const PAYLOAD_VERSION = 1;
const VERSION_BYTES = Uint8Array.of(PAYLOAD_VERSION);

/** The hook through which V8 hands over each array view; absent from the type declarations. */
interface ViewWriter {
  _writeHostObject(view: NodeJS.ArrayBufferView): void;
}
const writeView = (DefaultSerializer.prototype as unknown as ViewWriter)._writeHostObject;

class PayloadSerializer extends DefaultSerializer implements ViewWriter {
  _writeHostObject(view: NodeJS.ArrayBufferView): void {
    const plain = Buffer.isBuffer(view)
      ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      : view;
    writeView.call(this, plain);
  }
}

/**
 * Encodes one value; array views are copied once.
 *
 * @param head  put before the payload, so that an envelope costs no second copy; none by default
 * @throws Error when the value holds something that is not data
 */
export function encodePayload(value: unknown, head?: Uint8Array): Buffer {
  const serializer = new PayloadSerializer();
  if (head !== undefined) serializer.writeRawBytes(head);
  serializer.writeRawBytes(VERSION_BYTES);
  serializer.writeHeader();
  serializer.writeValue(value);
  return serializer.releaseBuffer();
}

/**
 * Decodes one value. Byte arrays are views of `bytes`, and so are aligned arrays of wider elements:
 * they keep all of `bytes` alive, which must not change any more.
 *
 * @throws MilvusError DataIntegrity
 */
export function decodePayload(bytes: Uint8Array): unknown {
  if (bytes[0] !== PAYLOAD_VERSION) {
    throw damaged(bytes.length === 0 ? 'it is empty' : `its version is ${bytes[0]}`);
  }
  try {
    const deserializer = new DefaultDeserializer(bytes.subarray(1));
    deserializer.readHeader();
    return deserializer.readValue();
  } catch (error) {
    throw damaged(getErrorMessage(error));
  }
}

function damaged(reason: string): MilvusError {
  return new MilvusError('DataIntegrity', {
    message: 'a message between roles cannot be read',
    fields: { reason },
  });
}
