// One command → one task file. Checked as the daemon will check it, then shown whole in pending/ by one link; when `addTask`
// returns, the file and every folder above it that was made are on the disk. Inside a task it goes to the attempt's own
// drop folder instead, and becomes its child. A crash in between leaves a dot name.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import { isThere, publish, syncFolder } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { nameProblem } from '../protocol/names.ts';
import { shellWord } from '../protocol/shell.ts';
import type { State } from '../protocol/states.ts';
import { mergeDefaults, parseTask, type Raw } from '../protocol/task.ts';
import { formatProblem } from '../protocol/validation.ts';
import { stateOf } from '../store/snapshot.ts';
import { currentFolder, dirOption, type Surroundings } from './directory.ts';
import { keepEnvironment } from './environment.ts';
import { jobDefaults } from './facts.ts';
import { refuseTwin } from './find.ts';
import { takeNumber } from './numbers.ts';
import { ownFolders } from './own-folders.ts';
import { recordEvents } from './who.ts';

export const DEFAULT_JOB = 'default';

export interface AddRequest {
  /** `default` unless told; inside a task, the task's own. */
  job?: string | undefined;
  /** A number counting up unless told. */
  id?: string | undefined;
  /** The task as it will be written; `cwd` is the working directory unless it is there. */
  task: Raw;
  /** The environment that the task is to run in; the daemon's if not given. */
  environment?: NodeJS.ProcessEnv | undefined;
  /** The task that this process runs in, if it does: see `surroundings`. */
  inside?: Surroundings | undefined;
}

export interface Added {
  job: string;
  task: string;
  /** The file that was written. */
  path: string;
  /** The task whose child it is. */
  parent?: string;
}

/** Queues a task and returns when it would survive a power cut. Errors: JOB_NAME, JOB_CASE, TASK_ID, TASK_INVALID, TASK_EXISTS, JOB_LEFT_ALONE, JOB_TAKEN. */
export function addTask(layout: Layout, request: AddRequest): Added {
  const { inside } = request;
  const job = request.job ?? inside?.job ?? DEFAULT_JOB;
  check('JOB_NAME', 'a job', job);
  if (request.id !== undefined) check('TASK_ID', 'a task', request.id);
  if (request.id?.endsWith('.json'))
    throw new SpooldError(
      'TASK_ID',
      `An id is the name of the file without .json; ${request.id} would lie in ${request.id}.json.`,
      {
        hint: `Write --id ${request.id.slice(0, -'.json'.length)}`,
      },
    );
  const jobLayout = layout.job(job);
  const task: Raw = { ...request.task };
  task.cwd ??= currentFolder();
  judge(jobLayout, task, request.id ?? 'task');
  if (request.environment !== undefined) task.env_from ??= keepEnvironment(layout, request.environment);
  const text = `${JSON.stringify(task)}\n`;
  if (inside !== undefined && inside.job === job) return addChild(inside, request.id, text);
  return addToJob(layout, job, request.id, text);
}

/** Errors: `code`, if that is no name. */
export function check(code: string, what: string, name: string): void {
  const problem = nameProblem(name);
  if (problem === undefined) return;
  throw new SpooldError(code, `${JSON.stringify(name)} cannot be the name of ${what}: ${problem}.`);
}

function judge(job: JobLayout, task: Raw, id: string): void {
  const parsed = parseTask(mergeDefaults(jobDefaults(job), task), id, { isFile: existsSync });
  if (parsed.ok) return;
  throw new SpooldError('TASK_INVALID', `This is no valid task. ${parsed.problems.map(formatProblem).join('\n')}`, {
    hint: 'Nothing was queued. spoold add --help names the options, spoold schema task every key.',
  });
}

function addToJob(layout: Layout, name: string, id: string | undefined, text: string): Added {
  const job = layout.job(name);
  const pending = job.folder('pending');
  const isUsed = (n: number) => isInUse(job, `${n}`);
  refuseTwin(layout, name);
  for (;;) {
    const folders = ownFolders(layout, name, ['pending'], 'pending');
    const published = unless('ENOENT', () => {
      const task = id ?? `${takeNumber(job.root, isUsed)}`;
      if (id !== undefined) refuseIfUsed(layout, name, id);
      const path = job.task('pending', task);
      if (!publish(path, text, { sync: true })) return undefined;
      syncFolder(pending);
      return { job: name, task, path };
    });
    if (published === undefined) continue; // the name was taken, or the job was archived under us
    folders.confirm();
    recordEvents(layout, [{ job: name, task: published.task, event: 'added', to: 'pending' }]);
    return published;
  }
}

/** As what an id is in use: by a task in some folder, or by one that is held back as `id.held`. */
function usedAs(job: JobLayout, id: string): State | 'held' | undefined {
  return stateOf(job, id) ?? (isThere(job.held(id)) ? 'held' : undefined);
}

export function isInUse(job: JobLayout, id: string): boolean {
  return usedAs(job, id) !== undefined;
}

function refuseIfUsed(layout: Layout, name: string, id: string): void {
  const job = layout.job(name);
  const state = usedAs(job, id);
  if (state === undefined) return;
  const address = `${name}/${id}`;
  const instead =
    state === 'pending'
      ? `change it: spoold edit${dirOption(layout)} ${address}`
      : state === 'held'
        ? `release that: mv ${shellWord(job.held(id))} ${shellWord(job.task('pending', id))}`
        : state === 'running'
          ? ''
          : `run it again: spoold retry${dirOption(layout)} ${address}`;
  throw new SpooldError('TASK_EXISTS', `${address} is there already: it is ${state}.`, {
    path: state === 'held' ? job.held(id) : job.task(state, id),
    hint: `Give this one another --id${instead === '' ? '.' : `, or ${instead}`}`,
  });
}

/** A child's id is the parent's and a number, from 1 in each attempt, so that a retry names its children the same. */
function addChild(inside: Surroundings, id: string | undefined, text: string): Added {
  for (;;) {
    const task =
      id ??
      `${inside.task}.${takeNumber(inside.runDir, (n) => isThere(join(inside.pending, `${inside.task}.${n}.json`)))}`;
    check('TASK_ID', 'a task', task);
    const path = join(inside.pending, `${task}.json`);
    if (publishChild(path, text)) {
      syncFolder(inside.pending);
      return { job: inside.job, task, path, parent: inside.task };
    }
    if (id !== undefined) {
      throw new SpooldError('TASK_EXISTS', `${inside.job}/${id} was queued by this task already.`, {
        path,
        hint: 'Give this one another --id.',
      });
    }
  }
}

/** False: the name is taken. Errors: ATTEMPT_OVER. */
export function publishChild(path: string, text: string): boolean {
  try {
    return publish(path, text, { sync: true });
  } catch (error) {
    throw new SpooldError('ATTEMPT_OVER', `${path} cannot be written: ${(error as Error).message}`, {
      path,
      cause: error,
      exit: 1,
      hint: 'A task may queue children only while it runs.',
    });
  }
}
