/** The line of a program's stderr that says what went wrong: the last one that speaks of an error, else the last one. */
export function gist(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.findLast((line) => /error|cannot|failed/i.test(line)) ?? lines.at(-1) ?? '(no message)';
}
