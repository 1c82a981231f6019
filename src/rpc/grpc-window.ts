export function raiseWindow(_s: object, _n: number): void {}
