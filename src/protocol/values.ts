// Durations, sizes and priorities as people write them: `"1h30m"` or seconds, `"64MB"` or bytes.
import { expected, quote } from './validation.ts';

/** Ten years, in seconds: no wait of a job is longer, but a time stamp in the place of a duration is. */
export const MAX_DURATION = 3650 * 86_400;

export const DURATION_WORDS = 'a duration: seconds, or text as "90s", "5m", "1h30m"';
export const OR_NONE_WORDS = `${DURATION_WORDS}; or "none"`;
const DURATION = /^(?:([\d.]+)d)?\s?(?:([\d.]+)h)?\s?(?:([\d.]+)m)?\s?(?:([\d.]+)s)?\s?(?:([\d.]+)ms)?$/;
const DURATION_UNITS = [86_400, 3600, 60, 1, 0.001];

/** Seconds, or `none`; undefined if `input` is no duration (see `durationProblem`). Text without a unit is seconds. */
export function parseDuration(input: unknown): number | 'none' | undefined {
  if (input === 'none') return 'none';
  const seconds = typeof input === 'string' ? secondsIn(input) : input;
  return typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_DURATION ? seconds : undefined;
}

function secondsIn(text: string): number {
  if (text.length > 100) return Number.NaN;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const parts = DURATION.exec(text)?.slice(1) ?? [];
  if (parts.every((part) => part === undefined)) return Number.NaN;
  // Summed in thousandths, so that 0.1 + 0.2 is 0.3.
  const thousandths = parts.map((part, i) => Number(part ?? 0) * (DURATION_UNITS[i] ?? 0) * 1000);
  return Math.round(thousandths.reduce((sum, part) => sum + part, 0)) / 1000;
}

/** Why `input` is no duration, in words; undefined if it is one. */
export function durationProblem(input: unknown, words = DURATION_WORDS): string | undefined {
  if (parseDuration(input) !== undefined) return undefined;
  const seconds = typeof input === 'string' ? secondsIn(input) : input;
  if (typeof seconds === 'number' && seconds > MAX_DURATION) return 'is too long: at most 3650d (ten years)';
  return expected(words)({ input });
}

/** `5400` → `1h30m`, exact to a thousandth of a second; `none` stays. The reverse of `parseDuration`. */
export function formatDuration(seconds: number | 'none'): string {
  if (seconds === 'none') return seconds;
  let left = Math.round(seconds * 1000);
  let text = '';
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const) {
    const count = Math.floor(left / size);
    if (count > 0) text += `${count}${unit}`;
    left -= count * size;
  }
  return text || '0s';
}

export const SIZE_WORDS = 'a size: bytes, or text as "64MB", "1.5GiB"';
const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes; undefined if `input` is no size. MB is a million, MiB 2^20. */
export function parseSize(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isSafeInteger(input) && input >= 0 ? input : undefined;
  if (typeof input !== 'string' || input.length > 100) return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s?([a-zA-Z]*)$/.exec(input) ?? [];
  const factor = SIZE_UNITS[unit?.toLowerCase() ?? 'none'];
  if (number === undefined || factor === undefined) return undefined;
  const bytes = Math.round(Number(number) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Why `input` is no size, in words; undefined if it is one. */
export function sizeProblem(input: unknown): string | undefined {
  if (parseSize(input) !== undefined) return undefined;
  const [, number, letter] = (typeof input === 'string' && /^(\d+(?:\.\d+)?)\s?([kKmMgGtT])$/.exec(input)) || [];
  if (number === undefined || letter === undefined) return expected(SIZE_WORDS)({ input });
  const big = letter.toUpperCase();
  return `${quote(String(input))} could mean two things; write "${number}${big}B" (powers of 1000) or "${number}${big}iB" (of 1024)`;
}

/** `64000000` → `64MB`, the largest decimal unit that is exact to a tenth; for people. */
export function formatSize(bytes: number): string {
  for (const [unit, size] of [
    ['TB', 1e12],
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))}${unit}`;
  }
  return `${bytes}B`;
}

/** The named priorities as numbers; a task may say any whole number, higher first. */
export const PRIORITIES = { foreground: 1000, background: 0, best_effort: -1000 } as const;
