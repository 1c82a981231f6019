// A logger for tests of what is not logged.

import type { Logger } from '../../src/base/logger.ts';

export class SilentLogger implements Logger {
  debug(): void {}

  info(): void {}

  warn(): void {}

  error(): void {}

  child(): Logger {
    return this;
  }
}
