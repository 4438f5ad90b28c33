// The task file: a JSON value in, a `TaskSpec` or the problems with it out. It never throws, whatever the value, and a
// small task costs some microseconds. What is written stays as it is on disk: the spec is never written back.
import { keysIn } from './json.ts';
import { isName, nameProblem } from './names.ts';
import { unknownKey, type Vocabulary } from './suggest.ts';
import { resourceNameProblems, type Resources, resourcesOf } from './resources.ts';
import { KINDS, statusesOf, type TaskOutput, taskSchema } from './task-schema.ts';
import { TASK_KEYS_LATER, TASK_MEANINGS } from './task-words.ts';
import {
  expected,
  type Failed,
  isObject,
  MAX_DEPTH,
  type Problem,
  problemsOf,
  quote,
  type Raw,
  show,
  variableProblem,
  weigh,
} from './validation.ts';
import { parseDuration, PRIORITIES } from './values.ts';

export { type TaskInput, taskSchema } from './task-schema.ts';
export { TASK_KEYS_LATER } from './task-words.ts';
export type { Problem, Raw } from './validation.ts';

export const MAX_DEPENDENCIES = 10_000;
const MAX_OWN_KEYS = 10_000;
/** Of one task in a bundle or a workflow, serialised. */
export const MAX_TASK_BYTES = 1_000_000;
/** Of a bundle, or of all tasks of a workflow. */
export const MAX_BUNDLE_BYTES = 64_000_000;
const MAX_ARGUMENTS = 100_000;
const MAX_VARIABLES = 10_000;
const MAX_ANCESTORS = 1000;
/** Of any other object in it: there are as many resources at most. */
const MAX_KEYS = 100;
/** Keys that are named one by one; a file with more of them is no task at all. */
const MAX_UNKNOWN = 20;

/** The variables that every attempt is given; a task or config cannot set them. */
export const RESERVED_ENV: readonly string[] = [
  'SPOOLD_DIR',
  'SPOOLD_JOB',
  'SPOOLD_TASK',
  'SPOOLD_ATTEMPT',
  'SPOOLD_RUN_DIR',
  'SPOOLD_PENDING',
];

/** What a failed attempt must have come to for another one to be made. */
export interface RetryOn {
  /** Any end but success, a time limit, a check that did not hold. */
  kinds: ('failed' | 'timeout' | 'checks')[];
  /** Ranges of exit statuses, both ends included. */
  statuses: [from: number, to: number][];
}

export interface RetrySpec {
  /** Attempts after the first. */
  max: number;
  /** Seconds before the second attempt. */
  delay: number;
  /** What each further delay is multiplied by; 1 keeps it. */
  backoff: number;
  /** Seconds that no delay exceeds, jitter aside. */
  maxDelay: number | undefined;
  /** From 0 to 1: each delay is lengthened by a random share of itself, at most this. */
  jitter: number;
  /** Seconds after the first attempt's start from which no further attempt is made. */
  maxTime: number | undefined;
  /** undefined: whatever the failure was. */
  on: RetryOn | undefined;
}

/** A task, ready to be run. Durations are in seconds; what was not said and has no default of its own is undefined. */
export interface TaskSpec {
  /** Exactly one of `argv` and `shell` is given. */
  argv: string[] | undefined;
  shell: string | undefined;
  /** Without repetitions. */
  dependencies: string[];
  parent: string | undefined;
  /** Nearest first; set by the daemon in the files of children. */
  ancestors: string[];
  /** Higher first. */
  priority: number;
  /** Said by name (`best_effort`): it also runs at nice 19, with idle I/O. */
  bestEffort: boolean;
  retry: RetrySpec;
  /** Of one attempt; undefined: what the config says. */
  timeout: number | 'none' | undefined;
  killAfter: number | undefined;
  onLost: 'retry' | 'fail';
  runIf: 'success' | 'always' | 'failure';
  cwd: string | undefined;
  env: Record<string, string>;
  envFile: string | undefined;
  /** The SHA-256 of a captured environment, in `env/`. */
  envFrom: string | undefined;
  inheritEnv: boolean | string[] | undefined;
  stdin: string | { file: string } | undefined;
  resources: Resources;
  /** `at` as it was written: ISO 8601 with its offset. */
  notBefore: { at: string } | { delay: number } | undefined;
  description: string | undefined;
  /** The owner's own keys, all starting with `x-`. */
  extra: Record<`x-${string}`, unknown>;
}

/** Every key of a task file in this version, but the owner's own. */
export const TASK_KEYS: readonly string[] = Object.keys(taskSchema.shape);
const known = new Set(TASK_KEYS);
const vocabulary: Vocabulary = { known: TASK_KEYS, meanings: TASK_MEANINGS, later: TASK_KEYS_LATER };

// ── Parsing ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface TaskOptions {
  /** Whether a `command` with spaces in it is the name of a file; without it, it is taken not to be. */
  isFile?: (path: string) => boolean;
}

export type ParsedTask = { ok: true; spec: TaskSpec } | Failed;

/** A task file's value (defaults of its job already under it, see `mergeDefaults`) → its spec, or all problems. */
export function parseTask(value: unknown, id: string, options: TaskOptions = {}): ParsedTask {
  if (!isObject(value)) return { ok: false, problems: [{ path: [], message: noTask(value) }] };
  const { problems, tooLong } = keyProblems(value);
  if (tooLong) return { ok: false, problems };
  const parsed = taskSchema.safeParse(value);
  if (!parsed.success) problems.push(...problemsOf(parsed.error.issues));
  else {
    // An unknown key may well be what was meant to say what to run.
    problems.push(
      ...meaningProblems(parsed.data, value, id, options).filter((p) => p.path.length > 0 || problems.length === 0),
    );
  }
  if (problems.length > 0 || !parsed.success) return { ok: false, problems };
  return { ok: true, spec: specOf(parsed.data, value) };
}

/** What is wrong with `defaults` of a job: any task key but those that make a task this one. */
export function defaultsProblems(value: unknown): Problem[] {
  if (!isObject(value)) return [{ path: [], message: expected('an object of task keys')({ input: value }) }];
  const problems: Problem[] = ['id', 'dependencies', 'parent', 'ancestors']
    .filter((key) => Object.hasOwn(value, key))
    .map((key) => ({ path: [key], message: 'belongs to one task and cannot be a default' }));
  const keys = keyProblems(value);
  problems.push(...keys.problems);
  if (keys.tooLong) return problems;
  const parsed = taskSchema.safeParse(value);
  if (!parsed.success) return [...problems, ...problemsOf(parsed.error.issues)];
  return [...problems, ...envProblems(value.env), ...resourceNameProblems(value.resources, RESERVED_ENV)];
}

function noTask(value: unknown): string {
  const right = 'a task is an object, as {"command": ["echo", "hi"]}';
  if (Array.isArray(value)) return `expected one task, got a list; ${right}`;
  if (typeof value === 'string' && value.trim() !== '')
    return `${right} or {"shell": ${quote(value)}}, not ${show(value)} alone`;
  return `${right}, not ${show(value)}`;
}

/** What is said before the schema is asked: which keys it does not know, and which lists are too long to look through. */
function keyProblems(value: Raw): { problems: Problem[]; tooLong: boolean } {
  const problems: Problem[] = [];
  let [unknown, own] = [0, 0];
  for (const key in value) {
    if (known.has(key)) {
      const message = lengthProblem(key, value[key]);
      if (message !== undefined) return { problems: [{ path: [key], message }], tooLong: true };
    } else if (isOwn(key)) {
      if (weigh(value[key], MAX_BUNDLE_BYTES) === Number.POSITIVE_INFINITY) {
        problems.push({ path: [key], message: `is nested deeper than ${MAX_DEPTH} levels` });
      }
      own += keysIn(value[key]);
    } else if (++unknown <= MAX_UNKNOWN) {
      problems.push({ path: [key], message: unknownKey(key, value[key], vocabulary) });
    }
  }
  if (own > MAX_OWN_KEYS)
    problems.push({ path: [], message: `its x- keys hold ${own} others, at most ${MAX_OWN_KEYS}: use a file` });
  if (unknown > MAX_UNKNOWN)
    problems.push({ path: [], message: `${unknown} keys are unknown; the first ${MAX_UNKNOWN} of them are named` });
  return { problems, tooLong: false };
}

const LENGTHS: Readonly<Record<string, [number, string]>> = {
  dependencies: [MAX_DEPENDENCIES, 'ids; let a task in between depend on a part of them'],
  ancestors: [MAX_ANCESTORS, 'ids'],
  command: [MAX_ARGUMENTS, 'arguments'],
  args: [MAX_ARGUMENTS, 'arguments'],
  inherit_env: [MAX_VARIABLES, 'names'],
};

function lengthProblem(key: string, value: unknown): string | undefined {
  if (isObject(value)) {
    const count = Object.keys(value).length;
    const [most, what] = key === 'env' ? [MAX_VARIABLES, 'variables'] : [MAX_KEYS, 'keys'];
    if (count > most) return `has ${count} ${what}; at most ${most} are allowed`;
  }
  if (key === 'retry' && isObject(value) && Array.isArray(value.on) && value.on.length > 256) {
    return 'has more than 256 entries in "on"; name ranges of exit statuses, as "64-78"';
  }
  if (!Array.isArray(value)) return undefined;
  const [limit, words] = LENGTHS[key] ?? [1000, 'entries'];
  return value.length > limit ? `has ${value.length} entries; at most ${limit} ${words}` : undefined;
}

/** What the schema cannot see: keys that contradict each other, or the file. */
function meaningProblems(task: TaskOutput, raw: Raw, id: string, { isFile }: TaskOptions): Problem[] {
  const problems = [...envProblems(raw.env), ...resourceNameProblems(raw.resources, RESERVED_ENV)];
  const add = (key: string, message: string) => problems.push({ path: [key], message });
  if (task.id !== undefined && task.id !== id) {
    add('id', `says ${quote(task.id)}, but the file is named ${quote(`${id}.json`)}; make them agree, or leave id out`);
  }
  const { command, args, shell } = task;
  if (command === undefined && shell === undefined) {
    problems.push({
      path: [],
      message: 'nothing to run: write "command": ["program", "argument"] or "shell": "script"',
    });
  }
  if (command !== undefined && shell !== undefined) add('shell', 'is given beside command; keep one of them');
  if (shell !== undefined && args !== undefined) add('args', 'goes with command, not with shell');
  if (Array.isArray(command) && command[0]?.trim() === '') add('command', 'begins with an empty program name');
  if (Array.isArray(command) && args !== undefined) {
    add('args', 'is given beside a command that is a whole list; put all into one of them');
  }
  if (typeof command === 'string' && args === undefined && /\s/.test(command) && !isFile?.(command)) {
    add('command', spacesProblem(command));
  }
  if (task.dependencies?.includes(id)) add('dependencies', `${quote(id)} depends on itself; remove it`);
  if (task.parent === id) add('parent', `${quote(id)} is its own parent`);
  return problems;
}

function spacesProblem(command: string): string {
  const argv = JSON.stringify(wordsOf(command.slice(0, 200)));
  const script = JSON.stringify(command.slice(0, 200));
  return `${quote(command)} is no file; write "command": ${argv} to run it as it is, or "shell": ${script} to have a shell read it`;
}

/** Splits as a shell would where only quotes are special. */
function wordsOf(command: string): string[] {
  const words = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [command];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

/** What is wrong with variables, by name and by value; `env` as written, since zod leaves a `__proto__` out unseen. */
export function envProblems(env: unknown): Problem[] {
  const problems: Problem[] = [];
  if (!isObject(env)) return problems;
  for (const key in env) {
    const message =
      variableProblem(key, env[key]) ??
      (RESERVED_ENV.includes(key) ? 'is set by spoold for every attempt and cannot be given' : undefined);
    if (message !== undefined) problems.push({ path: ['env', key], message });
  }
  return problems;
}

const NO_RETRY: RetrySpec = {
  max: 0,
  delay: 0,
  backoff: 1,
  maxDelay: undefined,
  jitter: 0,
  maxTime: undefined,
  on: undefined,
};

function specOf(task: TaskOutput, raw: Raw): TaskSpec {
  const { command, priority = 'background' } = task;
  return {
    argv: command === undefined ? undefined : typeof command === 'string' ? [command, ...(task.args ?? [])] : command,
    shell: task.shell,
    dependencies: task.dependencies === undefined ? [] : [...new Set(task.dependencies)],
    parent: task.parent,
    ancestors: task.ancestors ?? [],
    priority: typeof priority === 'number' ? priority : PRIORITIES[priority],
    bestEffort: priority === 'best_effort',
    retry: retryOf(task.retry),
    timeout: task.timeout,
    killAfter: task.kill_after,
    onLost: task.on_lost ?? 'retry',
    runIf: task.run_if ?? 'success',
    cwd: task.cwd,
    env: envOf(task.env),
    envFile: task.env_file,
    envFrom: task.env_from,
    inheritEnv: task.inherit_env,
    stdin: task.stdin,
    resources: resourcesOf(task.resources),
    notBefore: notBeforeOf(task.not_before),
    description: task.description,
    extra: extraOf(raw),
  };
}

function retryOf(retry: TaskOutput['retry']): RetrySpec {
  if (retry === undefined) return NO_RETRY;
  if (typeof retry === 'number') return { ...NO_RETRY, max: retry };
  const { backoff = 'none', jitter = 0 } = retry;
  return {
    max: retry.max,
    delay: retry.delay ?? 0,
    backoff: typeof backoff === 'number' ? backoff : backoff === 'exponential' ? 2 : 1,
    maxDelay: retry.max_delay,
    jitter: typeof jitter === 'number' ? jitter : jitter ? 0.5 : 0,
    maxTime: retry.max_time,
    on: retry.on && {
      kinds: KINDS.filter((kind) => retry.on?.includes(kind)),
      statuses: retry.on.map(statusesOf).filter((range) => range !== undefined),
    },
  };
}

/** Variables as a process is given them: text. */
export function envOf(env: Record<string, string | number | boolean> | undefined): Record<string, string> {
  const all: Record<string, string> = {};
  for (const key in env) all[key] = String(env[key]);
  return all;
}

function notBeforeOf(value: string | number | undefined): TaskSpec['notBefore'] {
  if (value === undefined) return undefined;
  const delay = parseDuration(value);
  return typeof delay === 'number' ? { delay } : { at: String(value) };
}

const isOwn = (key: string): key is `x-${string}` => key.startsWith('x-');

function extraOf(raw: Raw): TaskSpec['extra'] {
  const extra: TaskSpec['extra'] = {};
  for (const key in raw) if (isOwn(key)) extra[key] = raw[key];
  return extra;
}

// ── Defaults and bundles ──────────────────────────────────────────────────────────────────────────────────────────

/**
 * A job's defaults under a task, as written. The task's keys win; `env` is merged name by name. `command`, `args` and
 * `shell` say one thing together, so a task that says what to run takes no part of it from the defaults, but for
 * `args`, where a default gives only those and the task a single program.
 */
export function mergeDefaults(defaults: Raw | undefined, task: Raw): Raw {
  if (defaults === undefined) return task;
  const merged: Raw = { ...defaults, ...task };
  if (isObject(defaults.env) && isObject(task.env)) merged.env = { ...defaults.env, ...task.env };
  const says = (key: string) => Object.hasOwn(task, key);
  const drop = (key: string) => {
    if (!says(key)) delete merged[key];
  };
  if (says('shell')) drop('command');
  if (says('command')) drop('shell');
  const ownArgs = typeof task.command === 'string' && !Object.hasOwn(defaults, 'command');
  if (says('shell') || (says('command') && !ownArgs)) drop('args');
  return merged;
}

export interface BundledTask {
  id: string;
  /** As written: what goes to disk. */
  raw: Raw;
  /** With the job's defaults under it. */
  spec: TaskSpec;
}

export interface BundleOptions extends TaskOptions {
  /** The job's, as written. */
  defaults?: Raw | undefined;
}

export type ParsedBundle = { ok: true; tasks: BundledTask[] } | Failed;

const MAX_PROBLEMS = 100;

/** A list of tasks, each with its `id`, taken as a whole or not at all. */
export function parseBundle(value: unknown, options: BundleOptions = {}): ParsedBundle {
  if (!Array.isArray(value))
    return { ok: false, problems: [{ path: [], message: expected('a list of tasks')({ input: value }) }] };
  if (value.length === 0) return { ok: false, problems: [{ path: [], message: 'the list of tasks is empty' }] };
  const tasks: BundledTask[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  for (const [index, raw] of value.entries()) {
    if (problems.length >= MAX_PROBLEMS) break;
    const found = bundled(raw, options);
    if ('problems' in found)
      problems.push(...found.problems.map(({ path, message }) => ({ path: [index, ...path], message })));
    else tasks.push(found);
    const id = isObject(raw) && typeof raw.id === 'string' ? raw.id : undefined;
    if (id === undefined) continue;
    const first = seen.get(id.toLowerCase());
    if (first !== undefined) problems.push({ path: [index, 'id'], message: sameId(id, first, value) });
    else seen.set(id.toLowerCase(), index);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, tasks };
}

/** A problem with one entry of a bundle, its id named as well as its place. */
export function namingEntry(bundle: readonly unknown[], problem: Problem): Problem {
  const entry = typeof problem.path[0] === 'number' ? bundle[problem.path[0]] : undefined;
  if (!isObject(entry) || typeof entry.id !== 'string' || !isName(entry.id)) return problem;
  return { path: problem.path, message: `${problem.message} (in task ${quote(entry.id)})` };
}

function bundled(raw: unknown, { defaults, ...options }: BundleOptions): BundledTask | { problems: Problem[] } {
  if (!isObject(raw)) return { problems: [{ path: [], message: noTask(raw) }] };
  if (typeof raw.id !== 'string' || !isName(raw.id)) {
    return { problems: [{ path: ['id'], message: idProblem(raw.id) }] };
  }
  const heavy = weightProblem(raw);
  if (heavy !== undefined) return { problems: [{ path: [], message: heavy }] };
  const parsed = parseTask(mergeDefaults(defaults, raw), raw.id, options);
  return parsed.ok ? { id: raw.id, raw, spec: parsed.spec } : { problems: parsed.problems };
}

function idProblem(id: unknown): string {
  if (typeof id !== 'string') return expected('the id of this task, which every task of a list needs')({ input: id });
  return `${quote(id)} is no task id: ${nameProblem(id) ?? ''}`;
}

/** Why a task is too large to be written to a file of its own; undefined if it is not. */
export function weightProblem(raw: Raw): string | undefined {
  const bytes = weigh(raw, MAX_TASK_BYTES);
  if (bytes === Number.POSITIVE_INFINITY) return `is nested deeper than ${MAX_DEPTH} levels`;
  return bytes > MAX_TASK_BYTES ? 'is larger than 1 MB; put what it carries into a file' : undefined;
}

function sameId(id: string, first: number, all: readonly unknown[]): string {
  const other = all[first];
  const otherId = isObject(other) ? other.id : id;
  return otherId === id
    ? `${quote(id)} is also the id of entry ${first}`
    : `${quote(id)} differs from ${show(otherId)} (entry ${first}) only in case, which some file systems do not keep apart`;
}
