// The Logger of a real process, over pino: one line per event, as JSON or as text. The only file
// that loads pino: at the first line, as a start has none and would wait 20 ms for it. Lines are
// written before the call returns: a crash loses none.

import { createRequire } from 'node:module';
import type { DestinationStream } from 'pino';
import type { LogFields, Logger, LogLevel } from './logger.ts';

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  /** Where lines go, each with its line end. Default: standard output. */
  readonly write?: (line: string) => void;
}

/** Returns a logger that writes events of `level` and above. */
export function createPinoLogger(options: LoggerOptions): Logger {
  let root: Logger | undefined;
  return new LazyLogger(() => (root ??= openPino(options)));
}

/** Makes its logger when the first line is written. */
class LazyLogger implements Logger {
  readonly #open: () => Logger;
  #logger: Logger | undefined;

  constructor(open: () => Logger) {
    this.#open = open;
  }

  debug(fields: LogFields, message: string): void {
    this.#get().debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#get().info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#get().warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#get().error(fields, message);
  }

  child(fields: LogFields): Logger {
    return new LazyLogger(() => this.#get().child(fields));
  }

  #get(): Logger {
    return (this.#logger ??= this.#open());
  }
}

function openPino({ level, format, write }: LoggerOptions): Logger {
  const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino');
  const destination = write === undefined ? pino.destination({ fd: 1, sync: true }) : { write };
  const options = {
    level,
    base: null,
    messageKey: 'message',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    serializers: { error: pino.stdSerializers.err },
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: object) => writeBigints(fields as LogFields),
    },
  };
  const target = format === 'json' ? destination : new TextStream(destination);
  return pino(options, target) as unknown as Logger;
}

/** JSON has no bigint; ids and timestamps are written as decimal text. */
function writeBigints(fields: LogFields): Record<string, unknown> {
  const plain: Record<string, unknown> = { ...fields };
  for (const [name, value] of Object.entries(plain)) {
    if (typeof value === 'bigint') plain[name] = value.toString();
  }
  return plain;
}

/** Writes each event as `2026-01-31T10:20:30.456Z WARN  message key=value …`. */
class TextStream implements DestinationStream {
  readonly #destination: { write(line: string): unknown };

  constructor(destination: { write(line: string): unknown }) {
    this.#destination = destination;
  }

  write(json: string): void {
    const { time, level, message = '', ...fields } = JSON.parse(json) as Record<string, unknown>;
    const head = `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(message)}`;
    const tail = Object.entries(fields).map(([name, value]) => ` ${name}=${formatValue(value)}`);
    this.#destination.write(`${escapeControls(head + tail.join(''))}\n`);
  }
}

/** Text without spaces, quotes or `=` stands as it is; anything else is JSON. */
function formatValue(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return value;
  if (isErrorLike(value)) return JSON.stringify(value.stack ?? value.message);
  return JSON.stringify(value);
}

function isErrorLike(value: unknown): value is { message: string; stack?: string } {
  return typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;
}

/** A client's name for a collection must not be able to forge a line or steer a terminal. */
function escapeControls(line: string): string {
  return line.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
