// What log lines look like, and that clients cannot forge them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPinoLogger } from '../../../src/base/pino-logger.ts';
import type { LoggerOptions } from '../../../src/base/pino-logger.ts';
import type { Logger } from '../../../src/base/logger.ts';

function build(options: Pick<LoggerOptions, 'format' | 'level'>): [Logger, string[]] {
  const lines: string[] = [];
  return [createPinoLogger({ ...options, write: (line) => lines.push(line) }), lines];
}

test('logger: text is one line of time, level, message and fields', () => {
  const [logger, lines] = build({ level: 'info', format: 'text' });
  logger.warn({ collection: 'books', id: 449n, took: 1.5, list: [1, 'b'] }, 'slow read');
  assert.match(
    lines.join(''),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z WARN  slow read collection=books id=449 took=1.5 list=\[1,"b"\]\n$/,
  );
});

test('logger: json is one object with time, level, message and fields', () => {
  const [logger, lines] = build({ level: 'info', format: 'json' });
  logger.info({ id: 2n ** 60n, collection: 'books' }, 'loaded');
  const { time, ...line } = JSON.parse(lines.join('')) as Record<string, unknown>;
  assert.deepEqual(line, {
    level: 'info',
    id: '1152921504606846976',
    collection: 'books',
    message: 'loaded',
  });
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000);
});

test('logger: levels below the set one are dropped', () => {
  const [logger, lines] = build({ level: 'warn', format: 'text' });
  logger.debug({}, 'no');
  logger.info({}, 'no');
  logger.warn({}, 'yes');
  logger.error({}, 'yes');
  assert.equal(lines.length, 2);
});

test('logger: values cannot start a line of their own or steer the terminal', () => {
  const [logger, lines] = build({ level: 'info', format: 'text' });
  logger.info({ name: 'a\n2026 ERROR forged', other: '\u001b[31mred\u2028' }, 'x\ry');
  assert.equal(lines.length, 1);
  assert.match(lines.join(''), /^[^\n\r\u001b\u2028]*\n$/);
});

test('logger: an error is written with its stack, a child repeats its fields', () => {
  for (const format of ['text', 'json'] as const) {
    const [logger, lines] = build({ level: 'info', format });
    logger.child({ role: 'proxy' }).error({ error: new Error('disk full') }, 'flush failed');
    assert.match(lines.join(''), /proxy/);
    assert.match(lines.join(''), /disk full.*pino-logger\.test/);
    assert.equal(lines.join('').split('\n').length, 2);
  }
});
