// The roles of this process and how they meet: by calls of functions, or by gRPC over loopback.

import type { Logger } from './base/logger.ts';
import type { Peers, RoleName } from './rpc/contract.ts';

/** Where roles of one process serve each other when they talk gRPC. */
const LOOPBACK = '127.0.0.1';

/**
 * The roles of this process. Peers are looked up at each call, because roles refer to each other in
 * circles.
 */
export class RoleSet {
  readonly #roles: Partial<Record<RoleName, object>> = {};
  readonly #remotes: Partial<Record<RoleName, object>> = {};
  readonly peers: Peers;

  constructor() {
    const find = (name: RoleName): object | undefined => this.#remotes[name] ?? this.#roles[name];
    this.peers = new Proxy({} as Peers, { get: (_target, name) => find(name as RoleName) });
  }

  add(roles: Readonly<Partial<Record<RoleName, object>>>): void {
    Object.assign(this.#roles, roles);
  }

  /** From here on the roles added so far meet over gRPC on loopback. Returns what ends that. */
  async connectByGrpc(logger: Logger): Promise<() => Promise<void>> {
    // Loaded only where it is wanted: a plain start pays nothing for it.
    const { grpcPeer, startRoleServer } = await import('./rpc/grpc-roles.ts');
    const server = await startRoleServer({
      host: LOOPBACK,
      port: 0,
      roles: this.#roles as Partial<Peers>,
      onDefect: (method, error) => logger.error({ method, error }, 'defect in a role'),
    });
    const address = `${LOOPBACK}:${server.port}`;
    const remotes = (Object.keys(this.#roles) as RoleName[]).map((name) => {
      const { peer, close } = grpcPeer(name, address);
      this.#remotes[name] = peer;
      return close;
    });
    return async () => {
      await server.stop();
      for (const close of remotes) close();
    };
  }
}
