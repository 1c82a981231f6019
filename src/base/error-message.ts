// What whoever caught something says of it: anything can be thrown.

export function getErrorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
