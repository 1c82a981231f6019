// The one error that a client sees: a row of Milvus' error table plus a message and its fields.
// Programmer errors are asserts, not MilvusErrors. `rpc/status.ts` turns these into
// `common.Status`.

type Blame = 'input' | 'system';

interface ErrorKind {
  readonly code: number;
  readonly retriable: boolean;
  readonly blame: Blame;
  readonly text: string;
}

const kind = (
  code: number,
  text: string,
  blame: Blame = 'system',
  retriable = false,
): ErrorKind => ({
  code,
  retriable,
  blame,
  text,
});

/** Milvus' error codes (merr), by name. Source: Milvus 2.6. */
export const ERRORS = {
  ServiceNotReady: kind(1, 'service not ready', 'system', true),
  ServiceUnavailable: kind(2, 'service unavailable', 'system', true),
  MemoryLimitExceeded: kind(3, 'memory limit exceeded'),
  TooManyRequests: kind(4, 'too many concurrent requests, queue is full', 'system', true),
  ServiceInternal: kind(5, 'service internal error'),
  DiskLimitExceeded: kind(7, 'disk limit exceeded'),
  RateLimit: kind(8, 'rate limit exceeded', 'system', true),
  QuotaExceeded: kind(9, 'quota exceeded'),
  Unimplemented: kind(10, 'service unimplemented'),
  CollectionNotFound: kind(100, 'collection not found', 'input'),
  CollectionNotLoaded: kind(101, 'collection not loaded'),
  CollectionNumLimitExceeded: kind(102, 'exceeded the limit number of collections', 'input'),
  CollectionNotFullyLoaded: kind(103, 'collection not fully loaded', 'system', true),
  CollectionLoaded: kind(104, 'collection already loaded', 'input'),
  CollectionIllegalSchema: kind(105, 'illegal collection schema', 'input'),
  CollectionVectorClusteringKeyNotAllowed: kind(107, 'vector clustering key not allowed', 'input'),
  CollectionSchemaMismatch: kind(109, 'collection schema mismatch', 'input'),
  PartitionNotFound: kind(200, 'partition not found', 'input'),
  PartitionNotLoaded: kind(201, 'partition not loaded'),
  GeneralCapacityExceeded: kind(250, 'general capacity exceeded'),
  ResourceGroupNotFound: kind(300, 'resource group not found', 'input'),
  ChannelNotFound: kind(500, 'channel not found'),
  ChannelNotAvailable: kind(503, 'channel not available'),
  SegmentNotFound: kind(600, 'segment not found'),
  IndexNotFound: kind(700, 'index not found', 'input'),
  IndexNotSupported: kind(701, 'index type not supported', 'input'),
  IndexDuplicate: kind(702, 'index duplicates', 'input'),
  DatabaseNotFound: kind(800, 'database not found', 'input'),
  DatabaseNumLimitExceeded: kind(801, 'exceeded the limit number of database', 'input'),
  DatabaseInvalidName: kind(802, 'invalid database name', 'input'),
  IoFailed: kind(1001, 'IO failed'),
  DataIntegrity: kind(1009, 'data integrity violated'),
  ParameterInvalid: kind(1100, 'invalid parameter', 'input'),
  ParameterMissing: kind(1101, 'missing parameter', 'input'),
  ParameterTooLarge: kind(1102, 'parameter too large', 'input'),
  AliasNotFound: kind(1600, 'alias not found', 'input'),
  AliasCollectionNameConflict: kind(1601, 'alias and collection name conflict', 'input'),
  AliasAlreadyExist: kind(1602, 'alias already exist', 'input'),
  FieldNotFound: kind(1700, 'field not found', 'input'),
  FieldInvalidName: kind(1701, 'field name invalid', 'input'),
  InconsistentRequery: kind(2200, 'inconsistent requery result', 'system', true),
  Canceled: kind(10000, 'context canceled'),
  Timeout: kind(10001, 'context deadline exceeded'),
  Unexpected: kind(65535, 'unexpected error'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorName = keyof typeof ERRORS;

export interface MilvusErrorOptions {
  /** Replaces the table's text; without it the table's text is the head of the message. */
  readonly message?: string;
  /** Rendered as `[key=value]` after the text, in order. */
  readonly fields?: Readonly<Record<string, string | number | bigint | boolean>>;
  /** Nothing of the request was done: it may be sent again. False by default: it may have been. */
  readonly isUnexecuted?: boolean;
}

export class MilvusError extends Error {
  readonly errorName: ErrorName;
  readonly code: number;
  readonly retriable: boolean;
  readonly isInputError: boolean;
  readonly isUnexecuted: boolean;

  constructor(errorName: ErrorName, options: MilvusErrorOptions = {}) {
    const row = ERRORS[errorName];
    const fields = Object.entries(options.fields ?? {}).map(([key, value]) => `[${key}=${value}]`);
    super((options.message ?? row.text) + fields.join(''));
    this.name = 'MilvusError';
    this.errorName = errorName;
    this.code = row.code;
    this.isInputError = row.blame === 'input';
    this.retriable = row.retriable && !this.isInputError;
    this.isUnexecuted = options.isUnexecuted ?? false;
  }
}

const NAME_BY_CODE = new Map<number, ErrorName>(
  (Object.keys(ERRORS) as ErrorName[]).map((name) => [ERRORS[name].code, name]),
);

/** Returns the table row's name for a merr code; unknown codes are `Unexpected` (65535). */
export function getErrorName(code: number): ErrorName {
  return NAME_BY_CODE.get(code) ?? 'Unexpected';
}

/**
 * Returns a caller's mistake: code 1100 with this message, which ends in the table's text as in
 * Milvus, where errors wrap each other.
 */
export function invalidParameter(message: string): MilvusError {
  const { text } = ERRORS.ParameterInvalid;
  return new MilvusError('ParameterInvalid', {
    message: message.includes(text) ? message : `${message}: ${text}`,
  });
}
