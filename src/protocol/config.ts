// config.yaml: the settings of a state directory, written by its user. An empty file means every default; a file that
// does not read means none of them.
import * as z from 'zod';
import { type Meanings, unknownKey, type Vocabulary } from './suggest.ts';
import { envOf, envProblems, RESERVED_ENV } from './task.ts';
import { NO_RESOURCES, resourceNameProblems, type Resources, resourcesOf, supplyProblems } from './resources.ts';
import { closedObject, duration, durationOrNone, resources, size } from './schema-parts.ts';
import { expected, isObject, isText, type Problem, problemsOf } from './validation.ts';
import { readText } from './yaml.ts';

export interface Config {
  /** Seconds between two looks. */
  pollInterval: number;
  /** Tasks at one time; undefined: as many as there are cores; `auto`: fewer while the host is under pressure. */
  maxParallel: number | 'auto' | undefined;
  /** What there is of named resources. */
  resources: Resources;
  /** Seconds after which a waiting task is lifted by a tier. */
  starvationAfter: number | 'none';
  /** Levels of tasks that tasks queued. */
  maxDepth: number;
  /** Tasks that one attempt may queue. */
  maxChildren: number;
  /** Seconds, for tasks that do not say. */
  taskTimeout: number | 'none';
  /** Seconds from TERM to KILL, for tasks that do not say. */
  killAfter: number;
  /** Nothing is started while less than this is free. */
  minFree: { bytes: number; inodes: number };
  logLevel: LogLevel;
  logFormat: 'json' | 'text';
  env: Record<string, string>;
  inheritEnv: boolean | string[];
  /** Names or numbers of users, besides the daemon's own. */
  allowedOwners: (string | number)[];
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const DEFAULT_CONFIG: Config = {
  pollInterval: 5,
  maxParallel: undefined,
  resources: NO_RESOURCES,
  starvationAfter: 600,
  maxDepth: 16,
  maxChildren: 100_000,
  taskTimeout: 'none',
  killAfter: 10,
  minFree: { bytes: 64_000_000, inodes: 1000 },
  logLevel: 'info',
  logFormat: 'json',
  env: {},
  inheritEnv: true,
  allowedOwners: [],
};

const PARALLEL = 'a whole number ≥ 1, or "auto"';
const parallel = () =>
  z.union(
    [
      z
        .int({ error: expected(PARALLEL) })
        .min(1, { error: expected(PARALLEL) })
        .max(1_000_000, { error: 'is too large: at most 1000000' }),
      z.literal('auto'),
    ],
    { error: expected(PARALLEL) },
  );
const count = (words: string) =>
  z
    .int({ error: expected(words) })
    .min(0, { error: expected(words) })
    .max(Number.MAX_SAFE_INTEGER, { error: expected(words) });
const name = (words: string) =>
  z
    .string({ error: expected(words) })
    .min(1, { error: 'is empty' })
    .check(isText);

const POLL_LEAST = 0.05;
const FREE = 'a size as "64MB", or an object as {bytes: 64MB, inodes: 1000}';

export const configSchema = z.object({
  poll_interval: duration({ positive: true })
    .refine((seconds) => seconds >= POLL_LEAST && seconds <= 3600, { error: 'must be from 50ms to 1h' })
    .optional()
    .describe('Time between two looks for what hints from the file system missed. Default: 5.'),
  max_parallel: parallel()
    .optional()
    .describe(
      'Tasks at one time, over all jobs: a whole number, or `auto`: one a core, fewer while the host is under load or short of memory. Default: the number of cores.',
    ),
  max_concurrent_runners: parallel().optional().describe('Another name for `max_parallel`.'),
  resources: resources('a map as {gpu: 2, licence: 5, mem: 16GB}')
    .optional()
    .describe(
      'What there is of things that tasks ask for by `resources`: a whole number is handed out by index, a size as a sum. Default: none.',
    ),
  starvation_after: durationOrNone()
    .optional()
    .describe(
      'A task that could start is lifted by one tier of priority for each such time it waits, or `none`. Default: 600.',
    ),
  max_depth: count('a whole number ≥ 0')
    .optional()
    .describe('How deep tasks may queue tasks: a child is 1 deep, its child 2. Default: 16.'),
  max_children: count('a whole number ≥ 0')
    .optional()
    .describe('How many tasks one attempt of a task may queue. Default: 100000.'),
  task_timeout: durationOrNone().optional().describe('`timeout` of tasks that do not say. Default: none.'),
  kill_after: duration()
    .optional()
    .describe('Time between SIGTERM and SIGKILL, for tasks that do not say. Default: 10.'),
  min_free: z
    .union(
      [
        size(),
        closedObject(
          {
            bytes: size().optional().describe('Free space. Default: 64MB.'),
            inodes: count('a whole number ≥ 0').optional().describe('Free inodes. Default: 1000.'),
          },
          FREE,
          { files: 'inodes', size: 'bytes', space: 'bytes' },
        ),
      ],
      { error: expected(FREE) },
    )
    .optional()
    .describe('Nothing is started while the disk has less than this free. Default: 64MB and 1000 inodes.'),
  log_level: z
    .enum(LOG_LEVELS, { error: expected('debug, info, warn or error') })
    .optional()
    .describe('The least that daemon.log is told. Default: info.'),
  log_format: z
    .enum(['json', 'text'], { error: expected('json or text') })
    .optional()
    .describe('Lines of daemon.log: `json`, one object each, or `text`. Default: json.'),
  env: z
    .record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean()], { error: expected('text, a number, or true or false') }),
      {
        error: expected('a map as {NAME: value}'),
      },
    )
    .optional()
    .describe('Environment variables of every task, above those inherited. Default: none.'),
  inherit_env: z
    .union([z.boolean(), z.array(name('the name of a variable'))], {
      error: expected('true, false, or a list of names of variables'),
    })
    .optional()
    .describe("Which of the daemon's own variables tasks inherit: all, none, or those named. Default: true."),
  allowed_owners: z
    .array(
      z.union([count('a number ≥ 0'), name('the name of a user')], {
        error: expected('the name or the number of a user'),
      }),
      {
        error: expected('a list of names or numbers of users'),
      },
    )
    .optional()
    .describe("Users besides the daemon's own whose task files are run. Default: none."),
});

export const CONFIG_KEYS: readonly string[] = Object.keys(configSchema.shape);

// biome-ignore format: a table
const CONFIG_MEANINGS: Meanings = {
  concurrency: 'max_parallel', parallel: 'max_parallel', parallelism: 'max_parallel', workers: 'max_parallel', slots: 'max_parallel',
  max_concurrent: 'max_parallel', max_workers: 'max_parallel', max_runners: 'max_parallel', jobs: 'max_parallel', runners: 'max_parallel',
  poll: 'poll_interval', interval: 'poll_interval', polling_interval: 'poll_interval', scan_interval: 'poll_interval',
  timeout: 'task_timeout', default_timeout: 'task_timeout', job_timeout: 'task_timeout',
  grace: 'kill_after', grace_period: 'kill_after', kill_timeout: 'kill_after', stop_timeout: 'kill_after',
  min_free_space: 'min_free', min_disk: 'min_free', min_free_bytes: 'min_free', min_free_inodes: () => 'write min_free: {inodes: 1000}',
  loglevel: 'log_level', verbosity: 'log_level', level: 'log_level', debug: () => 'write log_level: debug', logformat: 'log_format',
  environment: 'env', env_vars: 'env', variables: 'env', inherit: 'inherit_env', inherit_environment: 'inherit_env', pass_env: 'inherit_env',
  resource: 'resources', pools: 'resources', gpus: () => 'write resources: {gpu: 2}', starvation: 'starvation_after', aging: 'starvation_after',
  depth: 'max_depth', max_nesting: 'max_depth', max_level: 'max_depth', children: 'max_children', max_fanout: 'max_children', fan_out: 'max_children',
  owners: 'allowed_owners', allowed_users: 'allowed_owners', users: 'allowed_owners', trusted_users: 'allowed_owners',
};

const vocabulary: Vocabulary = {
  known: CONFIG_KEYS,
  meanings: CONFIG_MEANINGS,
  later: [],
};

/** Problems are whole lines: `config.yaml:7:3: min_free: expected …`. */
export type ParsedConfig = { ok: true; config: Config } | { ok: false; problems: string[] };

/** The text of a config.yaml → its settings, defaults filled in, or all problems with it. */
export function parseConfig(text: string, fileName: string): ParsedConfig {
  const read = readText(text, fileName);
  if (!read.ok) return read;
  const value = read.value ?? {};
  const fail = (problems: Problem[]): ParsedConfig => ({ ok: false, problems: read.describe(problems) });
  if (!isObject(value))
    return fail([{ path: [], message: expected('settings, as poll_interval: 5')({ input: value }) }]);
  const problems: Problem[] = Object.keys(value)
    .filter((key) => !CONFIG_KEYS.includes(key))
    .map((key) => ({ path: [key], message: unknownKey(key, value[key], vocabulary) }));
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) return fail([...problems, ...problemsOf(parsed.error.issues)]);
  problems.push(
    ...envProblems(value.env),
    ...parallelProblems(parsed.data),
    ...resourceNameProblems(value.resources, RESERVED_ENV),
    ...supplyProblems(resourcesOf(parsed.data.resources)),
  );
  return problems.length > 0 ? fail(problems) : { ok: true, config: configOf(parsed.data) };
}

type ConfigOutput = z.output<typeof configSchema>;

function parallelProblems({ max_parallel, max_concurrent_runners }: ConfigOutput): Problem[] {
  const differ =
    max_parallel !== undefined && max_concurrent_runners !== undefined && max_parallel !== max_concurrent_runners;
  if (!differ) return [];
  return [
    {
      path: ['max_concurrent_runners'],
      message: 'is another name for max_parallel, which says something else; keep one',
    },
  ];
}

function configOf(file: ConfigOutput): Config {
  const d = DEFAULT_CONFIG;
  const free = typeof file.min_free === 'number' ? { bytes: file.min_free } : file.min_free;
  return {
    pollInterval: file.poll_interval ?? d.pollInterval,
    maxParallel: file.max_parallel ?? file.max_concurrent_runners ?? d.maxParallel,
    resources: resourcesOf(file.resources),
    starvationAfter: file.starvation_after ?? d.starvationAfter,
    maxDepth: file.max_depth ?? d.maxDepth,
    maxChildren: file.max_children ?? d.maxChildren,
    taskTimeout: file.task_timeout ?? d.taskTimeout,
    killAfter: file.kill_after ?? d.killAfter,
    minFree: { bytes: free?.bytes ?? d.minFree.bytes, inodes: free?.inodes ?? d.minFree.inodes },
    logLevel: file.log_level ?? d.logLevel,
    logFormat: file.log_format ?? d.logFormat,
    env: envOf(file.env),
    inheritEnv: file.inherit_env ?? d.inheritEnv,
    allowedOwners: file.allowed_owners ?? [...d.allowedOwners],
  };
}
