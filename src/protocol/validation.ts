// What is wrong with a value, in the user's words: the schemas of this folder give `Problem`s, never the messages of
// the library behind them. Nothing here knows text, lines or files; problems.ts does, and is loaded only to show one.
import type * as z from 'zod';

/** One thing wrong with a value: where in it, and what. `message` begins in lower case and does not repeat the path. */
export interface Problem {
  path: (string | number)[];
  message: string;
  /** What is wrong, word for word: the place given is where this stands in the text that `path` names. */
  find?: string;
}

export type Failed = { ok: false; problems: Problem[] };

/** An object as it was written, its keys still unchecked. */
export type Raw = Record<string, unknown>;

export function isObject(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// What a terminal would obey rather than show: C1 controls, direction marks, line separators.
const UNSHOWABLE = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text in quotes, on one line, cut at `limit` characters, with nothing in it that a terminal obeys. */
export function quote(text: string, limit = 60): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return JSON.stringify(cut).replace(UNSHOWABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value as a message names it: short, on one line, safe to print. */
export function show(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (value === null) return 'nothing (null)';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
}

/** An error for a zod schema: `expected a whole number ≥ 0, got "three"`. */
export function expected(words: string): (issue: { input?: unknown }) => string {
  return (issue) =>
    issue.input === undefined ? `is missing: expected ${words}` : `expected ${words}, got ${show(issue.input)}`;
}

/** `retry.max`, `dependencies[2]`, `tasks."a.b".cwd`. */
export function formatPath(path: readonly (string | number)[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += (text === '' ? '' : '.') + (/^[\w$@+-]{1,100}$/.test(step) ? step : quote(step));
  }
  return text;
}

/** The whole sentence about one problem: `retry.max: expected a whole number ≥ 0, got "three"`. */
export function formatProblem(problem: Problem): string {
  const path = formatPath(problem.path);
  return path === '' ? problem.message : `${path}: ${problem.message}`;
}

type Issue = z.core.$ZodIssue;

/** More than anybody reads; a hostile file has a million. */
const MAX_ISSUES = 200;

/** The problems that a failed zod parse found. Where a value may be one of several things, the nearest is spoken of. */
export function problemsOf(issues: readonly Issue[], base: readonly (string | number)[] = []): Problem[] {
  const all = issues.slice(0, MAX_ISSUES).flatMap((issue) => {
    const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
    if (issue.code === 'invalid_union') {
      const inside = issue.errors.find((branch) => branch.length > 0 && branch.every(isDeeper));
      if (inside !== undefined) return problemsOf(inside, path);
    }
    if (issue.code === 'unrecognized_keys') {
      const messages = issue.message.split('\n');
      return messages.map((message, i) => ({ path: [...path, issue.keys[i] ?? ''], message }));
    }
    return [{ path, message: issue.message }];
  });
  const spokenOf = new Set<string>();
  return all.filter(({ path }) => {
    const place = JSON.stringify(path);
    return !spokenOf.has(place) && spokenOf.add(place);
  });
}

const ABOUT_CONTENT: readonly Issue['code'][] = [
  'custom',
  'too_small',
  'too_big',
  'invalid_format',
  'unrecognized_keys',
];

/** True of an issue inside the value, or about its content: then the value was of the right kind. */
function isDeeper(issue: Issue): boolean {
  return issue.path.length > 0 || ABOUT_CONTENT.includes(issue.code);
}

/** Says why `text` cannot be handed to a process, or undefined if it can. */
export function textProblem(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character in it, which no argument, variable or path can hold';
  if (/\p{Cs}/u.test(text)) return 'has half of a character in it (a lone surrogate), which is no valid text';
  return undefined;
}

/** The most bytes that Linux hands to a program as one argument or one `NAME=value`. */
const MAX_ARGUMENT_BYTES = 131_071;

function lengthProblem(bytes: number, what: string): string | undefined {
  if (bytes <= MAX_ARGUMENT_BYTES) return undefined;
  return `is longer than ${what} can be (${MAX_ARGUMENT_BYTES} bytes): put it into a file`;
}

/** Says why `text` cannot be an argument, or undefined if it can. */
function argumentProblem(text: string): string | undefined {
  return textProblem(text) ?? lengthProblem(Buffer.byteLength(text), 'one argument');
}

/** Says why a process cannot be given this variable, or undefined if it can. */
export function variableProblem(name: string, value: unknown): string | undefined {
  if (name === '') return 'a variable needs a name';
  if (name === '__proto__' || name.includes('=') || textProblem(name) !== undefined)
    return 'is no name that a variable can have';
  if (typeof value !== 'string') return undefined;
  return textProblem(value) ?? lengthProblem(Buffer.byteLength(`${name}=${value}`), 'one variable with its name');
}

type Check = (payload: z.core.ParsePayload<string>) => void;

/** A check for a zod string. */
function checkOf(problem: (text: string) => string | undefined): Check {
  return (payload) => {
    const message = problem(payload.value);
    if (message !== undefined) payload.issues.push({ code: 'custom', message, input: payload.value });
  };
}

export const isText = checkOf(textProblem);
export const isArgument = checkOf(argumentProblem);

export const MAX_DEPTH = 100;

/** What JSON writes as two characters or more. */
// oxlint-disable-next-line no-control-regex
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/;

function bytesOf(text: string): number {
  return ESCAPED.test(text) ? Buffer.byteLength(JSON.stringify(text)) : Buffer.byteLength(text) + 2;
}

/** About how many bytes `value` has as JSON, and seldom fewer; stops counting past `limit`. Infinity if it is nested deeper than MAX_DEPTH. */
export function weigh(value: unknown, limit: number): number {
  let bytes = 0;
  const todo: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let next = todo.pop(); next !== undefined && bytes <= limit; next = todo.pop()) {
    if (next.depth > MAX_DEPTH) return Number.POSITIVE_INFINITY;
    const depth = next.depth + 1;
    if (typeof next.value === 'string') bytes += bytesOf(next.value);
    else if (typeof next.value !== 'object' || next.value === null) bytes += String(next.value).length;
    else if (Array.isArray(next.value)) {
      bytes += Math.max(2, 1 + next.value.length);
      if (bytes <= limit) for (const item of next.value) todo.push({ value: item, depth });
    } else {
      bytes += 2;
      for (const [key, item] of Object.entries(next.value)) {
        bytes += bytesOf(key) + 2;
        todo.push({ value: item, depth });
      }
    }
  }
  return bytes;
}
