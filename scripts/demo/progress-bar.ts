// A line that says how far a step is: redrawn in place on a terminal, printed once at the end
// elsewhere.

const WIDTH = 30;
const REDRAW_MS = 100;

export class ProgressBar {
  readonly #label: string;
  readonly #started = performance.now();
  #drawn = 0;

  constructor(label: string) {
    this.#label = label.padEnd(12);
  }

  /** @param detail  shown behind the bar */
  update(share: number, detail: string): void {
    const now = performance.now();
    if (!process.stdout.isTTY || now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    const full = Math.round(Math.min(1, share) * WIDTH);
    const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full);
    const percent = `${(share * 100).toFixed(0)}%`.padStart(4);
    process.stdout.write(`\r\x1b[K${this.#label} ${bar} ${percent}  ${detail}`);
  }

  /** Leaves one line with what was done and how long it took. Returns the seconds. */
  finish(detail: string): number {
    const seconds = (performance.now() - this.#started) / 1000;
    const clear = process.stdout.isTTY ? '\r\x1b[K' : '';
    process.stdout.write(`${clear}${this.#label} ${detail}  (${seconds.toFixed(1)} s)\n`);
    return seconds;
  }
}
