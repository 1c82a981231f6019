// Turns a file system error under the log into the error that a client sees.

import { getErrorMessage } from '../base/error-message.ts';
import { getErrorCode } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from '../model/error.ts';

export interface IoContext {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly file: string;
  /** Bytes that the failed step wanted, when known. */
  readonly needBytes?: number;
}

/** Returns DiskLimitExceeded with `need` and `have` for a full disk or quota, else IoFailed. */
export async function toIoError(error: unknown, context: IoContext): Promise<MilvusError> {
  if (error instanceof MilvusError) return error;
  const code = getErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const have = await context.fileSystem.freeBytes(context.directory).catch(() => undefined);
    return new MilvusError('DiskLimitExceeded', {
      fields: {
        ...(context.needBytes === undefined ? {} : { need: context.needBytes }),
        ...(have === undefined ? {} : { have }),
        directory: context.directory,
      },
    });
  }
  const reason = getErrorMessage(error);
  return new MilvusError('IoFailed', { fields: { file: context.file, code, reason } });
}
