// What people drop, edit, move and delete → the graph. One question answers every hint: where does this id lie now?
// A hint names a file; a look reads a folder whose mtime moved. Both end in `relocate`, so what a hint missed is found
// by the next look and nothing is decided by which of them came first.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { isThere, moveIfFree, remove } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { nameProblem, taskIdOf } from '../protocol/names.ts';
import { PRECEDENCE, type State } from '../protocol/states.ts';
import type { Cause, NodeState, TaskFacts } from '../scheduler/graph.ts';
import { heldId, isHeldName } from '../store/snapshot.ts';
import { type Drop, fileStamp, foldersHolding, readDrop, renameUnreadableNames } from '../store/tasks.ts';
import { takeBundle } from './bundle.ts';
import { endFamily } from './endings.ts';
import { FolderReading } from './folder-reading.ts';
import { isDisplaced } from './job-folders.ts';
import { type Job, WATCHED } from './job.ts';
import { factsFrom, factsOf, judge, reasonOf, sameIdText } from './judge.ts';
import { leaveAlone, lookAtRejected, readText, rejectDrop, SETTLE_MS } from './rejections.ts';
import type { World } from './world.ts';

const FRESH_MS = 2_000;
/** By so much for each name in it a watched folder is left alone after a reading, in ms: our own moves change it all the time. */
const PAUSE_A_NAME_MS = 0.1;

/** Marks the folders of a job whose mtime moved since they were read. */
export function noticeChanges(job: Job): void {
  job.hasFailedLooks = false;
  for (const state of WATCHED) if (hasChanged(job, state)) job.soil(state);
  hasChanged(job, 'root');
  for (const [state, name] of job.failedHints.splice(0)) job.hint(state, name);
  for (let left = REJECTED_AT_ONCE; left > 0; left--) {
    job.rejectedTurn ??= job.rejected.entries();
    const next = job.rejectedTurn.next();
    if (next.done === true) return void (job.rejectedTurn = undefined);
    const [name, stamp] = next.value;
    if (fileStamp(job.layout.task('rejected', name)) !== stamp) job.hint('rejected', `${name}.json`);
  }
}

/** Of more rejected files, some are looked at in each look: what watches have missed is found in one of the next. */
const REJECTED_AT_ONCE = 2_000;

/**
 * True if a job that is at rest lies there as it did when it was looked at last: one stat, for there may be thousands.
 * `all`: its settings too, its folders of what has ended, and which folders it has; of these watches tell.
 */
export function isUntouched(job: Job, all: boolean): boolean {
  if (job.rejected.size > 0 || job.unfinished.size > 0 || job.parallel !== undefined) return false;
  if (hasChanged(job, 'pending', false)) return false;
  if (!all) return true;
  if (WATCHED.some((state) => hasChanged(job, state, false)) || hasChanged(job, 'root')) return false;
  return job.settingsStamp === undefined || fileStamp(job.layout.settings) === job.settingsStamp;
}

/** Whether a folder's mtime moved since it was last asked for, or so shortly before that it may have moved unseen. */
function hasChanged(job: Job, name: State | 'root', note = true): boolean {
  const path = name === 'root' ? job.layout.root : job.layout.folder(name);
  const stat = unless('ENOTDIR', () => statSync(path, { throwIfNoEntry: false }));
  const seen = job.seen.get(name);
  if (stat === undefined) return note ? job.seen.delete(name) : seen !== undefined;
  const isSame = seen !== undefined && seen.inode === stat.ino;
  if (isSame && seen.mtime === stat.mtimeMs && !seen.fresh) return false;
  const pausesUntil = name === 'root' ? 0 : (job.pauses.get(name) ?? 0);
  if (isSame && note && monotonic() < pausesUntil) return false; // asked again at the next look
  if (note) job.seen.set(name, { mtime: stat.mtimeMs, inode: stat.ino, fresh: wallClock() - stat.mtimeMs < FRESH_MS });
  return true;
}

/**
 * Looks at what is hinted at or dirty, until `deadline` (monotonic ms). False if there is more to do: the loop is to
 * breathe, then call again.
 */
export function takeIn(world: World, job: Job, deadline: number): boolean {
  for (;;) {
    if (!followHints(world, job, deadline)) return false;
    if (job.reading === undefined && job.dirty.size === 0) return true;
    if (!readOn(world, job, deadline)) return false;
  }
}

function followHints(world: World, job: Job, deadline: number): boolean {
  for (const [state, names] of job.hints) {
    if (isDisplaced(job.layout.folder(state))) return leaveFolder(job);
    for (const name of names) {
      names.delete(name);
      orAgain(job, state, () => lookAtName(world, job, state, name), name);
      if (monotonic() > deadline) return false;
    }
    job.hints.delete(state);
  }
  return true;
}

/** Begins to read a dirty folder, or goes on with the one that is being read. */
function readOn(world: World, job: Job, deadline: number): boolean {
  for (const state of job.dirty) {
    if (job.reading !== undefined) break;
    if (isDisplaced(job.layout.folder(state))) return leaveFolder(job);
    job.dirty.delete(state);
    orAgain(job, state, () => (job.reading = new FolderReading(job, state)));
  }
  const { reading } = job;
  if (reading === undefined) return true;
  job.reading = undefined; // if it fails, it is over
  orAgain(job, reading.state, () => {
    reading.showArrived(deadline, (id, drop) => relocate(world, job, id, undefined, drop));
    const isRead =
      reading.readOn(deadline, (name, believed) => lookAtRead(world, job, reading, name, believed)) &&
      reading.isWhole();
    if (isRead) reading.rest ??= atItsEnd(world, job, reading);
    if (!isRead || !isThrough(reading.rest, deadline)) job.reading = reading;
  });
  return job.reading === undefined && monotonic() <= deadline;
}

/** Goes on with what is left to do, step by step. */
function isThrough(rest: Iterator<void> | undefined, deadline: number): boolean {
  while (rest?.next().done === false) if (monotonic() > deadline) return false;
  return true;
}

/** What is to be looked at stays so until its folders are in order: that is looked at first, in the next turn. */
function leaveFolder(job: Job): false {
  job.settingsDue = true;
  return false;
}

/** Trouble of the host, that may be over at the next look. */
const PASSING: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'ENOSPC', 'EDQUOT']);

/** If it fails, the folder counts as unread, and the hint as not followed: the next look at the job finds again what was missed. */
function orAgain(job: Job, state: State, action: () => void, hint?: string): void {
  try {
    action();
  } catch (error) {
    job.hasFailedLooks ||= PASSING.has(errnoOf(error) ?? '');
    job.seen.delete(state);
    if (hint !== undefined) job.failedHints.push([state, hint]);
    throw error;
  }
}

/** Looks at a name that was read where it disagrees with what is known. */
function lookAtRead(
  world: World,
  job: Job,
  reading: FolderReading,
  name: string,
  believed: NodeState | undefined,
): void {
  const { state, wasTouched } = reading;
  const id = taskIdOf(name);
  if (id !== undefined && (wasTouched || believed !== state)) {
    const isNewFile = state === 'pending' && believed === undefined && nameProblem(id) === undefined;
    if (!isNewFile || !reading.handsOver(id, world.owners)) lookAtName(world, job, state, name);
  }
  if (state === 'pending' && name.startsWith('.bundle-')) takeBundle(world, job, name);
}

/** What was not there, and what is no task: there may be as many as there are names, so it is done step by step. */
function* atItsEnd(world: World, job: Job, reading: FolderReading): Generator<void, void> {
  const { state, others } = reading;
  job.pauses.set(state, world.wake.isWatched(job) ? monotonic() + reading.count * PAUSE_A_NAME_MS : 0);
  if (state === 'pending') yield* lookAtOthers(world, job, others);
  for (const id of reading.missing()) job.hint(state, `${id}.json`);
  for (const [reason, id] of reading.lonelyReasons()) {
    if (!isThere(job.layout.task(state, id))) remove(join(job.layout.folder(state), reason));
    yield;
  }
}

/** What lies in pending/ and is no task: what is held is known as that before its task is missed. */
function* lookAtOthers(world: World, job: Job, others: readonly string[]): Generator<void, void> {
  if (others.some((name) => name.includes('\uFFFD')))
    yield* rejectUnreadableNames(world, job, job.layout.folder('pending'));
  const held = others.filter(isHeldName);
  letHeldGo(job, held);
  yield* holdBack(job, held);
}

/** What was held and is no longer: moved, deleted, or `x.json` again. */
function letHeldGo(job: Job, names: readonly string[]): void {
  if (!job.hasHeld) return;
  const held = new Set(names.map(heldId));
  job.hasHeld = held.size > 0;
  for (const node of job.graph.all())
    if (node.state === 'held' && !held.has(node.id)) job.hint('pending', `${node.id}.json`);
}

/** `x.json` renamed to `x.held`, or anything else that is no task: x counts as unfinished while it is there. */
function* holdBack(job: Job, names: readonly string[]): Generator<void, void> {
  job.hasHeld ||= names.length > 0;
  for (const name of names) {
    yield;
    const id = heldId(name);
    const state = job.graph.get(id)?.state;
    job.missing.delete(id);
    if (state === 'pending' && !isThere(job.layout.task('pending', id))) job.graph.move(id, 'held');
    else if (state === undefined || state === 'rejected') {
      if (nameProblem(id) !== undefined || foldersHolding(job.layout, id).length > 0) continue; // a copy, a note
      const facts = factsFrom(job, 'pending', id, join(job.layout.folder('pending'), name));
      if (facts !== undefined) job.put(facts, 'held');
    }
  }
}

function lookAtName(world: World, job: Job, state: State, name: string): void {
  const id = taskIdOf(name);
  if (id === undefined) {
    if (state === 'pending' && !name.startsWith('.')) job.soil('pending');
    if (state === 'running' && name.endsWith('.run')) lookAtClaim(world, job, name.slice(0, -'.run'.length));
    return;
  }
  if (id.includes('\uFFFD')) return; // no name by which it could be found: the look at its folder gives it one
  if (state === 'rejected') return lookAtRejected(world, job, id);
  if (state === 'pending' && nameProblem(id) !== undefined) return rejectName(world, job, id);
  if (nameProblem(id) !== undefined) return;
  if (state === 'pending') return relocate(world, job, id);
  const believed = job.graph.get(id)?.state === state || (state === 'running' && job.attempts.has(id));
  const there = isThere(job.layout.task(state, id));
  if (there !== believed) relocate(world, job, id, there ? state : undefined);
}

/** A claim that we did not make or end ourselves. */
function lookAtClaim(world: World, job: Job, id: string): void {
  if (!job.attempts.has(id) && nameProblem(id) === undefined && isThere(job.layout.claim(id))) relocate(world, job, id);
}

function* rejectUnreadableNames(world: World, job: Job, folder: string): Generator<void, void> {
  for (const name of renameUnreadableNames(folder)) {
    const id = taskIdOf(name) ?? name;
    const reason = `${join(folder, name)}: its name was not valid UTF-8; it is called ${name} now.\nGive it another name and move it back to pending/.`;
    rejectDrop(world, job, id, reason);
    yield;
  }
}

function rejectName(world: World, job: Job, name: string): void {
  const path = job.layout.task('pending', name);
  if (!isThere(path)) return;
  rejectDrop(
    world,
    job,
    name,
    `${path}: a task's id is its file name without .json, and ${JSON.stringify(name)} cannot be one: ${nameProblem(name)}.\nRename it and move it back to pending/.`,
  );
}

/**
 * Finds out where an id lies now, and tells the graph. `seenIn`: a folder it was just seen in; `read`: what was read of it in
 * pending/ a moment ago.
 */
export function relocate(world: World, job: Job, id: string, seenIn?: State, read?: Drop): void {
  job.stir();
  if (read === undefined) job.reading?.overtake(id);
  const attempt = job.attempts.get(id);
  if (attempt !== undefined && !isThere(job.layout.task('running', id))) world.looks.add(attempt);
  const drop = read ?? readDrop(job.layout.task('pending', id), world.owners);
  if (drop.kind !== 'missing') return takeDrop(world, job, id, drop, seenIn);
  if (attempt !== undefined) return;
  const [state, ...others] = foldersHolding(job.layout, id);
  if (state === undefined) return notFound(job, id);
  job.missing.delete(id);
  if (others.length > 0) setAsideCopies(world, job, id, state, others);
  if (state === 'running') return returnUnclaimed(world, job, id);
  if (world.lock.afterReboot && !job.loaded && isCauseCutShort(job, id, state))
    return judgeAfresh(world, job, id, state);
  settleByHand(world, job, id, state);
}

/** A power cut took the text of its cause: nobody would know when it is to come back. */
function isCauseCutShort(job: Job, id: string, state: State): boolean {
  const mayHave = state === 'skipped' || state === 'cancelled';
  return mayHave && isThere(job.layout.reason(id, state)) && causeOf(job, id, state) === undefined;
}

function judgeAfresh(world: World, job: Job, id: string, state: State): void {
  if (moveIfFree(job.layout.task(state, id), job.layout.task('pending', id)) !== 'moved') return;
  for (const folder of WITH_CAUSES) if (state === folder) remove(job.layout.reason(id, folder));
  relocate(world, job, id);
}

const WITH_CAUSES = ['skipped', 'cancelled'] as const;

/** A person moved it to a folder that is final: so it is, and its family follows a cancelled one. */
function settleByHand(world: World, job: Job, id: string, state: State): void {
  const known = job.graph.get(id)?.state;
  if (known === state) return;
  job.summaryDue = true;
  if (known !== undefined) {
    world.event({ job: job.name, task: id, event: 'moved', from: known, to: state, by: 'person' });
    job.graph.move(id, state, causeOf(job, id, state));
  } else if (state !== 'succeeded') {
    const facts = factsFrom(job, state, id) ?? factsOf(id, {}, 0);
    job.put(facts, state, causeOf(job, id, state));
  }
  for (const folder of WITH_CAUSES) if (state !== folder) remove(job.layout.reason(id, folder));
  if (state === 'cancelled' && job.loaded) endFamily(world, job, id);
}

function causeOf(job: Job, id: string, state: State): Cause | undefined {
  if (state !== 'skipped' && state !== 'cancelled') return undefined;
  const text = readText(job.layout.reason(id, state));
  const match = /^cause: (\w+)\/(\S+)\.json$/m.exec(text ?? '');
  return match ? { folder: match[1] as State, id: match[2] as string } : undefined;
}

function notFound(job: Job, id: string): void {
  const node = job.graph.get(id);
  if (node === undefined) return;
  job.summaryDue = true;
  if (isThere(job.layout.held(id))) {
    job.missing.delete(id);
    job.hasHeld = true;
    return job.graph.move(id, 'held');
  }
  if (node.state === 'rejected' && isThere(job.layout.task('rejected', id))) return; // our own move out of pending/
  // A rename under way can hide a name from one look, never from two. Its file may also be held back.
  if (job.missing.delete(id)) {
    job.graph.forget(id);
    if (isThere(job.layout.task('rejected', id))) job.hint('rejected', `${id}.json`);
    return;
  }
  job.missing.add(id);
  if (node.state === 'held') job.hasHeld = true; // so that the next reading asks for it again
  job.soil(node.state === 'held' ? 'pending' : node.state);
}

/** running/x.json without a claim: put there by hand, or left by a crash. Back to pending. */
function returnUnclaimed(world: World, job: Job, id: string): void {
  if (isThere(job.layout.claim(id))) return; // the look at claims has it
  const moved = moveIfFree(job.layout.task('running', id), job.layout.task('pending', id));
  if (moved !== 'moved') return;
  world.event({
    job: job.name,
    task: id,
    event: 'returned',
    from: 'running',
    to: 'pending',
    reason: 'it was not claimed by any attempt',
  });
  relocate(world, job, id);
}

/** The same id in several folders, seen again after a moment: the first by precedence keeps it. */
function setAsideCopies(world: World, job: Job, id: string, keeper: State, others: readonly State[]): void {
  for (const state of others) {
    const path = job.layout.task(state, id);
    if (!isThere(job.layout.task(keeper, id)) || !isThere(path)) continue;
    if (fileStamp(path)?.split(':')[0] === fileStamp(job.layout.task(keeper, id))?.split(':')[0]) {
      remove(path); // two names of one file: a move that a crash cut short
      continue;
    }
    rejectDrop(world, job, id, sameIdText(job, id, keeper, path), path);
  }
}

/** The task that waits in pending/: take it in, reject it, or leave it alone for now. */
function takeDrop(world: World, job: Job, id: string, drop: Drop, seenIn?: State): void {
  const path = job.layout.task('pending', id);
  if (drop.kind === 'bundle') return takeBundle(world, job, `${id}.json`);
  const holder = holderOf(job, id, seenIn);
  if (holder !== undefined && isThere(path)) return setAsideCopies(world, job, id, holder, ['pending']);
  if (drop.kind === 'unfinished') return leaveAlone(world, job, id, reasonOf(drop, path), drop.isLinked);
  job.unfinished.delete(id);
  const judged = judge(job, id, path, drop, world.config.resources);
  if ('reason' in judged) return rejectDrop(world, job, id, judged.reason, path, undefined, judged.isTask);
  if (job.graph.get(id)?.state === 'rejected') job.rejected.delete(id);
  acceptTask(world, job, judged);
}

/**
 * The folder besides pending/ that has the id. Only of succeeded/ it is not known by heart what lies there; for the many
 * that are read at start, that is asked when they are launched.
 */
function holderOf(job: Job, id: string, seenIn: State | undefined): State | undefined {
  const candidates = [seenIn, job.graph.get(id)?.state, job.loaded ? 'succeeded' : undefined];
  return PRECEDENCE.find(
    (state) => state !== 'pending' && candidates.includes(state) && isThere(job.layout.task(state, id)),
  );
}

function acceptTask(world: World, job: Job, facts: TaskFacts): void {
  const known = job.graph.get(facts.id);
  if (known?.state !== 'pending' && (known !== undefined || job.loaded)) {
    world.event({
      job: job.name,
      task: facts.id,
      event: known === undefined ? 'queued' : 'moved',
      from: known?.state,
      to: 'pending',
    });
  }
  if (known?.state === 'skipped' || known?.state === 'cancelled') remove(job.layout.reason(facts.id, known.state));
  job.missing.delete(facts.id);
  job.put(facts, 'pending');
  job.summaryDue = true;
}

/** Looks again at drops that did not parse, until `deadline` (monotonic ms); gives the monotonic ms at which to call again, if any are left. */
export function lookAtUnfinished(world: World, job: Job, deadline: number): number | undefined {
  let next: number | undefined;
  for (const [id, { since }] of job.unfinished) {
    if (monotonic() - since >= SETTLE_MS) {
      if (monotonic() > deadline) return monotonic(); // the loop is to breathe
      world.wake.now(); // what it becomes is for a whole turn to start
      if (isThere(job.layout.task('pending', id))) relocate(world, job, id);
      else job.unfinished.delete(id);
    }
    const after = job.unfinished.get(id);
    if (after !== undefined) next = Math.min(next ?? Number.POSITIVE_INFINITY, after.since + SETTLE_MS);
  }
  return next;
}
