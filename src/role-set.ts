// The roles of this process and how they meet: by calls of functions, or by gRPC over loopback.
// A process is a node with an id of its own; tests put several into one.

import type { Runtime } from './base/clock.ts';
import type { Peers, RoleName, Roles } from './rpc/contract.ts';
import type { Directory } from './rpc/directory.ts';
import { lazyPeer } from './rpc/local.ts';
import { ShardPeers } from './rpc/shard-peers.ts';

/** Where roles of one process serve each other when they talk gRPC. */
const LOOPBACK = '127.0.0.1';

export interface RoleSetOptions {
  readonly directory: Directory;
  readonly runtime: Runtime;
  /** Told of errors that are not MilvusErrors, with `role.method`. */
  readonly onDefect: (name: string, error: unknown) => void;
  /** Calls of functions hand over copies. Default false. */
  readonly copy?: boolean;
}

export type NodeRoles = Readonly<Partial<Record<RoleName, object>>>;

/** Peers are looked up at each call, because roles refer to each other in circles. */
export class RoleSet {
  readonly #options: RoleSetOptions;
  readonly #nodes = new Map<number, NodeRoles>();
  /** What stands between callers and the nodes' roles once calls are gRPC. */
  readonly #remotes = new Map<number, NodeRoles>();
  /** By role, then by node. */
  readonly #peers = new Map<RoleName, Map<number | undefined, object>>();
  readonly peers: Peers;

  constructor(options: RoleSetOptions) {
    this.#options = options;
    const { directory, runtime } = options;
    const { get: shard } = new ShardPeers({
      runtime,
      findOwner: (pchannel) => this.#peer('streamingnode', directory.findOwner(pchannel)),
    });
    this.peers = {
      rootcoord: this.#peer('rootcoord'),
      datacoord: this.#peer('datacoord'),
      indexcoord: this.#peer('indexcoord'),
      querycoord: this.#peer('querycoord'),
      datanode: this.#peer('datanode'),
      indexnode: this.#peer('indexnode'),
      shard,
      querynode: (nodeId) => this.#peer('querynode', nodeId),
    };
  }

  add(nodeId: number, roles: NodeRoles): void {
    this.#nodes.set(nodeId, { ...this.#nodes.get(nodeId), ...roles });
  }

  /**
   * From here on the roles added so far meet over gRPC on loopback, each node on a port of its own.
   * Returns what ends that.
   */
  async connectByGrpc(): Promise<() => Promise<void>> {
    // Loaded only where it is wanted: a plain start pays nothing for it.
    const { grpcPeer, startRoleServer } = await import('./rpc/grpc-roles.ts');
    const { onDefect, runtime } = this.#options;
    const monotonicMs = (): number => runtime.monotonicMs();
    const stops: (() => unknown)[] = [];
    for (const [nodeId, roles] of this.#nodes) {
      const server = { host: LOOPBACK, port: 0, roles, monotonicMs, onDefect };
      const { port, stop } = await startRoleServer(server);
      const remotes = (Object.keys(roles) as RoleName[]).map((name) => {
        const { peer, close } = grpcPeer(name, `${LOOPBACK}:${port}`, { monotonicMs });
        stops.push(close);
        return [name, peer] as const;
      });
      stops.push(stop);
      this.#remotes.set(nodeId, Object.fromEntries(remotes));
    }
    return async () => {
      for (const stop of stops.reverse()) await stop();
    };
  }

  /** Of a node, or without an id of whichever has the role. */
  #peer<Name extends RoleName>(name: Name, nodeId?: number): Roles[Name] {
    let peer = this.#peers.get(name)?.get(nodeId);
    if (peer === undefined) {
      const { copy = false, onDefect } = this.#options;
      peer = lazyPeer(() => this.#find(name, nodeId), {
        copy,
        onDefect: (method, error) => onDefect(`${name}.${method}`, error),
      });
      const peers = this.#peers.get(name) ?? new Map<number | undefined, object>();
      this.#peers.set(name, peers.set(nodeId, peer));
    }
    return peer as Roles[Name];
  }

  #find(name: RoleName, nodeId: number | undefined): object | undefined {
    if (nodeId !== undefined) return (this.#remotes.get(nodeId) ?? this.#nodes.get(nodeId))?.[name];
    for (const [id, roles] of this.#nodes) {
      if (roles[name] !== undefined) return (this.#remotes.get(id) ?? roles)[name];
    }
    return undefined;
  }
}
