// `status` of everything and of one job. Counts come from the cached summaries where a folder has not changed, so
// succeeded/ is not read again; names are read only of folders that have something to show.
import { wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { compareNatural, taskIdOf } from '../protocol/names.ts';
import { type State, STATES } from '../protocol/states.ts';
import { daemonOf, type DaemonState } from '../store/daemon-record.ts';
import { findRun } from '../store/runs.ts';
import {
  type Counts,
  filesIn,
  isHeldName,
  jobNames,
  type JobState,
  jobStateOf,
  ownNames,
  readParallel,
  stateOf,
  summarise,
} from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { type Attempt, attemptOf, latestAttempts, latestAttempt, movedAt } from './attempts.ts';
import { rejectionOf } from './facts.ts';
import { findJob } from './find.ts';
import { lastLinesOf } from './logs.ts';
import { type Pause, readPause } from './pause.ts';
import { daemonJson, type JobTrouble, jobTrouble, type Place, placeOf, troubleCause } from './place.ts';
import { heldIdsIn, type Remark, remarkOn } from './remark.ts';

export interface JobLine {
  name: string;
  /** `unreadable`: it cannot be looked into, and its counts are none. */
  state: JobState | 'unreadable';
  pause: Pause | undefined;
  counts: Counts;
  /** ISO 8601, UTC. */
  updatedAt: string;
}

export interface ShownTask {
  job: string;
  id: string;
  /** The latest attempt, if there is one. */
  attempt: Attempt | undefined;
  /** Milliseconds since 1970: when it came to its folder. */
  since: number;
}

export interface ShownFailure extends ShownTask {
  lastLines: string[];
}

export interface ShownRejection {
  job: string;
  /** The file's name without `.json`. */
  name: string;
  /** The first line of its reason. */
  reason: string;
}

export interface Overview {
  place: Place;
  jobs: JobLine[];
  running: ShownTask[];
  /** The latest ones, latest first. */
  failed: ShownFailure[];
  rejected: ShownRejection[];
  /** Files in pending/ that are no tasks. */
  held: { job: string; name: string }[];
  /** Jobs of which nothing is started. */
  troubled: { job: string; trouble: JobTrouble }[];
  /** Files in jobs/: a drop a level too high. */
  strays: string[];
}

interface Lines {
  jobs: JobLine[];
  troubles: Map<string, JobTrouble>;
}

/** The state of every job, and what keeps some of them. */
function jobLines(layout: Layout, daemon: DaemonState): Lines {
  const troubles = new Map<string, JobTrouble>();
  const jobs = jobNames(layout).map((name) => {
    const job = layout.job(name);
    const trouble = jobTrouble(daemon, name, job);
    if (trouble !== undefined) troubles.set(name, trouble);
    return trouble?.kind === 'closed' ? closedLine(name) : jobLine(name, job);
  });
  return { jobs, troubles };
}

function closedLine(name: string): JobLine {
  const counts = Object.fromEntries([...STATES, 'held'].map((state) => [state, 0])) as Counts;
  return { name, state: 'unreadable', pause: undefined, counts, updatedAt: new Date(wallClock()).toISOString() };
}

/** The state of one job. */
export function jobLine(name: string, job: JobLayout): JobLine {
  const { counts, updated_at } = summarise(job, wallClock());
  return { name, state: jobStateOf(counts), pause: readPause(job), counts, updatedAt: updated_at };
}

/** The document of `status --json`. */
export function statusJson(layout: Layout): unknown {
  const place = placeOf(layout);
  const { jobs, troubles } = jobLines(layout, place.daemon);
  const documents = jobs.map((line) => jobJson(line, troubles.get(line.name)));
  return { daemon: daemonJson(place), paused: place.pause !== undefined, jobs: documents };
}

function jobJson({ name, state, pause, counts, updatedAt }: JobLine, trouble: JobTrouble | undefined): object {
  const paused = pause !== undefined;
  return {
    name,
    state,
    paused,
    trouble: trouble === undefined ? null : troubleCause(trouble),
    counts: state === 'unreadable' ? null : counts,
    updated_at: updatedAt,
  };
}

export interface OverviewLimits {
  failed: number;
  lines: number;
  others: number;
}

/** All that the first look at a directory shows, at most so many of each. */
export function overview(layout: Layout, limits: OverviewLimits): Overview {
  const place = placeOf(layout);
  const { jobs, troubles } = jobLines(layout, place.daemon);
  const having = (state: State | 'held') =>
    jobs.filter(({ counts }) => counts[state] > 0).map(({ name }) => ({ name, job: layout.job(name) }));
  const troubled = [...troubles].map(([job, trouble]) => ({ job, trouble }));
  return {
    place,
    jobs,
    running: having('running').flatMap(({ name, job }) => runningIn(name, job)),
    failed: latestFailures(having('failed'), limits),
    rejected: having('rejected').flatMap(({ name, job }) => rejectedIn(name, job, limits.others)),
    held: having('held').flatMap(({ name, job }) => heldIn(job).map((file) => ({ job: name, name: file }))),
    troubled,
    strays: filesIn(layout.jobs).sort(compareNatural),
  };
}

function runningIn(name: string, job: JobLayout): ShownTask[] {
  return idsIn(job.folder('running'))
    .sort(compareNatural)
    .flatMap((id) => shownTask(name, job, 'running', id) ?? []);
}

function shownTask(name: string, job: JobLayout, state: State, id: string, attempt?: number): ShownTask | undefined {
  const since = movedAt(job.task(state, id));
  if (since === undefined) return undefined;
  const run = findRun(job, id, attempt ?? latestAttempt(job, id));
  return { job: name, id, attempt: run && attemptOf(run), since };
}

/** More than a person reads; a folder with more than this is not looked through for its latest. */
const MOST_DATED = 20_000;

/** Ids of a folder, those that came to it last first; by name where they are too many to be dated. */
export function latestIn(job: JobLayout, state: State, limit: number): string[] {
  const ids = idsIn(job.folder(state));
  if (ids.length > MOST_DATED) return ids.sort((a, b) => compareNatural(b, a)).slice(0, limit);
  const dated = ids.flatMap((id) => {
    const at = movedAt(job.task(state, id));
    return at === undefined ? [] : [{ id, at }];
  });
  dated.sort((a, b) => b.at - a.at || compareNatural(a.id, b.id));
  return dated.slice(0, limit).map(({ id }) => id);
}

function latestFailures(jobs: { name: string; job: JobLayout }[], { failed, lines }: OverviewLimits): ShownFailure[] {
  // A folder's own time is that of its latest arrival or departure: only the most recent ones need to be read.
  const recent = jobs
    .map(({ name, job }) => ({ name, job, at: movedAt(job.folder('failed')) ?? 0 }))
    .sort((a, b) => b.at - a.at)
    .slice(0, failed);
  const tasks = recent.flatMap(({ name, job }) =>
    latestIn(job, 'failed', failed).flatMap((id) => {
      const shown = shownTask(name, job, 'failed', id);
      return shown === undefined ? [] : [shown];
    }),
  );
  tasks.sort((a, b) => b.since - a.since || compareNatural(a.id, b.id));
  return tasks
    .slice(0, failed)
    .map((task) => ({ ...task, lastLines: task.attempt === undefined ? [] : lastLinesOf(task.attempt, lines) }));
}

function rejectedIn(name: string, job: JobLayout, limit: number): ShownRejection[] {
  return latestIn(job, 'rejected', limit).map((file) => ({ job: name, name: file, reason: rejectionOf(job, file) }));
}

function heldIn(job: JobLayout): string[] {
  return ownNames(job, 'pending').filter(isHeldName).sort(compareNatural);
}

export interface JobReport {
  place: Place;
  line: JobLine;
  parallel: number | 'damaged' | undefined;
  /** Why nothing of it is started, if so. */
  trouble: JobTrouble | undefined;
  /** By state, in the order they are shown; each list is cut. */
  groups: { state: State | 'held'; count: number; tasks: JobTask[] }[];
}

export type JobTask = ShownTask & { remark: Remark | undefined };

const SHOWN_STATES: readonly State[] = [
  'running',
  'pending',
  'failed',
  'rejected',
  'skipped',
  'cancelled',
  'succeeded',
];

/** One job, at most `limit` tasks of each state. Errors: JOB_UNKNOWN. */
export function jobReport(layout: Layout, name: string, limit: number): JobReport {
  const job = findJob(layout, name);
  const line = jobLine(name, job);
  const groups: JobReport['groups'] = [];
  for (const state of SHOWN_STATES) {
    const count = line.counts[state];
    if (count > 0) groups.push({ state, count, tasks: shownIn(name, job, state, limit) });
    if (state === 'pending' && line.counts.held > 0) {
      const tasks = heldIn(job)
        .slice(0, limit)
        .map((id) => ({ job: name, id, attempt: undefined, since: 0, remark: undefined }));
      groups.push({ state: 'held', count: line.counts.held, tasks });
    }
  }
  const place = placeOf(layout);
  return {
    place,
    line,
    parallel: readParallel(job.parallel),
    trouble: jobTrouble(place.daemon, name, job),
    groups,
  };
}

function shownIn(name: string, job: JobLayout, state: State, limit: number): JobTask[] {
  const isQueue = state === 'running' || state === 'pending';
  const ids = isQueue ? idsIn(job.folder(state)).sort(compareNatural).slice(0, limit) : latestIn(job, state, limit);
  const held = heldIdsIn(job);
  return ids.flatMap((id) => {
    const shown = shownTask(name, job, state, id);
    return shown === undefined ? [] : [{ ...shown, remark: remarkOn(job, id, state, held) }];
  });
}

/** The document of `status JOB --json`: as its line in `status --json`, and all its tasks. */
export function jobStatusJson(layout: Layout, name: string): unknown {
  const job = findJob(layout, name);
  const latest = latestAttempts(job);
  const lying = tasksByState(job);
  const held = heldIn(job);
  const tasks = SHOWN_STATES.flatMap((state) =>
    lying[state].sort(compareNatural).map((task) => ({ task, state, attempts: latest.get(task) ?? 0 })),
  );
  const sizes = STATES.map((state) => [state, lying[state].length]);
  const counts = { ...(Object.fromEntries(sizes) as Record<State, number>), held: held.length };
  const updatedAt = new Date(wallClock()).toISOString();
  const line = { name, state: jobStateOf(counts), pause: readPause(job), counts, updatedAt };
  return { ...jobJson(line, jobTrouble(daemonOf(layout), name, job)), tasks, held };
}

/**
 * Every task of a job, each in one state, though they move while it is read: the folders in the order in which tasks come back
 * and go on, and what was unfinished at first and is met in none of them is looked for by name. What was rejected may have
 * the name of a task, and is another one.
 */
function tasksByState(job: JobLayout): Record<State, string[]> {
  const before = (['pending', 'running'] as const).flatMap((state) => ownIds(job, state));
  const lying = new Map<string, State>();
  for (const state of ['succeeded', 'failed', 'cancelled', 'skipped', 'pending', 'running'] as const)
    for (const id of ownIds(job, state)) lying.set(id, state);
  for (const id of before) {
    const state = lying.has(id) ? undefined : stateOf(job, id);
    if (state !== undefined && state !== 'rejected') lying.set(id, state);
  }
  const found = Object.fromEntries(STATES.map((state) => [state, [] as string[]])) as Record<State, string[]>;
  for (const [id, state] of lying) found[state].push(id);
  return { ...found, rejected: ownIds(job, 'rejected') };
}

function ownIds(job: JobLayout, state: State): string[] {
  return ownNames(job, state).flatMap((name) => taskIdOf(name) ?? []);
}
