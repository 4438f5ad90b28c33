// Facts in the words that people read: how long, how long ago, how many, and text of others made safe to print.
import { stripVTControlCharacters } from 'node:util';
import { describeExit } from '../protocol/result.ts';
import { MISLEADING, shellWord } from '../protocol/shell.ts';
import type { Attempt } from '../client/attempts.ts';

/** `4ms`, `1.4s`, `12s`, `3m12s`, `2h05m`, `4d03h`: two units at most. */
export function span(seconds: number): string {
  if (seconds < 0.9995) return seconds <= 0 ? '0s' : `${Math.max(1, Math.round(seconds * 1000))}ms`;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d${two(Math.floor((whole % 86_400) / 3600))}h`;
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}

/** `5m02s ago`, or `just now`; `at` and `now` in milliseconds since 1970. */
export function ago(at: number, now: number): string {
  const seconds = (now - at) / 1000;
  return seconds < 1 ? 'just now' : `${span(seconds)} ago`;
}

/** `12,000`. By hand, because the locales of the host's library take 20 ms to be loaded. */
export function thousands(n: number): string {
  return String(n).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 task`, `12,000 tasks`. */
export function count(n: number, what: string): string {
  return `${thousands(n)} ${what}${n === 1 ? '' : 's'}`;
}

/** `64 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let n = bytes;
  let unit = 0;
  for (; n >= 999.5 && unit < units.length - 1; unit++) n /= 1000;
  return `${n < 9.95 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** `a, b, c and 4 more`. */
export function list(words: readonly string[], limit = 3): string {
  if (words.length <= limit) return words.join(', ');
  return `${words.slice(0, limit).join(', ')} and ${words.length - limit} more`;
}

/** Text of others on one line, without what a terminal obeys, cut to `width` characters. */
export function oneLine(text: string, width = 200): string {
  const plain = stripVTControlCharacters(text)
    .replaceAll(/\r?\n/g, ' ')
    .replaceAll('\t', '  ')
    .replaceAll(MISLEADING, '·');
  return plain.length > width ? `${plain.slice(0, Math.max(1, width - 1))}…` : plain;
}

/** A line that was printed, as `oneLine`: of what was written over it, as by a progress bar, what came last. */
export function printedLine(text: string, width?: number): string {
  return oneLine(text.split('\r').findLast((part) => part !== '') ?? '', width);
}

/** A command line as one would type it. */
export function commandLine(argv: readonly string[]): string {
  return argv.map(shellWord).join(' ');
}

/** What became of an attempt, or what it does, in a few words. */
export function attemptWords({ now }: Pick<Attempt, 'now'>): string {
  switch (now.kind) {
    case 'settled':
      return now.result.message || now.result.outcome;
    case 'live':
      if (now.ending !== undefined) return `it is being ended: ${now.ending.message}`;
      return now.here ? 'it runs' : `it runs on ${now.runner.host}, or ran there`;
    case 'starting':
      return 'it is being started';
    case 'ended':
      return `it has ended, ${describeExit(now.status).words}; the daemon has not taken note yet`;
    case 'gone':
      if (now.copied) return 'it does not run here: this directory is a copy of the one that it runs in, or ran';
      return 'its runner is dead and left no exit status; the daemon will say what becomes of it';
    case 'void':
      return 'it never began';
  }
}
