// The error inside the filter compiler: what is wrong, and where if the place says more than the
// text. `compileFilter` turns it into the MilvusError that clients see; it never leaves this
// folder.

export class FilterError extends Error {
  /** Character offset in the filter of a syntax error; undefined for an error of meaning. */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(message);
    this.name = 'FilterError';
    this.offset = offset;
  }
}

/** The whole filter is a value of some type instead of a condition. */
export class NotBooleanError extends FilterError {
  readonly type: string;

  constructor(type: string) {
    super(`predicate is not a boolean expression, data type: ${type}`);
    this.type = type;
  }
}

/** Returns `line L:C` for an offset: lines from 1, columns from 0, as ANTLR counts them. */
export function formatPosition(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return `line ${line}:${offset - lineStart}`;
}
