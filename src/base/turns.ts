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

/** Work cut in steps: after each it yields how much that was, in bytes or what is like them. */
export type Steps<Result> = Generator<number, Result, void>;

/** Bytes that are copied or encoded in one turn: about a millisecond. */
export const BYTES_PER_TURN = 1024 * 1024;

/** Does all of it at once: for what is known to be short. */
export function runNow<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Lets everything else that waits run after each BYTES_PER_TURN. */
export async function runInTurns<Result>(steps: Steps<Result>): Promise<Result> {
  let done = 0;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    done += step.value;
    if (done < BYTES_PER_TURN) continue;
    done = 0;
    await nextTurn();
  }
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
