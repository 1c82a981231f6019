// Turns a file system error under the log or the object storage into the error that a client sees.

import { getErrorMessage } from '../base/error-message.ts';
import { getErrorCode } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from './error.ts';

export interface IoContext {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** What was read or written: a file of the log, or an object's key. */
  readonly place: { readonly file: string } | { readonly key: string };
  /** Bytes that the failed step wanted, when known. */
  readonly needBytes?: number;
}

/** Returns DiskLimitExceeded with `need` and `have` for a full disk or quota, else IoFailed. */
export async function toIoError(error: unknown, context: IoContext): Promise<MilvusError> {
  if (error instanceof MilvusError) return error;
  const { fileSystem, directory, place, needBytes } = context;
  const code = getErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const have = await fileSystem.freeBytes(directory).catch(() => undefined);
    return new MilvusError('DiskLimitExceeded', {
      fields: {
        ...(needBytes === undefined ? {} : { need: needBytes }),
        ...(have === undefined ? {} : { have }),
        directory,
        ...place,
      },
    });
  }
  const reason = getErrorMessage(error);
  return new MilvusError('IoFailed', { fields: { ...place, code, reason } });
}
