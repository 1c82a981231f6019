// Logging as the rest of the program sees it: fields first, then a fixed message without values.
// pino-logger.ts is the real one; code that is handed no logger gets `silentLogger`.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Values by name. An Error belongs under `error`. bigint is written as decimal text. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** Returns a logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}

const ignore = (): void => undefined;

/** Drops everything. */
export const silentLogger: Logger = Object.freeze({
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
});
