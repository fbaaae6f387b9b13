import { TareError } from '../base/errors.ts';

/** Names from number 1 on; the same on x86-64 and arm64 (include/uapi/asm-generic/signal.h). */
const names =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  );

const aliases: Readonly<Record<string, number>> = { IOT: 6, POLL: 29, CLD: 17, UNUSED: 31 };

/** First and last real-time signals as the C library counts them (it keeps 32 and 33 for itself). */
const REALTIME_MIN = 34;
const REALTIME_MAX = 64;

/**
 * The number of a signal: "TERM", "SIGTERM", "sigterm", "15", "RTMIN", "RTMIN+3", "RTMAX-1".
 *
 * Errors: `invalid` for anything else, and for numbers outside 1-64.
 */
export function parseSignal(text: string): number {
  if (/^[0-9]{1,3}$/.test(text)) {
    const number = Number(text);
    if (number < 1 || number > REALTIME_MAX) throw unknown(text);
    return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realtime = /^RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realtime !== null) {
    const [, end, sign, distance = '0'] = realtime;
    const number = (end === 'MIN' ? REALTIME_MIN : REALTIME_MAX) + (sign === '-' ? -1 : 1) * Number(distance);
    if (number < REALTIME_MIN || number > REALTIME_MAX || sign === (end === 'MIN' ? '-' : '+')) throw unknown(text);
    return number;
  }
  const index = names.indexOf(name);
  const number = index >= 0 ? index + 1 : Object.hasOwn(aliases, name) ? aliases[name] : undefined;
  if (number === undefined) throw unknown(text);
  return number;
}

/** "SIGTERM", "SIGRTMIN+3"; the number itself for those without a name. */
export function signalName(signal: number): string {
  const name = names[signal - 1];
  if (name !== undefined) return `SIG${name}`;
  if (signal < REALTIME_MIN || signal > REALTIME_MAX) return String(signal);
  const fromMin = signal - REALTIME_MIN;
  const fromMax = REALTIME_MAX - signal;
  const [base, sign, distance] = fromMin <= fromMax ? ['MIN', '+', fromMin] : ['MAX', '-', fromMax];
  return `SIGRT${base}${distance === 0 ? '' : `${sign}${distance}`}`;
}

function unknown(text: string): TareError {
  return new TareError('invalid', `Cannot use signal ${JSON.stringify(text.slice(0, 80))}: there is no such signal`);
}
