// Waits for what a running server does by itself: asked again and again, with a deadline.

import assert from 'node:assert/strict';

const PAUSE_MS = 10;

export async function waitFor(isDone: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await isDone())) {
    assert.ok(Date.now() < deadline, `not done in ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
