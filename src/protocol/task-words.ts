// What other tools call the keys of a task file, so that an unknown key is answered with the right one.
import type { Meanings } from './suggest.ts';
import { show } from './validation.ts';

/** Keys of the documented task file that a later version brings. To have one, move it to the schema. */
export const TASK_KEYS_LATER: readonly string[] = [
  'secrets',
  'pre_checks',
  'post_checks',
  'binary',
  'scratch',
  'limits',
  'output',
];

const minutes = (key: string) => (value: unknown) =>
  `write ${typeof value === 'number' ? `"${key}": "${value}m"` : `"${key}" with a unit, as "5m"`}`;
const seconds = (key: string) => (value: unknown) =>
  `write ${typeof value === 'number' ? `"${key}": "${value}s"` : `"${key}" with a unit, as "90s"`}`;
const runs = () => 'write "command": ["program", "argument"] to run a program, or "shell": "…" to run a script';
const continues = () =>
  'a failed task is simply failed; write "run_if": "always" in the tasks that are to run all the same';
const several = () => 'put several tasks into "dependencies" of one another, each in a file of its own';
const forEach = () =>
  'for one task for each entry of a list, give a task of a workflow (spoold submit FILE) "for_each": [a, b] or {"lines_of": "FILE"}';

/** What other tools call the keys of a task. */
// biome-ignore format: a table
export const TASK_MEANINGS: Meanings = {
  needs: 'dependencies', need: 'dependencies', depends: 'dependencies', depends_on: 'dependencies', depend_on: 'dependencies',
  dependson: 'dependencies', dependency: 'dependencies', after: 'dependencies', requires: 'dependencies',
  require: 'dependencies', prerequisites: 'dependencies', deps: 'dependencies', upstream: 'dependencies', wait_for: 'dependencies',
  run: runs, cmd: runs, exec: runs, execute: runs, script: 'shell', bash: 'shell', sh: 'shell',
  program: 'command', executable: 'command', argv: 'command', entrypoint: 'command', cmdline: runs, command_line: 'shell',
  arguments: 'args', params: 'args', parameters: 'args', arg: 'args',
  environment: 'env', envs: 'env', env_vars: 'env', environment_variables: 'env', variables: 'env', vars: 'env',
  envfile: 'env_file', environment_file: 'env_file', dotenv: 'env_file',
  working_dir: 'cwd', working_directory: 'cwd', workdir: 'cwd', workingdir: 'cwd', work_dir: 'cwd', dir: 'cwd', directory: 'cwd',
  path: 'cwd', chdir: 'cwd', pwd: 'cwd',
  timeout_minutes: minutes('timeout'), timeout_min: minutes('timeout'), timeout_mins: minutes('timeout'),
  timeout_seconds: seconds('timeout'), timeout_sec: seconds('timeout'), timeout_s: seconds('timeout'), timeout_secs: seconds('timeout'),
  time_limit: 'timeout', max_runtime: 'timeout', max_time: 'timeout', walltime: 'timeout', deadline: 'timeout', ttl: 'timeout',
  kill_timeout: 'kill_after', grace: 'kill_after', grace_period: 'kill_after', stop_timeout: 'kill_after',
  termination_grace_period_seconds: seconds('kill_after'),
  retries: 'retry', max_retries: 'retry', retry_count: 'retry', retry_limit: 'retry', backoff_limit: 'retry',
  attempts: (value) => attempts(value), max_attempts: (value) => attempts(value), tries: (value) => attempts(value),
  retry_delay: (value) => `write "retry": {"max": 3, "delay": ${typeof value === 'number' || typeof value === 'string' ? show(value) : '"10s"'}}`,
  backoff: () => 'write "retry": {"max": 3, "delay": "10s", "backoff": 2}',
  nice: 'priority', niceness: 'priority', prio: 'priority', importance: 'priority',
  resource: 'resources', requests: 'resources', gpus: (value) => `write "resources": {"gpu": ${typeof value === 'number' ? value : 1}}`, gpu: (value) => `write "resources": {"gpu": ${typeof value === 'number' ? value : 1}}`,
  memory: (value) => `write "resources": {"mem": ${typeof value === 'string' ? show(value) : '"4GB"'}}`,
  input: 'stdin', standard_input: 'stdin',
  start_at: 'not_before', at: 'not_before', run_at: 'not_before', delay: 'not_before', scheduled_at: 'not_before', eta: 'not_before',
  when: 'run_if', if: 'run_if', condition: 'run_if', trigger_rule: 'run_if',
  name: (value) => `its id is the task's name: the name of its file, or its key in a workflow${typeof value === 'string' ? '; for a line of text write "description"' : ''}`,
  title: 'description', comment: 'description', note: 'description', desc: 'description', summary: 'description',
  label: () => 'keys of your own start with "x-", as "x-label"', labels: () => 'keys of your own start with "x-", as "x-labels"',
  tags: () => 'keys of your own start with "x-", as "x-tags"', metadata: () => 'keys of your own start with "x-", as "x-metadata"',
  continue_on_error: continues, allow_failure: continues, ignore_errors: continues,
  steps: several, tasks: several, jobs: several,
  for_each: forEach, foreach: forEach, matrix: forEach, strategy: forEach, with_items: forEach, loop: forEach, each: forEach,
};

function attempts(value: unknown): string {
  return `write "retry": ${more(value)}, which counts the attempts after the first`;
}

/** Attempts after the first, where a number of all attempts was given. */
export function more(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value - 1 : 2;
}
