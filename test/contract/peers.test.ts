// Runs the contract of peers over both kinds: in this process (with and without copies) and gRPC.

import type { IndexNode, Roles } from '../../src/rpc/contract.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { grpcPeer, startRoleServer } from '../../src/rpc/grpc-roles.ts';
import { lazyPeer, localPeer } from '../../src/rpc/local.ts';
import { testPeers, type PeersFixture } from './peers.suite.ts';

const monotonicMs = (): number => systemRuntime.monotonicMs();

const local = (copy: boolean) => async (): Promise<PeersFixture> => ({
  connect: async (role) => localPeer(role, { copy }),
  connectMissing: async <Role extends object>() =>
    lazyPeer<Role>(() => undefined, { copy }),
  dispose: async () => undefined,
});

testPeers('local', local(false), {
  copies: false,
  abortsAtOnce: false,
  missingRole: 'ServiceNotReady',
});

testPeers('local with copies', local(true), {
  copies: true,
  abortsAtOnce: true,
  missingRole: 'ServiceNotReady',
});

testPeers(
  'grpc',
  async () => {
    const disposers: (() => unknown)[] = [];
    /** The suite's roles have methods of their own: the transport does not care. */
    const connect = async <Role extends object>(role?: Role): Promise<Role> => {
      const roles: Partial<Roles> =
        role === undefined ? {} : { indexnode: role as unknown as IndexNode };
      const server = await startRoleServer({ host: '127.0.0.1', port: 0, roles, monotonicMs });
      const { peer, close } = grpcPeer('indexnode', `127.0.0.1:${server.port}`, {
        monotonicMs,
      });
      disposers.push(close, () => server.stop());
      return peer as unknown as Role;
    };
    return {
      connect,
      connectMissing: () => connect(),
      dispose: async () => {
        for (const dispose of disposers) await dispose();
      },
    };
  },
  { copies: true, abortsAtOnce: true, missingRole: 'ServiceUnavailable' },
);
