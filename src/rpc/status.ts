// MilvusError ↔ common.Status, in one place. Codes and legacy codes: Milvus 2.6.

import { getErrorMessage } from '../base/error-message.ts';
import { MilvusError, getErrorName } from '../model/error.ts';

/** common.Status as a plain object for the protobuf encoders. */
export interface Status {
  readonly error_code: number;
  readonly reason: string;
  readonly code: number;
  readonly retriable: boolean;
  readonly detail: string;
  readonly extra_info: Readonly<Record<string, string>>;
}

export const OK_STATUS: Status = Object.freeze({
  error_code: 0,
  reason: '',
  code: 0,
  retriable: false,
  detail: '',
  extra_info: Object.freeze({}),
});

const LEGACY_UNEXPECTED_ERROR = 1;

/** merr code → deprecated common.ErrorCode; codes not listed are UnexpectedError. */
const LEGACY_CODE: ReadonlyMap<number, number> = new Map([
  [1, 56], [110, 56], [100, 4], [1100, 5], [1101, 5], [1102, 5], [904, 50], [200, 15], [400, 15],
  [501, 15], [401, 46], [503, 46], [506, 46], [905, 46], [3, 52], [7, 54], [11, 55], [505, 55],
  [8, 49], [9, 48], [700, 25], [600, 47], [109, 62],
]);

/** Returns anything thrown as a MilvusError: aborts are Canceled, all else Unexpected (65535). */
export function toMilvusError(error: unknown): MilvusError {
  if (error instanceof MilvusError) return error;
  if (error instanceof Error && error.name === 'AbortError') return new MilvusError('Canceled');
  const message = getErrorMessage(error);
  const code = (error as { code?: unknown } | null)?.code;
  // The addon throws plain errors that carry a code of the table.
  if (typeof code === 'number') return new MilvusError(getErrorName(code), { message });
  return new MilvusError('Unexpected', { message });
}

export function toStatus(error: unknown): Status {
  const milvusError = toMilvusError(error);
  return {
    error_code: LEGACY_CODE.get(milvusError.code) ?? LEGACY_UNEXPECTED_ERROR,
    reason: milvusError.message,
    code: milvusError.code,
    retriable: milvusError.retriable,
    detail: milvusError.message,
    extra_info: milvusError.isInputError ? { is_input_error: 'true' } : {},
  };
}
