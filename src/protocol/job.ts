// job.json: the settings of one job, written by its owner. One that does not read never means defaults.
import * as z from 'zod';
import { type Meanings, unknownKey, type Vocabulary } from './suggest.ts';
import { defaultsProblems, taskSchema } from './task.ts';
import { durationOrNone } from './schema-parts.ts';
import { expected, type Failed, isObject, isText, type Problem, problemsOf, type Raw } from './validation.ts';

export interface JobSettings {
  description: string | undefined;
  /** Tasks of this job at one time; `none`: only the global limit; undefined: not said. */
  maxParallel: number | 'none' | undefined;
  onFailure: 'continue' | 'stop';
  /** Seconds. */
  jobTimeout: number | 'none' | undefined;
  /** Task keys as written, for `mergeDefaults`. */
  defaults: Raw;
}

/** What a job without a job.json has. */
export const NO_JOB_SETTINGS: JobSettings = {
  description: undefined,
  maxParallel: undefined,
  onFailure: 'continue',
  jobTimeout: undefined,
  defaults: {},
};

/** Documented keys that a later version brings. To have one, remove it here. */
export const JOB_KEYS_LATER: readonly string[] = ['notify'];

const PARALLEL = 'a whole number ≥ 1, or "none" for no limit but the global one';

export const jobShape = {
  $schema: z.string().optional().describe('The address of this schema, for editors.'),
  description: z
    .string({ error: expected('text') })
    .check(isText)
    .optional()
    .describe('A line for people.'),
  max_parallel: z
    .union(
      [
        z
          .int()
          .min(1, { error: expected(PARALLEL) })
          .max(1_000_000, { error: expected(PARALLEL) }),
        z.literal('none'),
      ],
      {
        error: expected(PARALLEL),
      },
    )
    .optional()
    .describe(
      'Tasks of this job at one time, or `none`: only the global limit. Default: 1 for a job one drops into, none for a submitted workflow.',
    ),
  on_failure: z
    .enum(['continue', 'stop'], { error: expected('"continue" or "stop"') })
    .optional()
    .describe(
      '`stop`: while anything lies in failed/, what has not started is cancelled, but for tasks with `run_if` `always` or `failure`; it comes back when that leaves failed/. Default: continue.',
    ),
  job_timeout: durationOrNone()
    .optional()
    .describe(
      'How long the whole job may take, from the start of its first task until nothing of it waits or runs. Then what runs is ended, and what waits is cancelled. Default: none.',
    ),
  defaults: taskSchema
    .omit({ id: true, dependencies: true, parent: true, ancestors: true })
    .optional()
    .describe('Task keys that hold for every task that does not say otherwise; `env` is merged name by name.'),
};

const { defaults: _, ...ownShape } = jobShape;
const ownSchema = z.object(ownShape);

// biome-ignore format: a table
export const JOB_MEANINGS: Meanings = {
  concurrency: 'max_parallel', parallel: 'max_parallel', parallelism: 'max_parallel', max_concurrent: 'max_parallel', jobs: 'max_parallel',
  max_concurrency: 'max_parallel', max_concurrent_runners: 'max_parallel', slots: 'max_parallel', workers: 'max_parallel',
  default: 'defaults', task_defaults: 'defaults',
  env: (value) => `write "defaults": {"env": ${isObject(value) ? '{…}' : '{"NAME": "value"}'}}`,
  retry: () => 'write "defaults": {"retry": …}', timeout: () => 'write "defaults": {"timeout": …}, which holds for each task',
  cwd: () => 'write "defaults": {"cwd": …}', priority: () => 'write "defaults": {"priority": …}',
  tasks: () => 'tasks go into pending/, one file each; for all of them in one file use `spoold submit`',
  fail_fast: 'on_failure', comment: 'description', title: 'description',
};

const vocabulary: Vocabulary = { known: Object.keys(jobShape), meanings: JOB_MEANINGS, later: JOB_KEYS_LATER };

export type ParsedJob = { ok: true; settings: JobSettings } | Failed;

/** The value of a job.json → its settings, or all problems with it. */
export function parseJob(value: unknown): ParsedJob {
  if (!isObject(value)) {
    const message = `job.json is an object, as {"max_parallel": 2}; ${expected('one')({ input: value })}`;
    return { ok: false, problems: [{ path: [], message }] };
  }
  return parseJobKeys(value, vocabulary);
}

/** As `parseJob`, for a file that holds these keys among others. */
export function parseJobKeys(value: Raw, words: Vocabulary): ParsedJob {
  const problems: Problem[] = [];
  for (const key of Object.keys(value).slice(0, 1000)) {
    if (key.startsWith('x-') || (words.known.includes(key) && !words.later.includes(key))) continue;
    problems.push({ path: [key], message: unknownKey(key, value[key], words) });
  }
  const later = new Set(words.later);
  const parsed = ownSchema.safeParse(Object.fromEntries(Object.entries(value).filter(([key]) => !later.has(key))));
  if (!parsed.success) problems.push(...problemsOf(parsed.error.issues));
  if (value.defaults !== undefined) {
    problems.push(
      ...defaultsProblems(value.defaults).map((p) => ({ path: ['defaults', ...p.path], message: p.message })),
    );
  }
  if (problems.length > 0 || !parsed.success) return { ok: false, problems };
  const { description, max_parallel, on_failure, job_timeout } = parsed.data;
  return {
    ok: true,
    settings: {
      description,
      maxParallel: max_parallel,
      onFailure: on_failure ?? 'continue',
      jobTimeout: job_timeout,
      defaults: isObject(value.defaults) ? value.defaults : {},
    },
  };
}
