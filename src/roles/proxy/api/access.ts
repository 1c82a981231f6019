// What a database forbids by its properties `database.force.deny.…`: an administrator stops writes,
// reads or changes there without taking a privilege from anybody. Asked once for a request, before
// its verb runs; the context says who calls, for whatever else access depends on.

import { MilvusError } from '../../../model/error.ts';
import { isTrue } from '../options.ts';
import type { Proxy, RequestContext } from '../proxy.ts';

/** The ends of the properties' names. `ddl` is all but writing and reading. */
export type Access =
  'writing' | 'reading' | 'collectionDDL' | 'partitionDDL' | 'index' | 'flush' | 'compaction';

const DENY = 'database.force.deny';

/** @throws MilvusError QuotaExceeded with Milvus' text */
export async function requireAccess(
  proxy: Proxy,
  access: Access,
  context: RequestContext,
): Promise<void> {
  let properties: Readonly<Record<string, string>>;
  try {
    const { dbName } = context;
    ({ properties } = await proxy.peers.rootcoord.describeDatabase({ name: dbName }, context));
  } catch (error) {
    // What a database that is not there means is for the verb to say.
    if (error instanceof MilvusError && error.errorName === 'DatabaseNotFound') return;
    throw error;
  }
  const isDdl = access !== 'writing' && access !== 'reading';
  if (isTrue(properties[`${DENY}.${access}`]) || (isDdl && isTrue(properties[`${DENY}.ddl`]))) {
    throw new MilvusError('QuotaExceeded', {
      fields: { reason: 'access has been disabled by the administrator' },
    });
  }
}
