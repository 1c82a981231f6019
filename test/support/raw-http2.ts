// Frames of HTTP/2 as bytes (RFC 9113), for what no client library sends: a call that is reset in
// the middle of a message, without its end.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const TYPES = { data: 0, headers: 1, reset: 3, settings: 4 } as const;
const END_HEADERS = 4;

/** One connection and its calls, whose replies are not read. */
export class RawHttp2Client {
  readonly #socket: Socket;
  #nextStream = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async connect(port: number): Promise<RawHttp2Client> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    await once(socket, 'connect');
    socket.write(Buffer.concat([Buffer.from(PREFACE), frame(TYPES.settings, 0, 0)]));
    return new RawHttp2Client(socket);
  }

  /** Begins a unary call and sends bytes of its body; returns its stream. */
  begin(path: string, body: Uint8Array): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const headers = Buffer.concat([
      header(':method', 'POST'),
      header(':scheme', 'http'),
      header(':path', path),
      header(':authority', 'localhost'),
      header('content-type', 'application/grpc'),
    ]);
    const begin = frame(TYPES.headers, END_HEADERS, stream, headers);
    this.#socket.write(Buffer.concat([begin, frame(TYPES.data, 0, stream, body)]));
    return stream;
  }

  reset(stream: number, code: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    this.#socket.write(frame(TYPES.reset, 0, stream, payload));
  }

  close(): void {
    this.#socket.destroy();
  }
}

function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal without an index (RFC 7541, 6.2.2), of short texts. */
function header(name: string, value: string): Buffer {
  const text = (part: string): Buffer => Buffer.concat([Buffer.of(part.length), Buffer.from(part)]);
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}
