// Calls in which the server waits for its client: for the rest of a message, for the reply to be
// taken, for the client's end of a call that has been refused. A client that has vanished, or never
// goes on, would else keep its place among the calls in progress for ever.
// A wait is cut off after one to two periods. Beginning and ending one costs next to nothing: there
// is no timer for each call, and a wait that ends in time is never looked at.

/** Whoever waits. */
export interface Stallable {
  /** It has waited too long; called again a period later if it still does. */
  cut(): void;
}

export class StallWatch {
  /** Began in this period, and before it. */
  #recent = new Set<Stallable>();
  #old = new Set<Stallable>();

  begin(wait: Stallable): void {
    this.#recent.add(wait);
  }

  end(wait: Stallable): void {
    this.#recent.delete(wait);
    this.#old.delete(wait);
  }

  /** To be called once a period. */
  sweep(): void {
    const late = this.#old;
    this.#old = this.#recent;
    this.#recent = new Set();
    for (const wait of late) {
      this.#old.add(wait);
      wait.cut();
    }
  }
}
