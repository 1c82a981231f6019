// A gRPC server of unary methods over Node's HTTP/2: message framing, compression of requests,
// deadlines, cancellation, statuses, graceful stop (gRPC over HTTP2, grpc/doc/PROTOCOL-HTTP2.md).
// The client API goes through here because a call through grpc-js costs twice the time
// (docs/decisions/0007).

import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { BudgetShare } from '../base/byte-budget.ts';
import type { Admission, AdmittedCall, CallCost, CallMemory } from './admission.ts';
import { GrpcCode, GrpcError, makeTooLarge } from './grpc-error.ts';
import {
  DECOMPRESSORS,
  encodeStatusMessage,
  EXPANSION_MAX,
  readTimeoutMs,
} from './grpc-wire.ts';
import { MessageReader } from './message-reader.ts';
import { StallWatch, type Stallable } from './stall-watch.ts';

export interface UnaryCall {
  readonly message: Buffer;
  /** What it holds and may hold for its reply. */
  readonly memory: CallMemory;
  readonly headers: IncomingHttpHeaders;
  /** When the client gives up, by `nowMs` of the options; undefined = never. */
  readonly deadlineMs: number | undefined;
  /** Set once, it is called when the client cancels, vanishes, or its deadline passes. */
  onCancel: (() => void) | undefined;
}

export interface UnaryMethod {
  readonly cost: CallCost;
  /** Anything thrown that is not a GrpcError is INTERNAL. */
  readonly run: (call: UnaryCall) => Promise<Uint8Array>;
  /** The reply to a call that was not let in. */
  readonly refuse: (error: unknown) => Uint8Array;
}

export interface GrpcHttp2Options {
  /** `/package.Service/Method` → method. Anything else is UNIMPLEMENTED. */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly receiveBytesMax: number;
  readonly sendBytesMax: number;
  /** What a client may have in flight towards one stream; twice as much towards a connection. */
  readonly windowBytes: number;
  readonly admission: Admission;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  /** A call that does not move because of its client for so long is given up: 60 s by default. */
  readonly stalledMs?: number;
}

const PREFIX_BYTES = 5;
/** Replies up to here are copied behind their prefix: one write instead of two. */
const COPY_BYTES_MAX = 64 * 1024;
/** Calls in flight on one connection; a client keeps further ones waiting (RFC 9113, 5.1.2). */
const STREAMS_MAX = 1024;
/** MiB of frames that Node may hold for a connection: a reply of the largest size and more. */
const SESSION_MIB_MAX = 2048;
const STALLED_MS = 60_000;
/** Idle for so long, a connection is asked whether anybody is there. */
const KEEP_ALIVE_MS = 60_000;
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
  readonly #sockets = new Set<Socket>();
  /** By session. */
  readonly #surroundings = new WeakMap<object, Surroundings>();
  readonly #stalls = new StallWatch();
  readonly #stalledMs: number;
  #sweeping: NodeJS.Timeout | undefined;

  constructor(options: GrpcHttp2Options) {
    this.#stalledMs = options.stalledMs ?? STALLED_MS;
    this.#server = createServer({
      maxSessionMemory: SESSION_MIB_MAX,
      settings: {
        initialWindowSize: options.windowBytes,
        maxConcurrentStreams: STREAMS_MAX,
      },
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
    });
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      this.#surroundings.set(session, this.#makeSurroundings(options));
      session.setLocalWindowSize(2 * options.windowBytes);
      session.once('close', () => this.#sessions.delete(session));
      session.on('error', ignore); // A client that breaks the protocol or vanishes: it is closed.
    });
    this.#server.on('sessionError', ignore);
    this.#server.on('stream', (stream, headers) => {
      const { session } = stream;
      const around = session === undefined ? undefined : this.#surroundings.get(session);
      new Exchange(stream, headers, around ?? this.#makeSurroundings(options));
    });
  }

  #makeSurroundings(options: GrpcHttp2Options): Surroundings {
    const share = options.admission.makeShare();
    return { options, share, stalls: this.#stalls, stalledMs: this.#stalledMs };
  }

  /** Resolves with the port; 0 asks for a free one. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#sweeping = setInterval(() => this.#stalls.sweep(), this.#stalledMs).unref();
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Refuses new calls, waits for those in progress at most `graceMs`, then cuts them off. */
  async stop(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => {
      // Not the sessions: a closing one still waits for its client to take what is written.
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    for (const session of this.#sessions) session.close();
    await closed;
    clearInterval(this.#sweeping);
    clearTimeout(timer);
  }
}

const ignore = (): void => undefined;

/** What the calls of a connection have in common. */
interface Surroundings {
  readonly options: GrpcHttp2Options;
  readonly share: BudgetShare;
  readonly stalls: StallWatch;
  readonly stalledMs: number;
}

/** One call, from its first header to its trailers. */
class Exchange implements UnaryCall, Stallable {
  readonly headers: IncomingHttpHeaders;
  deadlineMs: number | undefined;
  onCancel: (() => void) | undefined;
  message: Buffer = EMPTY;
  readonly #stream: ServerHttp2Stream;
  readonly #around: Surroundings;
  readonly #method: UnaryMethod | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #reader: MessageReader | undefined;
  /** Once let in. */
  #call: AdmittedCall | undefined;
  /** While it waits at the gate: raised, it leaves. */
  #waiting: AbortController | undefined;
  #hasEnded = false;
  #isRunning = false;
  #isDone = false;
  #isClosed = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, around: Surroundings) {
    const { options } = around;
    this.#stream = stream;
    this.headers = headers;
    this.#around = around;
    this.#method = options.methods.get(headers[':path'] ?? '');
    stream.on('error', ignore); // Of the transport: 'close' follows.
    stream.once('close', () => this.#abandon());
    const refusal = this.#refuseHeaders();
    if (refusal !== undefined) {
      refusal();
      return;
    }
    this.#startDeadline();
    around.stalls.begin(this);
    this.#reader = new MessageReader(options.receiveBytesMax, (length, isCompressed) =>
      this.#enter(length, isCompressed),
    );
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.once('end', () => this.#onEnd());
  }

  /** The call was let in, and holds what its message takes. */
  get memory(): CallMemory {
    return this.#call!;
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
    if (timeoutMs === undefined) return;
    this.deadlineMs = this.#around.options.nowMs() + timeoutMs;
    if (timeoutMs > TIMER_MS_MAX) return;
    this.#deadlineTimer = setTimeout(() => {
      const { onCancel } = this;
      this.#fail(GrpcCode.deadlineExceeded, 'Deadline exceeded');
      onCancel?.();
    }, timeoutMs);
  }

  /** At the message's length, before its bytes. @throws MilvusError when it is not let in */
  #enter(length: number, isCompressed: boolean): void {
    const { options, share } = this.#around;
    const { admission, receiveBytesMax } = options;
    const bytes = isCompressed ? Math.min(receiveBytesMax, EXPANSION_MAX * length) : length;
    const { call, wait } = admission.enter(this.#method!.cost, bytes, share);
    this.#call = call;
    if (wait !== undefined) void this.#waitAtGate(wait);
    else if (call.isLarge) this.#limitStall();
  }

  /** Not read on meanwhile, so that flow control stops the sender. */
  async #waitAtGate(wait: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const waiting = new AbortController();
    this.#waiting = waiting;
    this.#around.stalls.end(this);
    this.#stream.pause();
    try {
      await wait(waiting.signal);
    } catch (error) {
      this.#waiting = undefined;
      this.#refuse(error);
      return;
    }
    this.#waiting = undefined;
    if (this.#isDone) return;
    this.#limitStall();
    this.#stream.resume();
    if (this.#hasEnded) this.#onEnd();
  }

  /** What is large may take long, as long as it moves. */
  #limitStall(): void {
    const { stalls, stalledMs } = this.#around;
    stalls.end(this);
    this.#stream.setTimeout(stalledMs, () => this.cut());
  }

  /** The client does not go on, or is not there. */
  cut(): void {
    const stream = this.#stream;
    // The reset itself may wait behind bytes that nobody reads.
    if (stream.closed) stream.destroy();
    else {
      this.#around.stalls.begin(this);
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#isDone) return;
    try {
      this.#reader!.push(chunk);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #onEnd(): void {
    if (this.#isDone) return;
    if (this.#waiting !== undefined) {
      this.#hasEnded = true;
      return;
    }
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
    const { receiveBytesMax } = this.#around.options;
    this.#isRunning = true;
    expand(bytes, { maxOutputLength: receiveBytesMax }, (error, message) => {
      this.#isRunning = false;
      if (this.#isDone) {
        this.#endIfOver();
        return;
      }
      if (error === null) this.#run(message);
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        this.#failWith(makeTooLarge('the expanded message', receiveBytesMax));
      } else this.#fail(GrpcCode.internal, `the ${encoding} message cannot be expanded`);
    });
  }

  #run(message: Buffer): void {
    this.message = message;
    this.#isRunning = true;
    this.#around.stalls.end(this);
    // The work may take as long as it takes.
    if (this.#call!.isLarge) this.#stream.setTimeout(0);
    this.#method!.run(this).then(
      (reply) => {
        this.#isRunning = false;
        this.#reply(reply);
        this.#endIfOver();
      },
      (error: unknown) => {
        this.#isRunning = false;
        this.#failWith(error);
        this.#endIfOver();
      },
    );
  }

  #reply(message: Uint8Array): void {
    if (this.#isDone) return;
    const { sendBytesMax } = this.#around.options;
    if (message.byteLength > sendBytesMax) {
      this.#failWith(makeTooLarge(`a reply of ${message.byteLength} bytes`, sendBytesMax));
      return;
    }
    this.#finish();
    this.message = EMPTY;
    if (!this.#canAnswer()) return;
    this.#call?.keepReply(message.byteLength);
    if (this.#call?.isLarge === true) this.#limitStall();
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

  /** Answers in the method's own way; what the client still sends is read and forgotten. */
  #refuse(error: unknown): void {
    if (this.#isDone) return;
    if (error instanceof GrpcError) {
      this.#failWith(error);
      return;
    }
    this.#reply(this.#method!.refuse(error));
    this.#reader = undefined;
    this.#stream.resume();
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
    // There is no reply to hold memory for, and the client may take its time to end the stream.
    if (!this.#isRunning) this.#call?.end();
    if (this.#canAnswer()) this.#stream.respond(headers, { endStream: true });
    this.#stream.resume();
  }

  /** Not when the client has reset the stream, which it does without a sign before 'close'. */
  #canAnswer(): boolean {
    return !this.#stream.closed && !this.#stream.destroyed;
  }

  #finish(): void {
    this.#isDone = true;
    clearTimeout(this.#deadlineTimer);
    this.#waiting?.abort();
    this.#around.stalls.begin(this);
  }

  /** The stream is gone: after a reply as always, before one because the client gave up. */
  #abandon(): void {
    this.#isClosed = true;
    if (!this.#isDone) {
      this.#finish();
      this.onCancel?.();
    }
    this.#around.stalls.end(this);
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (this.#isClosed && !this.#isRunning) this.#call?.end();
  }
}

const EMPTY = Buffer.alloc(0);
