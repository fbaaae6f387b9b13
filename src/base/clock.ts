/** Milliseconds on a clock that never jumps. Not `performance.now()`: its first use loads a module, a millisecond of every start. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
