// What Milvus has and this server has not is refused by name, never ignored.

import { MilvusError } from '../../model/error.ts';

export function notYet(what: string): MilvusError {
  return new MilvusError('Unimplemented', { message: `${what} is not available yet` });
}
