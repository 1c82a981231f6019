// A gRPC server of unary methods over Node's HTTP/2: message framing, compression of requests,
// deadlines, cancellation, statuses, graceful stop (gRPC over HTTP2, grpc/doc/PROTOCOL-HTTP2.md).
// The client API goes through here because a call through grpc-js costs twice the time
// (docs/decisions/0007).

import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';

/** The statuses of gRPC that this server answers with (grpc/doc/statuscodes.md). */
export const GrpcCode = {
  ok: 0,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const;

/** What a method throws to answer with a status of gRPC and no message. */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface UnaryCall {
  readonly message: Buffer;
  readonly headers: IncomingHttpHeaders;
  /** Set once, it is called when the client cancels, vanishes, or its deadline passes. */
  onCancel: (() => void) | undefined;
}

/** Anything thrown that is not a GrpcError is INTERNAL. */
export type UnaryMethod = (call: UnaryCall) => Promise<Uint8Array>;

export interface GrpcHttp2Options {
  /** `/package.Service/Method` → method. Anything else is UNIMPLEMENTED. */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly receiveBytesMax: number;
  readonly sendBytesMax: number;
  /** What a client may have in flight towards one stream; twice as much towards a connection. */
  readonly windowBytes: number;
}

const PREFIX_BYTES = 5;
/** A message is received into so much at first: its length is only a claim. */
const FIRST_BUFFER_BYTES = 4 * 1024 * 1024;
const WHOLE_BUFFER_BYTES = 1024 * 1024;
/** Replies up to here are copied behind their prefix: one write instead of two. */
const COPY_BYTES_MAX = 64 * 1024;
/** Calls in flight on one connection; a client keeps further ones waiting (RFC 9113, 5.1.2). */
const STREAMS_MAX = 1024;
/** MiB of frames that Node may hold for a connection: a reply of the largest size and more. */
const SESSION_MIB_MAX = 2048;
/** The longest delay that setTimeout knows. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const GRPC_TYPE = 'application/grpc';
const ENCODINGS = 'identity,deflate,gzip';
const REPLY_HEADERS = {
  ':status': 200,
  'content-type': GRPC_TYPE,
  'grpc-accept-encoding': ENCODINGS,
} as const;
const OK_TRAILERS = { 'grpc-status': '0' } as const;

export class GrpcHttp2Server {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(options: GrpcHttp2Options) {
    this.#server = createServer({
      maxSessionMemory: SESSION_MIB_MAX,
      settings: {
        initialWindowSize: options.windowBytes,
        maxConcurrentStreams: STREAMS_MAX,
      },
    });
    this.#server.on('connection', (socket: Socket) => socket.setNoDelay(true));
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.setLocalWindowSize(2 * options.windowBytes);
      session.once('close', () => this.#sessions.delete(session));
      session.on('error', ignore); // A client that breaks the protocol or vanishes: it is closed.
    });
    this.#server.on('sessionError', ignore);
    this.#server.on('stream', (stream, headers) => new Exchange(stream, headers, options));
  }

  /** Resolves with the port; 0 asks for a free one. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Refuses new calls, waits for those in progress at most `graceMs`, then cuts them off. */
  async stop(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => {
      for (const session of this.#sessions) session.destroy();
    }, graceMs);
    for (const session of this.#sessions) session.close();
    await closed;
    clearTimeout(timer);
  }
}

const ignore = (): void => undefined;

/** One call, from its first header to its trailers. */
class Exchange implements UnaryCall {
  readonly headers: IncomingHttpHeaders;
  onCancel: (() => void) | undefined;
  message: Buffer = EMPTY;
  readonly #stream: ServerHttp2Stream;
  readonly #options: GrpcHttp2Options;
  readonly #method: UnaryMethod | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #reader: MessageReader | undefined;
  #isDone = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: GrpcHttp2Options) {
    this.#stream = stream;
    this.headers = headers;
    this.#options = options;
    this.#method = options.methods.get(headers[':path'] ?? '');
    stream.on('error', ignore); // Of the transport: 'close' follows.
    stream.once('close', () => this.#abandon());
    const refusal = this.#refuseHeaders();
    if (refusal !== undefined) {
      refusal();
      return;
    }
    this.#startDeadline();
    this.#reader = new MessageReader(options.receiveBytesMax);
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.once('end', () => this.#onEnd());
  }

  #refuseHeaders(): (() => void) | undefined {
    const type = this.headers['content-type'] ?? '';
    if (this.headers[':method'] !== 'POST' || !type.startsWith(GRPC_TYPE)) {
      return () => this.#endWithHeaders({ ':status': 415 });
    }
    if (this.#method === undefined) {
      const name = this.headers[':path']?.split('/').at(-1);
      return () =>
        this.#fail(
          GrpcCode.unimplemented,
          `${name} is not implemented by this version of Elanus`,
        );
    }
    const encoding = this.headers['grpc-encoding'] ?? 'identity';
    if (!ENCODINGS.split(',').includes(String(encoding))) {
      return () =>
        this.#fail(GrpcCode.unimplemented, `message encoding ${encoding}: not of ${ENCODINGS}`);
    }
    return undefined;
  }

  #startDeadline(): void {
    const timeoutMs = readTimeoutMs(this.headers['grpc-timeout']);
    if (timeoutMs === undefined || timeoutMs > TIMER_MS_MAX) return;
    this.#deadline = setTimeout(() => {
      const { onCancel } = this;
      this.#fail(GrpcCode.deadlineExceeded, 'Deadline exceeded');
      onCancel?.();
    }, timeoutMs);
  }

  #onData(chunk: Buffer): void {
    if (this.#isDone) return;
    try {
      this.#reader!.push(chunk);
    } catch (error) {
      this.#failWith(error);
    }
  }

  #onEnd(): void {
    if (this.#isDone) return;
    try {
      const { isCompressed, bytes } = this.#reader!.finish();
      this.#reader = undefined;
      if (isCompressed) this.#decompress(bytes);
      else this.#run(bytes);
    } catch (error) {
      this.#failWith(error);
    }
  }

  #decompress(bytes: Buffer): void {
    const encoding = this.headers['grpc-encoding'];
    const expand = DECOMPRESSORS[String(encoding)];
    if (expand === undefined) {
      this.#fail(GrpcCode.internal, 'a compressed message without grpc-encoding');
      return;
    }
    const { receiveBytesMax } = this.#options;
    expand(bytes, { maxOutputLength: receiveBytesMax }, (error, message) => {
      if (this.#isDone) return;
      if (error === null) this.#run(message);
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        this.#failWith(makeTooLarge('the expanded message', receiveBytesMax));
      } else this.#fail(GrpcCode.internal, `the ${encoding} message cannot be expanded`);
    });
  }

  #run(message: Buffer): void {
    this.message = message;
    this.#method!(this).then(
      (reply) => this.#reply(reply),
      (error: unknown) => this.#failWith(error),
    );
  }

  #reply(message: Uint8Array): void {
    if (this.#isDone) return;
    if (message.byteLength > this.#options.sendBytesMax) {
      this.#failWith(
        makeTooLarge(`a reply of ${message.byteLength} bytes`, this.#options.sendBytesMax),
      );
      return;
    }
    this.#finish();
    const stream = this.#stream;
    stream.respond(REPLY_HEADERS, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(OK_TRAILERS));
    const isSmall = message.byteLength <= COPY_BYTES_MAX;
    const head = Buffer.allocUnsafe(PREFIX_BYTES + (isSmall ? message.byteLength : 0));
    head[0] = 0;
    head.writeUInt32BE(message.byteLength, 1);
    if (isSmall) {
      head.set(message, PREFIX_BYTES);
      stream.end(head);
    } else {
      stream.write(head);
      stream.end(message);
    }
  }

  #failWith(error: unknown): void {
    if (error instanceof GrpcError) this.#fail(error.code, error.message);
    else this.#fail(GrpcCode.internal, error instanceof Error ? error.message : String(error));
  }

  #fail(code: number, message: string): void {
    this.#endWithHeaders({
      ...REPLY_HEADERS,
      'grpc-status': String(code),
      'grpc-message': encodeStatusMessage(message),
    });
  }

  /** All in one header block; what the client still sends is read and forgotten. */
  #endWithHeaders(headers: Record<string, string | number>): void {
    if (this.#isDone) return;
    this.#finish();
    this.#reader = undefined;
    this.#stream.respond(headers, { endStream: true });
    this.#stream.resume();
  }

  #finish(): void {
    this.#isDone = true;
    clearTimeout(this.#deadline);
  }

  /** The stream is gone: after a reply as always, before one because the client gave up. */
  #abandon(): void {
    if (this.#isDone) return;
    this.#finish();
    this.onCancel?.();
  }
}

const EMPTY = Buffer.alloc(0);

/** Collects the one message of a request from chunks of any length. */
class MessageReader {
  readonly #bytesMax: number;
  #head: Buffer | undefined;
  #isCompressed = false;
  /** Of the message, when its prefix has been read. */
  #length = -1;
  #body: Buffer = EMPTY;
  #filled = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    if (this.#length < 0) {
      if (this.#head !== undefined) rest = Buffer.concat([this.#head, chunk]);
      if (rest.byteLength < PREFIX_BYTES) {
        this.#head = rest;
        return;
      }
      this.#readPrefix(rest);
      rest = rest.subarray(PREFIX_BYTES);
      if (rest.byteLength === this.#length) {
        // All of a small message in one chunk, the usual case: nothing is copied.
        this.#body = rest;
        this.#filled = rest.byteLength;
        return;
      }
    }
    if (this.#filled + rest.byteLength > this.#length) {
      throw new GrpcError(GrpcCode.internal, 'bytes after the message of a unary call');
    }
    this.#reserve(this.#filled + rest.byteLength);
    this.#body.set(rest, this.#filled);
    this.#filled += rest.byteLength;
  }

  finish(): { isCompressed: boolean; bytes: Buffer } {
    if (this.#length < 0 || this.#filled < this.#length) {
      throw new GrpcError(GrpcCode.internal, 'the request ends inside its message');
    }
    return { isCompressed: this.#isCompressed, bytes: this.#body.subarray(0, this.#length) };
  }

  #readPrefix(bytes: Buffer): void {
    this.#isCompressed = bytes[0] !== 0;
    this.#length = bytes.readUInt32BE(1);
    if (this.#length > this.#bytesMax) {
      throw makeTooLarge(`a message of ${this.#length} bytes`, this.#bytesMax);
    }
  }

  /**
   * Doubling, so that memory follows what has really arrived. Past a size all of it at once: a
   * large copy would hold the event loop up, and pages that are not written cost nothing.
   */
  #reserve(bytes: number): void {
    if (bytes <= this.#body.byteLength) return;
    const wanted =
      bytes > WHOLE_BUFFER_BYTES
        ? this.#length
        : Math.max(bytes, 2 * this.#body.byteLength, FIRST_BUFFER_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.min(wanted, this.#length));
    grown.set(this.#body.subarray(0, this.#filled));
    this.#body = grown;
  }
}

function makeTooLarge(what: string, bytesMax: number): GrpcError {
  return new GrpcError(GrpcCode.resourceExhausted, `${what}: the limit is ${bytesMax} bytes`);
}

type Decompress = (
  bytes: InputType,
  options: ZlibOptions,
  done: (error: Error | null, result: Buffer) => void,
) => void;

const DECOMPRESSORS: Readonly<Record<string, Decompress>> = { gzip: gunzip, deflate: inflate };

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6,
};

/** `grpc-timeout` as milliseconds; undefined when there is none or it is not one. */
function readTimeoutMs(value: string | string[] | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(value ?? ''));
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** Percent-encoded as gRPC wants: all but the printable ASCII characters, and `%` itself. */
function encodeStatusMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/gu, (text) =>
    [...Buffer.from(text)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
