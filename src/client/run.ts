// `run`: work that is done now, by the daemon of the directory if one runs, else in a private state directory that the
// caller serves itself. The work is a job like any other; what it came to is read from where its tasks lie at the end.
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as pauseFor } from 'node:timers/promises';
import { SpooldError, unless } from '../errors.ts';
import { createExclusive, ensureFolder, isThere, moveAllNoReplace, remove, removeTree } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { isFrozen } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { compareNatural, isName, taskIdOf } from '../protocol/names.ts';
import { resourcesIn } from '../protocol/resources.ts';
import type { Raw } from '../protocol/task.ts';
import { isStateDir, openStateDir, umaskOf } from '../store/state-dir.ts';
import { lastResult } from '../store/runs.ts';
import { idsIn } from '../store/tasks.ts';
import { daemonOf } from './daemon.ts';
import { currentFolder, dirOption, openDirectory, ownUmask, whereabouts } from './directory.ts';
import { keepEnvironment } from './environment.ts';
import { causeOf, rejectionOf } from './facts.ts';
import { ownFolders } from './own-folders.ts';
import { placeOf } from './place.ts';
import { submitJob } from './submit.ts';
import { unfinishedIn } from './unfinished.ts';
import { recordEvents } from './who.ts';
import { type Given, jobFilesOf, type JobFiles, nameLike, readWorkflow } from './workflow.ts';

/** What is to be run: one command, or the tasks of a file. */
export interface Work {
  /** What its job is called where nobody else's jobs are. */
  name: string;
  files: JobFiles;
  /** The one task of a single command. */
  only: string | undefined;
}

/** One command, in the working directory. `keys`: `command` or `shell`. */
export function commandWork(keys: Raw): Work {
  const program = Array.isArray(keys.command) ? basename(String(keys.command[0])) : 'sh';
  const id = isName(program) ? program : 'command';
  const task: Raw = { ...keys, cwd: currentFolder() };
  return {
    name: 'run',
    files: { settings: { max_parallel: 'none' }, tasks: new Map([[id, task]]) },
    only: id,
  };
}

/** A workflow file. Errors: FILE_UNREADABLE, WORKFLOW_INVALID. */
export function workflowWork(path: string, vars: Given): Work {
  const workflow = readWorkflow(path, vars);
  return { name: nameLike(workflow, path), files: jobFilesOf(workflow, path), only: undefined };
}

/** Where work is done. */
export interface Venue {
  layout: Layout;
  job: string;
  /** A directory of its own, which nobody serves yet. */
  isPrivate: boolean;
}

/** The directory that `dir` (--dir) means, if a daemon serves it; else undefined. Errors: RUN_INSIDE, RUN_FROZEN. */
export function runningDirectory(dir: string | undefined, env: NodeJS.ProcessEnv): Layout | undefined {
  if (env.SPOOLD_RUN_DIR) {
    throw new SpooldError(
      'RUN_INSIDE',
      `This is the task ${env.SPOOLD_JOB}/${env.SPOOLD_TASK}, which would hold its place while it waited for another.`,
      {
        hint: 'Queue it as a child with: spoold add (or spoold submit). What comes after it is a task that depends on this one.',
      },
    );
  }
  const path = whereabouts(dir);
  if (!isStateDir(path)) return undefined;
  const layout = openDirectory(dir);
  const found = daemonOf(layout);
  if (found.kind !== 'running') return undefined;
  if (isFrozen(found.record.identity)) throw frozenHere(layout, found.record.identity.pid);
  return found.record.serving && found.record.stopping === undefined ? layout : undefined;
}

/** Done in a private directory, the work would go past the limits of that daemon. */
function frozenHere({ root }: Layout, pid: number): SpooldError {
  return new SpooldError(
    'RUN_FROZEN',
    `The daemon of ${root} (process ${pid}), which would do this, is frozen, by Ctrl-Z or SIGSTOP.`,
    { path: root, exit: 3, hint: `Nothing was started. Wake it: kill -CONT ${pid}` },
  );
}

/** Queues the work in a directory that is served, under a name that is its own, with the environment of the caller. */
export function joinDirectory(layout: Layout, work: Work, env: NodeJS.ProcessEnv): Venue {
  const environment = keepEnvironment(layout, env);
  const { settings } = work.files;
  const defaults = { env_from: environment, ...(settings.defaults as Raw | undefined) };
  const time = new Date(wallClock()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  const job = `${work.name.slice(0, 60)}-${time}-${process.pid}${randomBytes(1).toString('hex')}`;
  submitJob(layout, job, { ...work.files, settings: { ...settings, defaults } });
  return { layout, job, isPrivate: false };
}

/** Queues the work in a new directory that only this user can look into. Errors: RUN_RESOURCES. */
export function makePrivateDirectory(work: Work): Venue {
  refuseResources(work);
  ownUmask();
  process.umask(0o077);
  // Not in $XDG_RUNTIME_DIR, which is small, in memory, and taken away at the end of the session.
  const root = mkdtempSync(join(tmpdir(), 'spoold-run-'));
  try {
    const layout = openStateDir(root, { create: true });
    process.umask(umaskOf(layout.root));
    submitJob(layout, work.name, work.files);
    process.umask(ownUmask()); // the daemon is started under it, and gives it to tasks
    return { layout, job: work.name, isPrivate: true };
  } catch (error) {
    removeTree(root);
    throw error;
  }
}

/** Two private directories would hand out the same index: only a directory that is served knows what is taken. */
function refuseResources({ files: { settings, tasks } }: Work): void {
  for (const [id, task] of tasks) {
    const asked = task.resources ?? (settings.defaults as Raw | undefined)?.resources;
    const names = [...resourcesIn(asked).keys()];
    if (names.length === 0) continue;
    throw new SpooldError(
      'RUN_RESOURCES',
      `The task ${id} asks for ${names.join(' and ')} (resources), which only the daemon of a directory hands out, and none serves one here.`,
      {
        exit: 3,
        hint: `Name what there is in config.yaml, as resources: {${names[0]}: 1}, then: spoold start, and the same again.`,
      },
    );
  }
}

/**
 * Cancels what is left, and returns when nothing of it runs. Errors: CANCEL_UNSERVED, exit 3, where nobody is there to
 * end what runs; whoever serves next finds it cancelled, and does.
 */
export async function cancelAll(venue: Venue): Promise<void> {
  const { layout, job } = venue;
  for (let servedAt = monotonic(); cancelWork(venue); await pauseFor(20)) {
    const { daemon, isFrozen: frozen } = placeOf(layout);
    if (daemon.kind !== 'stopped' && !frozen) servedAt = monotonic();
    if (monotonic() - servedAt < RESTARTS_WITHIN_MS || !cancelWork(venue)) continue;
    remove(layout.job(job).paused); // all that it kept from starting is cancelled
    throw unserved(venue, frozen ? daemon.record?.identity.pid : undefined);
  }
}

/** A daemon that restarts is away for a moment. */
const RESTARTS_WITHIN_MS = 3_000;

function unserved({ layout, job }: Venue, frozen: number | undefined): SpooldError {
  const { root } = layout;
  const words =
    frozen === undefined ? `No daemon serves ${root} any more` : `The daemon of ${root} (process ${frozen}) is frozen`;
  return new SpooldError('CANCEL_UNSERVED', `${words}, so what runs of ${job} runs on.`, {
    path: root,
    exit: 3,
    hint: `It is cancelled, and a daemon ends it: ${frozen === undefined ? `spoold start${dirOption(layout)}` : `kill -CONT ${frozen}`}`,
  });
}

/**
 * Moves what is unfinished of the work to cancelled/, and has nothing more of it start. Not synced: whatever still writes
 * is to end now, and not once the disk has caught up with it. False once nothing is left.
 */
function cancelWork({ layout, job: name }: Venue): boolean {
  const job = layout.job(name);
  ownFolders(layout, name, ['pending', 'running', 'cancelled']);
  // A disk that is too full for that takes the moves all the same.
  unless(['EEXIST', 'ENOSPC', 'EDQUOT'], () => createExclusive(job.paused, `interrupted\n`));
  ensureFolder(job.folder('cancelled'));
  const { pending, running } = unfinishedIn(job);
  const moved: Parameters<typeof recordEvents>[1][number][] = [];
  for (const [from, ids] of [
    ['running', running],
    ['pending', pending],
  ] as const) {
    const files = [...ids].map((id) => `${id}.json`).filter((file) => isThere(join(job.folder(from), file)));
    const done = moveAllNoReplace(job.folder(from), job.folder('cancelled'), files);
    moved.push(...done.map((file) => ({ job: name, task: taskIdOf(file), event: 'cancelled', from, to: 'cancelled' })));
  }
  if (moved.length > 0) recordEvents(layout, moved);
  if (pending.size + running.size > 0) return true;
  remove(job.paused);
  return false;
}

/** Takes away what the work left, before its daemon stops: there is nothing to be synced then. */
export function discardWork({ layout }: Venue): void {
  removeTree(layout.jobs);
}

export function removePrivateDirectory({ layout }: Venue): void {
  removeTree(layout.root);
}

export interface Unsuccessful {
  task: string;
  state: 'failed' | 'cancelled' | 'skipped' | 'rejected';
  why: string;
}

export interface RunOutcome {
  /** What the command line ends with. */
  status: number;
  /** What did not succeed. */
  unsuccessful: Unsuccessful[];
  /** How many tasks there were in the end, children included. */
  tasks: number;
}

/** What a job that has ended came to: a single command's own status; otherwise 1 if any failed, was cancelled or rejected. */
export function outcomeOf({ layout, job }: Venue, only: string | undefined): RunOutcome {
  const paths = layout.job(job);
  const states = ['failed', 'cancelled', 'skipped', 'rejected'] as const;
  const unsuccessful = states.flatMap((state) =>
    idsIn(paths.folder(state))
      .sort(compareNatural)
      .map((task) => ({ task, state, why: whyOf(layout, job, task, state) })),
  );
  const tasks = unsuccessful.length + idsIn(paths.folder('succeeded')).length;
  // What was skipped says nothing by itself: see jobStateOf.
  if (unsuccessful.every(({ state }) => state === 'skipped'))
    return { status: tasks === 0 ? 125 : 0, unsuccessful, tasks };
  const own = only === undefined ? undefined : unsuccessful.find(({ task }) => task === only);
  return { status: own === undefined ? 1 : statusOf(layout, job, own), unsuccessful, tasks };
}

function statusOf(layout: Layout, job: string, { task, state }: Unsuccessful): number {
  if (state === 'rejected') return 125;
  const result = state === 'skipped' ? undefined : lastResult(layout.job(job), task);
  if (result === undefined || result.reason === 'lost') return 1;
  if (result.exit_code !== null) return result.exit_code === 0 ? 1 : result.exit_code;
  if (result.reason === 'not_found') return 127;
  return result.reason === 'not_executable' ? 126 : 125;
}

function whyOf(layout: Layout, job: string, task: string, state: Unsuccessful['state']): string {
  const paths = layout.job(job);
  if (state === 'rejected') return rejectionOf(paths, task) ?? '';
  if (state === 'skipped') {
    const cause = causeOf(paths, task);
    return cause === undefined ? '' : `because ${cause.id} is ${cause.folder}`;
  }
  return lastResult(layout.job(job), task)?.message ?? '';
}
