// Checks a file as spoold would: what kind it is by its name and by what is in it, then the very parser that the daemon
// or `submit` uses. Gives problems as whole lines with their places.
import { basename, dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import { SpooldError } from '../errors.ts';
import { parseConfig } from '../protocol/config.ts';
import { parseJob } from '../protocol/job.ts';
import { JobLayout } from '../protocol/layout.ts';
import { isName, taskIdOf } from '../protocol/names.ts';
import { describeProblems } from '../protocol/problems.ts';
import { STATES } from '../protocol/states.ts';
import { mergeDefaults, parseBundle, parseTask, type Problem, type Raw } from '../protocol/task.ts';
import { isObject } from '../protocol/validation.ts';
import { parseWorkflow } from '../protocol/workflow.ts';
import { readText } from '../protocol/yaml.ts';
import { jobDefaults } from './facts.ts';
import { type Given, optionsFor, readTextFile } from './workflow.ts';

export const FILE_KINDS = ['task', 'bundle', 'job', 'workflow', 'config'] as const;
export type FileKind = (typeof FILE_KINDS)[number];

export interface Validation {
  path: string;
  /** Undefined: the text could not be read as JSON or YAML, so there was nothing to tell it by. */
  kind: FileKind | undefined;
  /** A line each; none: the file is valid. */
  problems: string[];
}

/** Checks one file. `kind`: what it is to be taken for; `vars`: of a workflow. Errors: FILE_UNREADABLE. */
export function validateFile(path: string, kind?: FileKind, vars: Given = new Map()): Validation {
  const told = kind ?? kindByName(path);
  let text: string;
  try {
    text = readTextFile(path);
  } catch (error) {
    if (!(error instanceof SpooldError) || error.code !== 'FILE_NOT_TEXT') throw error;
    return { path, kind: told, problems: [error.message] };
  }
  if (told === 'config') {
    const parsed = parseConfig(text, path);
    return { path, kind: 'config', problems: parsed.ok ? [] : parsed.problems };
  }
  const read = readText(text, path);
  if (!read.ok) return { path, kind: told, problems: read.problems };
  const found = told ?? kindByContent(read.value, /\.ya?ml$/.test(path));
  return { path, kind: found, problems: problemsOf(found, path, text, read.value, vars) };
}

function problemsOf(kind: FileKind, path: string, text: string, value: unknown, vars: Given): string[] {
  if (kind === 'workflow') {
    const parsed = parseWorkflow(text, path, optionsFor(path, vars));
    return parsed.ok ? [] : parsed.problems;
  }
  if (kind === 'config') {
    const parsed = parseConfig(text, path);
    return parsed.ok ? [] : parsed.problems;
  }
  const problems = jsonProblems(kind, path, value);
  // These are read as JSON by the daemon, whatever else can be read here.
  const notJson = isJson(text) ? [] : [`${path}: it is read as JSON, and this is YAML`];
  return [...notJson, ...describeProblems(text, path, problems)];
}

function jsonProblems(kind: 'task' | 'bundle' | 'job', path: string, value: unknown): Problem[] {
  if (kind === 'job') {
    const parsed = parseJob(value);
    return parsed.ok ? [] : parsed.problems;
  }
  const defaults = defaultsAround(path);
  if (kind === 'bundle') {
    const parsed = parseBundle(value, { defaults, isFile: existsSync });
    return parsed.ok ? [] : parsed.problems;
  }
  const parsed = parseTask(isObject(value) ? mergeDefaults(defaults, value) : value, idFor(path, value), {
    isFile: existsSync,
  });
  return parsed.ok ? [] : parsed.problems;
}

/** The file's name is the task's id where the file lies in a job; elsewhere it may yet get its name. */
function idFor(path: string, value: unknown): string {
  const id = taskIdOf(basename(path));
  if (jobAround(path) !== undefined && id !== undefined) return id;
  if (isObject(value) && typeof value.id === 'string') return value.id;
  return id !== undefined && isName(id) ? id : 'task';
}

function defaultsAround(path: string): Raw | undefined {
  const job = jobAround(path);
  return job && jobDefaults(job);
}

function jobAround(path: string): JobLayout | undefined {
  const folder = dirname(path);
  const isState = (STATES as readonly string[]).includes(basename(folder));
  return isState ? new JobLayout(join(folder, '..')) : undefined;
}

function kindByName(path: string): FileKind | undefined {
  const name = basename(path);
  if (name === 'job.json') return 'job';
  return /^config(\.example)?\.ya?ml$/.test(name) ? 'config' : undefined;
}

const CONFIG_ONLY = [
  'poll_interval',
  'max_concurrent_runners',
  'task_timeout',
  'min_free',
  'log_level',
  'log_format',
  'allowed_owners',
];
const JOB_ONLY = ['defaults', 'on_failure', 'job_timeout', 'notify', 'max_parallel'];

/** `isYaml`: by its name. Only workflows and config.yaml are, so what tells nothing else is a workflow with a mistake. */
function kindByContent(value: unknown, isYaml: boolean): FileKind {
  if (Array.isArray(value)) return 'bundle';
  if (!isObject(value)) return isYaml ? 'workflow' : 'task';
  if ('tasks' in value) return 'workflow';
  if (CONFIG_ONLY.some((key) => key in value)) return 'config';
  const isTask = 'command' in value || 'shell' in value;
  if (isTask) return 'task';
  return isYaml ? 'workflow' : JOB_ONLY.some((key) => key in value) ? 'job' : 'task';
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
