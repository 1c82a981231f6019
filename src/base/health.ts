// What is wrong with this process, as its roles report it: the one source of /healthz, CheckHealth
// and GetComponentStates. A problem stands until whoever reported it takes it back.
// Invariant: at most one problem for each component and subject; a subject is something that the
// catalog bounds (a shard, an index) or a name in the code. Not here: what to do about it.

export type HealthPhase = 'starting' | 'serving' | 'stopping';

export interface HealthProblem {
  /** The role that reports it. */
  readonly component: string;
  /** What is affected; the key under which the problem is taken back. */
  readonly subject: string;
  /** What is wrong and what would help, in a sentence. */
  readonly reason: string;
}

/** Problems kept; more are counted only. */
const PROBLEMS_MAX = 10_000;

export class Health {
  readonly #problems = new Map<string, HealthProblem>();
  #unlisted = 0;
  #phase: HealthPhase = 'starting';

  get phase(): HealthPhase {
    return this.#phase;
  }

  enter(phase: HealthPhase): void {
    this.#phase = phase;
  }

  /** Adds a problem, or says anew what is known about it. */
  report(component: string, subject: string, reason: string): void {
    const key = makeKey(component, subject);
    if (this.#problems.size >= PROBLEMS_MAX && !this.#problems.has(key)) this.#unlisted += 1;
    else this.#problems.set(key, { component, subject, reason });
  }

  /** Takes a problem back; without one it does nothing. */
  clear(component: string, subject: string): void {
    this.#problems.delete(makeKey(component, subject));
    if (this.#problems.size === 0) this.#unlisted = 0;
  }

  /** Oldest first, at most `countMax`; the rest is one line that says how many. */
  list(countMax = PROBLEMS_MAX): HealthProblem[] {
    const listed = [...this.#problems.values()].slice(0, countMax);
    const rest = this.count - listed.length;
    if (rest > 0) {
      listed.push({ component: 'proxy', subject: 'more', reason: `and ${rest} more problems` });
    }
    return listed;
  }

  get count(): number {
    return this.#problems.size + this.#unlisted;
  }
}

function makeKey(component: string, subject: string): string {
  return `${component}/${subject}`;
}
