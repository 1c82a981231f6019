// The client API: every RPC that this server answers, by its name in milvus.proto. All others
// answer gRPC UNIMPLEMENTED naming the RPC. docs/compatibility.md is generated from this table.

import { COLLECTION_RPCS } from './collection-rpcs.ts';
import { INDEX_RPCS } from './index-rpcs.ts';
import { ROW_RPCS } from './row-rpcs.ts';
import type { Rpc } from './rpc.ts';
import { SERVER_RPCS } from './server-rpcs.ts';

export const RPC_TABLE: Readonly<Record<string, Rpc>> = {
  ...ROW_RPCS,
  ...COLLECTION_RPCS,
  ...INDEX_RPCS,
  ...SERVER_RPCS,
};
