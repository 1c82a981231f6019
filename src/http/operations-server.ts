// The operations port (9091): health, liveness and metrics over HTTP, for probes and Prometheus.
// Three GET routes that change nothing; anything else is 404 or 405. Answers are Milvus' own.
// /livez says that the process answers; /healthz is 200 while it takes requests, 500 while it
// starts or stops, and names what is wrong in the lines after the first.

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '../base/logger.ts';
import { STATE_CODES, type ComponentHealth } from '../rpc/component-health.ts';

export interface OperationsServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly logger: Logger;
  /** The roles of this process, now. */
  readonly listHealth: () => readonly ComponentHealth[] | Promise<readonly ComponentHealth[]>;
  readonly renderMetrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

export interface OperationsServer {
  readonly host: string;
  readonly port: number;
  /** Takes no more requests; resolves when those in progress are answered, or after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

type Handler = (request: IncomingMessage) => Promise<Answer>;

const TEXT = 'text/plain; charset=utf-8';
const GRACE_MS = 1000;

/**
 * Starts to listen.
 *
 * @throws Node's error with its `code` (EADDRINUSE, EACCES …) when the address cannot be had
 */
export async function startOperationsServer(
  options: OperationsServerOptions,
): Promise<OperationsServer> {
  const handlers = new Map<string, Handler>([
    ['/healthz', (request) => answerHealth(request, options)],
    ['/livez', async () => ({ status: 200, contentType: TEXT, body: 'OK' })],
    ['/metrics', () => answerMetrics(options)],
  ]);
  const server = createServer((request, response) => {
    void respond(handlers, request, response, options.logger);
  });
  const cutIdle = trackIdle(server);
  await listen(server, options);
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port, close: (graceMs = GRACE_MS) => close(server, cutIdle, graceMs) };
}

function listen(server: Server, { host, port }: OperationsServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Sends one answer; never throws. */
async function respond(
  handlers: ReadonlyMap<string, Handler>,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  try {
    const { status, contentType, body } = await answer(handlers.get(path), request);
    response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  } catch (error) {
    logger.error({ path, error }, 'operations request failed');
    if (!response.headersSent) response.writeHead(500, { 'content-type': TEXT });
    response.end('internal error');
  }
}

async function answer(handler: Handler | undefined, request: IncomingMessage): Promise<Answer> {
  if (handler === undefined) return { status: 404, contentType: TEXT, body: 'not found' };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, contentType: TEXT, body: 'method not allowed' };
  }
  return handler(request);
}

async function answerHealth(
  request: IncomingMessage,
  { listHealth }: OperationsServerOptions,
): Promise<Answer> {
  const detail = await listHealth();
  const healthy = detail.filter(
    ({ code }) => code === STATE_CODES.Healthy || code === STATE_CODES.StandBy,
  );
  const isHealthy = healthy.length === detail.length;
  const state = isHealthy
    ? 'OK'
    : `Not all components are healthy, ${healthy.length}/${detail.length}`;
  const status = isHealthy ? 200 : 500;
  if (request.headers['content-type']?.startsWith('application/json')) {
    const body = JSON.stringify({ state, detail });
    return { status, contentType: 'application/json', body };
  }
  const lines = detail.flatMap(({ name, reasons = [] }) =>
    reasons.map((reason) => `${name}: ${reason}`),
  );
  return { status, contentType: TEXT, body: [state, ...lines].join('\n') };
}

async function answerMetrics({ renderMetrics }: OperationsServerOptions): Promise<Answer> {
  const { contentType, text } = await renderMetrics();
  return { status: 200, contentType, body: text };
}

/**
 * Returns the function that cuts connections without a request in progress, and stays in force.
 * Node's own closeIdleConnections spares those on which no request has come yet.
 */
function trackIdle(server: Server): () => void {
  const idle = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
  });
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    response.once('close', () => {
      if (!server.listening) socket.destroy();
      else if (!socket.destroyed) idle.add(socket);
    });
  });
  return () => {
    for (const socket of idle) socket.destroy();
  };
}

function close(server: Server, cutIdle: () => void, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    cutIdle();
  });
}
