// What waits in a job, as `doctor` looks at it: the texts of tasks, and arrays that were cut off while they were spread,
// read and judged as the daemon does, so that what is said will be rejected is.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '../protocol/json.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { nameProblem } from '../protocol/names.ts';
import { describeJsonError, describeProblems } from '../protocol/problems.ts';
import { mergeDefaults, parseBundle, parseTask, type Raw } from '../protocol/task.ts';
import { type Drop, readBundleText, readDrop } from '../store/tasks.ts';
import { type Finding, isDenied, TO_READ, withoutRights } from './doctor-finding.ts';
import { jobDefaults } from './facts.ts';

const REJECTED = 'It is moved to rejected/, with the reason beside it.';

/** Tasks in pending/ that are none. */
export function* waitingTasks(job: JobLayout, ids: Iterable<string>): Iterable<Finding> {
  const defaults = jobDefaults(job);
  for (const id of ids) {
    const path = job.task('pending', id);
    const says = taskProblem(path, id, defaults);
    if (says !== undefined) yield { kind: 'no_task', path, says, would: REJECTED, by: 'start' };
  }
}

/** An array under the name that it has while it is spread. */
export function* bundle(job: JobLayout, name: string): Iterable<Finding> {
  const path = join(job.folder('pending'), name);
  if (isDenied(path, TO_READ)) return yield* withoutRights(path, TO_READ);
  const problem = bundleProblem(path, jobDefaults(job));
  if (problem !== undefined) return yield { kind: 'no_task', path, says: problem, would: REJECTED, by: 'start' };
  const says = 'an array of tasks was spread into files, and was cut off half way.';
  yield { kind: 'half_bundle', path, says, would: 'What is missing of it is spread.', by: 'start' };
}

function taskProblem(path: string, id: string, defaults: Raw): string | undefined {
  const name = nameProblem(id);
  if (name !== undefined) return `${path}: ${JSON.stringify(id)} cannot be a task's id: ${name}`;
  const drop = readDrop(path, OWNERS);
  if (drop.kind === 'missing' || drop.kind === 'bundle') return undefined;
  if (drop.kind !== 'json') return reasonOf(drop, path);
  const { value } = drop;
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const parsed = parseTask(isObject ? mergeDefaults(defaults, value as Raw) : value, id, { isFile: existsSync });
  return parsed.ok ? undefined : describeProblems(drop.text, path, parsed.problems).join('\n');
}

function bundleProblem(path: string, defaults: Raw): string | undefined {
  const drop = readDrop(path, OWNERS);
  if (drop.kind === 'missing') return undefined;
  if (drop.kind === 'json') return `${path}: an array of tasks is called so while it is spread, and this is none`;
  if (drop.kind !== 'bundle') return reasonOf(drop, path);
  const text = readBundleText(path);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return describeJsonError(text, path, error);
  }
  const parsed = parseBundle(value, { defaults, isFile: existsSync });
  return parsed.ok ? undefined : describeProblems(text, path, parsed.problems).join('\n');
}

/** Whose files may be run is for the daemon to say, which has read `allowed_owners`. */
const OWNERS: ReadonlySet<number> = Object.assign(new Set<number>(), { has: () => true });

/** What is wrong with a file that is not read as JSON. */
export function reasonOf(drop: Drop & { kind: 'unfinished' | 'refused' | 'bundle' }, path: string): string {
  if (drop.kind === 'bundle') return `${path}: an array of tasks belongs into pending/, not here`;
  if (drop.kind === 'unfinished' && drop.text !== undefined) return describeJsonError(drop.text, path, drop.reason);
  return `${path}: ${drop.reason}`;
}
