// cancel, retry and mark: what `mv` between two state folders does, with the looks before and after it that a person
// would take. A task that moves under our hands (it starts, it ends) is looked at again; nothing lands on anything.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { SpooldError } from '../errors.ts';
import { isThere, moveAllNoReplace, moveNoReplace, namesIn, syncFolder, touch } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { compareNatural } from '../protocol/names.ts';
import { shellWord } from '../protocol/shell.ts';
import { mayMove, type State } from '../protocol/states.ts';
import type { Cause } from '../scheduler/graph.ts';
import { claimedAttempt, readEnding, readResult } from '../store/runs.ts';
import { isHeldName } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { dirOption } from './directory.ts';
import { causeOf } from './facts.ts';
import { Families } from './families.ts';
import { findJob, findTask, type Found, type FoundTask, heldNameOf } from './find.ts';
import { pauseFor } from './logs.ts';
import { ownFolders } from './own-folders.ts';
import { isServed } from './place.ts';
import { retryAt } from './waiting.ts';
import { recordEvents } from './who.ts';

export interface Move {
  job: string;
  task: string;
  from: State;
  to: State;
  /** The attempt that is being ended by it. */
  attempt?: number;
  /** It was skipped because of this task, which lies where it lay: it will be skipped again. */
  cause?: Cause;
}

/** A task that is where it was, and why. */
export interface Unmoved {
  job: string;
  task: string;
  state: Found;
  why: 'ended' | 'there already' | 'held';
}

export interface Moves {
  moved: Move[];
  unmoved: Unmoved[];
}

const ROUNDS = 5;
/** So long an array of the job is waited for while its tasks come, and so long before that is said, in ms. */
const SPREADS_WITHIN_MS = 60_000;
const SAY_AFTER_MS = 2_000;

/**
 * Cancels a task, waiting or running, and its family with it; one that has succeeded, if some of its family has not
 * ended. Errors: JOB_UNKNOWN, TASK_UNKNOWN, JOB_LEFT_ALONE, JOB_TAKEN, MOVE_… (MOVE_IMPOSSIBLE for one that is held back)
 */
export function cancelTask(layout: Layout, job: string, id: string): Moves {
  return moveTask(layout, job, id, 'cancelled', 'cancelled', ({ state, layout: files }) => {
    if (state === 'cancelled') return 'there already';
    if (state === 'held' || state === 'pending' || state === 'running') return undefined;
    return state === 'succeeded' && hasUnfinishedFamily(files, id) ? undefined : 'ended';
  });
}

function hasUnfinishedFamily(job: JobLayout, id: string): boolean {
  return new Families(job, Number.POSITIVE_INFINITY)
    .of(id)
    .some(({ state }) => state === 'pending' || state === 'running');
}

/** Has a task that has ended, or was rejected, run again, and one that waits for its retry's delay wait no longer. Errors: as above. */
export function retryTask(layout: Layout, job: string, id: string): Moves {
  const found = findTask(layout, job, id);
  const path = found.layout.task('pending', id);
  const changedAt = found.state === 'pending' ? statSync(path, { throwIfNoEntry: false })?.mtimeMs : undefined;
  const now = wallClock();
  const isDelayed = changedAt !== undefined && (retryAt(found.layout, id, changedAt) ?? 0) > now;
  const folders = isDelayed ? ownFolders(layout, job, ['pending']) : undefined;
  if (folders !== undefined && touch(path, now)) {
    folders.confirm();
    recordEvents(layout, [{ job, task: id, event: 'retried', from: 'pending', to: 'pending' }]);
    return { moved: [{ job, task: id, from: 'pending', to: 'pending' }], unmoved: [] };
  }
  return moveTask(layout, job, id, 'pending', 'retried', ({ state }) => {
    return state === 'pending' ? 'there already' : undefined;
  });
}

/** Calls a task succeeded or skipped without running it; ends it if it runs. Errors: as above. */
export function markTask(layout: Layout, job: string, id: string, to: 'succeeded' | 'skipped'): Moves {
  return moveTask(layout, job, id, to, 'marked', ({ state }) => {
    return state === to ? 'there already' : undefined;
  });
}

function moveTask(
  layout: Layout,
  job: string,
  id: string,
  to: State,
  event: string,
  refusal: (task: FoundTask) => Unmoved['why'] | undefined,
): Moves {
  for (let round = 0; round < ROUNDS; round++) {
    const task = findTask(layout, job, id);
    const why = refusal(task);
    if (why !== undefined) return { moved: [], unmoved: [{ job, task: id, state: task.state, why }] };
    const from = task.state;
    if (from === 'held') throw heldBack(task);
    if (from === 'running' && to === 'pending') throw runsNow(layout, task);
    if (!mayMove('person', from, to)) throw impossible(layout, task, from, to);
    const attempt = from === 'running' ? claimedAttempt(task.layout, id) : undefined;
    const cause = from === 'skipped' && to === 'pending' ? standingCause(task) : undefined;
    const target = task.layout.task(to, id);
    const folders = ownFolders(layout, job, [from, to], to);
    const moved = moveOne(task.layout.task(from, id), target);
    if (moved === 'exists') throw inTheWay(task, to);
    if (moved === 'missing') continue; // it has moved since we looked
    syncFolder(task.layout.folder(to));
    syncFolder(task.layout.folder(from));
    folders.confirm();
    recordEvents(layout, [{ job, task: id, event, from, to }]);
    return {
      moved: [
        { job, task: id, from, to, ...(attempt !== undefined && { attempt }), ...(cause !== undefined && { cause }) },
      ],
      unmoved: [],
    };
  }
  throw new SpooldError('MOVE_RESTLESS', `${job}/${id} moves faster than it could be moved.`, {
    exit: 1,
    hint: 'Try again.',
  });
}

function standingCause({ layout, id }: FoundTask): Cause | undefined {
  const cause = causeOf(layout, id);
  return cause !== undefined && isThere(layout.task(cause.folder, cause.id)) ? cause : undefined;
}

function moveOne(from: string, to: string): ReturnType<typeof moveNoReplace> {
  try {
    return moveNoReplace(from, to);
  } catch (error) {
    if (!isThere(from)) return 'missing';
    throw new SpooldError('MOVE_FAILED', `${from} could not be moved to ${to}: ${(error as Error).message.trim()}`, {
      path: from,
      cause: error,
      exit: 1,
    });
  }
}

/** `mv` would end it; whoever says `retry` of what runs hardly wants that. */
function runsNow(layout: Layout, { job, id, layout: files }: FoundTask): SpooldError {
  return new SpooldError('MOVE_IMPOSSIBLE', `${job}/${id} runs now.`, {
    path: files.task('running', id),
    exit: 1,
    hint: `To start it afresh, cancel it first: spoold cancel${dirOption(layout)} ${job}/${id}`,
  });
}

function heldBack({ job, id, layout }: FoundTask): SpooldError {
  const path = join(layout.folder('pending'), heldNameOf(layout, id) ?? '');
  return new SpooldError('MOVE_IMPOSSIBLE', `${job}/${id} is held back in pending/ under a name that is no task's.`, {
    path,
    exit: 1,
    hint: `To release it first: mv ${shellWord(path)} ${shellWord(layout.task('pending', id))}`,
  });
}

function impossible(layout: Layout, { job, id, layout: files }: FoundTask, from: State, to: State): SpooldError {
  return new SpooldError('MOVE_IMPOSSIBLE', `${job}/${id} is ${from} and cannot be made ${to}.`, {
    path: files.task(from, id),
    exit: 1,
    hint:
      from === 'rejected'
        ? `It never was a task. Correct it and let it be looked at again: spoold retry${dirOption(layout)} --edit ${job}/${id}`
        : `spoold why${dirOption(layout)} ${job}/${id} tells more.`,
  });
}

function inTheWay({ job, id, layout }: FoundTask, to: State): SpooldError {
  return new SpooldError(
    'MOVE_IN_THE_WAY',
    `${job}/${id} cannot be moved: there is a file ${layout.task(to, id)} already.`,
    {
      path: layout.task(to, id),
      exit: 1,
      hint: 'Two files have the same id. Move one of them out of the way.',
    },
  );
}

/** Cancels all that is unfinished in a job; held files stay and are named. `onWait`: an array is long in being made tasks of. Errors: JOB_UNKNOWN, JOB_LEFT_ALONE, JOB_TAKEN. */
export function cancelJob(layout: Layout, name: string, onWait?: () => void): Moves {
  const job = findJob(layout, name);
  ownFolders(layout, name, []);
  const moved: Move[] = [];
  const began = monotonic();
  const spreadBy = began + (isServed(layout) ? SPREADS_WITHIN_MS : 0);
  let isSaid = false;
  // What waits goes first, so that nothing starts in the place of what is being ended; what has moved meanwhile is found by the next round.
  for (let round = 0; round < ROUNDS; round++) {
    const some = [
      ...moveMany(layout, name, 'pending', 'cancelled', 'cancelled'),
      ...moveMany(layout, name, 'running', 'cancelled', 'cancelled'),
    ];
    moved.push(...some);
    if (isSpreading(job) && monotonic() < spreadBy) {
      if (!isSaid && monotonic() - began > SAY_AFTER_MS) {
        onWait?.();
        isSaid = true;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      round = -1; // more of the array is on its way
    } else if (some.length === 0) break;
  }
  const held = namesIn(job.folder('pending')).filter(isHeldName);
  return { moved, unmoved: held.map((task) => ({ job: name, task, state: 'held', why: 'held' })) };
}

/** An array of the job is being made tasks of by a daemon. */
function isSpreading(job: JobLayout): boolean {
  return namesIn(job.folder('pending')).some((name) => name.startsWith('.bundle-'));
}

/** All failed and cancelled tasks of a job wait again. Errors: as above. */
export function retryJob(layout: Layout, name: string): Moves {
  findJob(layout, name);
  ownFolders(layout, name, []);
  const moved = [
    ...moveMany(layout, name, 'failed', 'pending', 'retried'),
    ...moveMany(layout, name, 'cancelled', 'pending', 'retried'),
  ];
  return { moved, unmoved: [] };
}

function moveMany(layout: Layout, name: string, from: State, to: State, event: string): Move[] {
  const job = layout.job(name);
  const ids = idsIn(job.folder(from)).sort(compareNatural);
  if (ids.length === 0) return [];
  const attempts = new Map(from === 'running' ? ids.map((id) => [id, claimedAttempt(job, id)] as const) : []);
  const folders = ownFolders(layout, name, [from, to], to);
  const done = moveAllNoReplace(
    job.folder(from),
    job.folder(to),
    ids.map((id) => `${id}.json`),
  ).map((file) => file.slice(0, -'.json'.length));
  if (done.length === 0) return [];
  syncFolder(job.folder(to));
  syncFolder(job.folder(from));
  folders.confirm();
  recordEvents(
    layout,
    done.map((task) => ({ job: name, task, event, from, to })),
  );
  return done.map((task) => {
    const attempt = attempts.get(task);
    return { job: name, task, from, to, ...(attempt !== undefined && { attempt }) };
  });
}

/** What became of attempts that were running when their tasks were moved. */
export type Ended = { move: Move; kind: 'ended'; message: string } | { move: Move; kind: 'ending' };

/** Waits at most `ms` for the attempts of these moves to be over. */
export async function awaitEnds(layout: Layout, moves: readonly Move[], ms: number): Promise<Ended[]> {
  const left = new Set(moves.filter((move) => move.attempt !== undefined));
  const ended: Ended[] = [];
  for (let waited = 0; left.size > 0; waited += 40) {
    for (const move of left) {
      const job = layout.job(move.job);
      if (claimedAttempt(job, move.task) === move.attempt) continue;
      left.delete(move);
      ended.push({ move, kind: 'ended', message: endMessage(job, move) });
    }
    if (waited >= ms || left.size === 0) break;
    await pauseFor(40);
  }
  return [...ended, ...[...left].map((move): Ended => ({ move, kind: 'ending' }))];
}

function endMessage(job: JobLayout, { task, attempt = 0 }: Move): string {
  const run = job.run(task, attempt);
  const result = readResult(run);
  return result?.message ?? readEnding(run)?.message ?? '';
}
