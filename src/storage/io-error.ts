// Turns a file system error under the object storage into the error that a client sees.

import { getErrorMessage } from '../base/error-message.ts';
import { getErrorCode } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from '../model/error.ts';

export interface IoContext {
  readonly fileSystem: FileSystem;
  readonly root: string;
  readonly key: string;
  /** Bytes that the failed step wanted, when known. */
  readonly needBytes?: number;
}

export function absentError(key: string): MilvusError {
  return new MilvusError('IoFailed', { message: 'object not found', fields: { key } });
}

export function rangeError(key: string, offset: number, length: number): MilvusError {
  return new MilvusError('IoFailed', {
    message: 'range past the end of the object',
    fields: { key, offset, length },
  });
}

/** Returns DiskLimitExceeded with `need` and `have` for a full disk or quota, else IoFailed. */
export async function toIoError(error: unknown, context: IoContext): Promise<MilvusError> {
  if (error instanceof MilvusError) return error;
  const code = getErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const have = await context.fileSystem.freeBytes(context.root).catch(() => undefined);
    return new MilvusError('DiskLimitExceeded', {
      fields: {
        ...(context.needBytes === undefined ? {} : { need: context.needBytes }),
        ...(have === undefined ? {} : { have }),
        key: context.key,
      },
    });
  }
  const reason = getErrorMessage(error);
  return new MilvusError('IoFailed', { fields: { key: context.key, code, reason } });
}
