// Raises the HTTP/2 flow-control window of a gRPC server, for which grpc-js 1.14.7 has no option:
// with the default of 64 KiB a 3 MB message waits for 50 round trips and takes three times as long.
// Reaches into private fields until grpc/grpc-node#3058 makes that needless, so the version is
// pinned and a test watches these fields.

import type { Http2Server, ServerHttp2Session } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/** The largest window that HTTP/2 knows (RFC 9113, section 6.9.1). */
const WINDOW_BYTES_MAX = 2 ** 31 - 1;

interface ServerInternals {
  commonServerOptions?: { settings?: object };
  createHttp2Server?: (credentials: unknown) => Http2Server;
}

/**
 * Lets each client have `bytes` in flight on one stream and twice as much on one connection.
 * To be called before the server is bound and before it makes a connection injector.
 *
 * @param bytes  65535 to 2^31 - 1
 * @throws Error when this version of grpc-js is made otherwise
 */
export function raiseWindow(server: Server, bytes: number): void {
  if (!Number.isInteger(bytes) || bytes < 65_535 || bytes > WINDOW_BYTES_MAX) {
    throw new RangeError(`flow-control window of ${bytes} bytes: not within 65535 to 2^31 - 1`);
  }
  const internals = server as unknown as ServerInternals;
  const options = internals.commonServerOptions;
  const create = internals.createHttp2Server;
  if (typeof options !== 'object' || options === null || typeof create !== 'function') {
    throw new Error(
      'this version of @grpc/grpc-js lacks the fields that raiseWindow needs: ' +
        'commonServerOptions and createHttp2Server, as in 1.14.7',
    );
  }
  const connectionBytes = Math.min(2 * bytes, WINDOW_BYTES_MAX);
  options.settings = { ...options.settings, initialWindowSize: bytes };
  internals.createHttp2Server = (credentials) => {
    const http2Server = create.call(server, credentials);
    http2Server.on('session', (session: ServerHttp2Session) => {
      session.setLocalWindowSize(connectionBytes);
    });
    return http2Server;
  };
}
