// Long work on the event loop goes on in steps: `nextTurn` lets everything else that waits run in
// between (P9). However many take steps at a time, one of them runs per turn of the loop.

/** Keys, or constants of a list, for one turn: whatever it is, each takes about a microsecond. */
export const VALUES_PER_TURN = 4096;

const waiting: (() => void)[] = [];

/** Resolves in a later turn of the event loop, after those that asked before. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(runOne);
  });
}

function runOne(): void {
  waiting[0]!();
  waiting.shift();
  if (waiting.length > 0) setImmediate(runOne);
}

/** Counts the work of a loop, to say when it has done enough for one turn. */
export class TurnMeter {
  readonly #workMax: number;
  #work = 0;

  constructor(workMax: number) {
    this.#workMax = workMax;
  }

  /** Adds work that is about to be done; true when it belongs to the next turn. */
  isOver(work: number): boolean {
    const isOver = this.#work > 0 && this.#work + work > this.#workMax;
    this.#work = isOver ? work : this.#work + work;
    return isOver;
  }
}
