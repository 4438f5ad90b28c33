// Names of jobs, tasks and attempts: what is allowed, and how a file name gives one. A name never leaves its
// folder: no slash, no leading dot, at most 100 characters, so that it can be pasted into a path unquoted.

const NAME = /^[A-Za-z0-9][A-Za-z0-9._=+@:-]{0,99}$/;

/** In the file of a task that stands for a family and is never run: how many it has. */
export const FOR_EACH_KEY = 'x-for_each';

/** True if `name` may be a job's name or a task's id. */
export function isName(name: string): boolean {
  return NAME.test(name);
}

/** Says in words why `name` is no name, for an error message; undefined if it is one. */
export function nameProblem(name: string): string | undefined {
  if (isName(name)) return undefined;
  if (name === '') return 'it is empty';
  if (name.includes('\uFFFD')) return 'it is not valid UTF-8';
  if (name.length > 100) return `it has ${name.length} characters; at most 100 are allowed`;
  if (!/^[A-Za-z0-9]/.test(name)) return 'it must begin with a letter or a digit';
  const bad = /[^A-Za-z0-9._=+@:-]/u.exec(name)?.[0] ?? '';
  const shown = bad === ' ' ? 'a space' : JSON.stringify(bad);
  return `${shown} is not allowed in it; letters, digits and . _ = + @ : - are`;
}

/** The task id that a file name in a state folder gives, or undefined where the file is no task (`.tmp`, `x.held`). */
export function taskIdOf(fileName: string): string | undefined {
  if (fileName.startsWith('.') || !fileName.endsWith('.json')) return undefined;
  return fileName.slice(0, -'.json'.length);
}

export interface RunName {
  task: string;
  /** From 1. */
  attempt: number;
}

/** `x.3` for attempt 3 of task x: the name of its run directory. */
export function runName(task: string, attempt: number): string {
  return `${task}.${attempt}`;
}

/** The reverse of `runName`; what follows the last dot is the attempt. Undefined if it is no such name. */
export function parseRunName(name: string): RunName | undefined {
  const dot = name.lastIndexOf('.');
  const digits = name.slice(dot + 1);
  if (dot <= 0 || !/^[1-9][0-9]{0,8}$/.test(digits)) return undefined;
  return { task: name.slice(0, dot), attempt: Number(digits) };
}

export interface Address {
  job: string;
  task?: string;
}

/** `JOB` or `JOB/TASK` as people type it; undefined if it is neither. */
export function parseAddress(text: string): Address | undefined {
  const [job, task, ...rest] = text.split('/');
  if (job === undefined || rest.length > 0 || !isName(job)) return undefined;
  if (task === undefined) return { job };
  return isName(task) ? { job, task } : undefined;
}

/** `a → b → a`; of a long way round its beginning and its end. */
export function spellCycle(ids: readonly string[]): string {
  const shown =
    ids.length <= 2 * ENDS ? ids : [...ids.slice(0, ENDS), `… ${ids.length - 2 * ENDS} more …`, ...ids.slice(-ENDS)];
  return shown.join(' → ');
}

const ENDS = 20;

const chunks = /(\d+)|(\D+)/g;

function isDigits(chunk: string): boolean {
  return chunk >= '0' && chunk < ':';
}

/** Compares as people sort: `t2` before `t10`; ties by code unit, so the order is total. */
export function compareNatural(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  while (at > 0 && isDigit(a.charCodeAt(at - 1))) at -= 1;
  // Most names that are compared are alike but for one number: no need to take them apart.
  return numberAt(a, at) - numberAt(b, at) || compareChunks(a, b);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** The number that begins there; NaN if none does, or one that is not exact. */
function numberAt(text: string, from: number): number {
  let number = 0;
  let at = from;
  for (let code = text.charCodeAt(at); isDigit(code); code = text.charCodeAt((at += 1)))
    number = number * 10 + code - 48;
  return at === from || at - from > 15 ? Number.NaN : number;
}

function compareChunks(a: string, b: string): number {
  const left = a.match(chunks) ?? [];
  const right = b.match(chunks) ?? [];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const x = left[i] as string;
    const y = right[i] as string;
    if (x === y) continue;
    if (!isDigits(x) || !isDigits(y)) return x < y ? -1 : 1;
    const difference = Number(x) - Number(y);
    if (difference !== 0) return difference;
  }
  return left.length - right.length || (a < b ? -1 : 1);
}
