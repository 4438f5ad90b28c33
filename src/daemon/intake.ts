// What people drop, edit, move and delete → the graph. One question answers every hint: where does this id lie now?
// A hint names a file; a look reads a folder whose mtime moved. Both end in `relocate`, so what a hint missed is found
// by the next look and nothing is decided by which of them came first.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import { isThere, moveIfFree, namesIn, overwrite, remove } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { NO_JOB_SETTINGS, parseJob } from '../protocol/job.ts';
import { nameProblem, taskIdOf } from '../protocol/names.ts';
import { describeJsonError, describeProblems } from '../protocol/problems.ts';
import { PRECEDENCE, type State } from '../protocol/states.ts';
import { mergeDefaults, parseTask, type Raw, type TaskSpec } from '../protocol/task.ts';
import type { Cause, NodeState, TaskFacts } from '../scheduler/graph.ts';
import { readResult, runsOf } from '../store/runs.ts';
import { heldId, isHeldName, readParallel } from '../store/snapshot.ts';
import { type Drop, fileStamp, foldersHolding, readDrop, reject, renameUnreadableNames } from '../store/tasks.ts';
import { endFamily } from './endings.ts';
import type { Job } from './job.ts';
import { takeBundle } from './bundle.ts';
import type { World } from './world.ts';

/** How long a drop that does not parse is left alone, unchanged, before it is rejected. */
const SETTLE_MS = 2_000;
const FRESH_MS = 2_000;
/** Folders in which a person's move matters at once; what leaves succeeded/ is seen where it arrives. */
export const WATCHED: readonly State[] = ['pending', 'running', 'failed', 'cancelled', 'skipped', 'rejected'];

/** Reads what changed of a job's settings: job.json, `paused`, `parallel`. */
export function readSettings(world: World, job: Job): void {
  const limit = job.limit;
  job.paused = isThere(job.layout.paused);
  const parallel = readParallel(job.layout.parallel);
  if (parallel === 'damaged')
    world.log.warn('a file `parallel` should hold a whole number', { path: job.layout.parallel });
  else job.parallel = parallel;
  const stamp = fileStamp(job.layout.settings);
  if (stamp !== job.settingsStamp) readJobFile(world, job, stamp);
  if (job.limit !== limit) job.stir();
}

function readJobFile(world: World, job: Job, stamp: string | undefined): void {
  const before = job.damage;
  job.settingsStamp = stamp;
  job.damage = undefined;
  const read = readDrop(job.layout.settings, world.owners);
  if (read.kind === 'missing') job.settings = NO_JOB_SETTINGS;
  else if (read.kind === 'json') {
    const parsed = parseJob(read.value);
    if (parsed.ok) job.settings = parsed.settings;
    else job.damage = describeProblems(read.text, job.layout.settings, parsed.problems).join('\n');
  } else job.damage = reasonOf(read, job.layout.settings);
  if (job.damage === undefined) {
    for (const node of job.graph.all()) if (node.state === 'pending') job.hint('pending', `${node.id}.json`); // its defaults may differ
  } else if (before !== job.damage) {
    world.log.error('job.json does not read: the job starts nothing until it does', {
      job: job.name,
      reason: job.damage,
    });
    world.event({ job: job.name, event: 'job_damaged', reason: job.damage });
  }
}

/** Marks the folders of a job whose mtime moved since they were read. */
export function noticeChanges(job: Job): void {
  for (const state of WATCHED) {
    const stat = unless('ENOTDIR', () => statSync(job.layout.folder(state), { bigint: true, throwIfNoEntry: false }));
    const seen = job.seen.get(state);
    if (stat === undefined) {
      if (seen !== undefined) job.soil(state);
      job.seen.delete(state);
      continue;
    }
    if (seen !== undefined && seen.mtime === stat.mtimeNs && seen.inode === stat.ino && !seen.fresh) continue;
    const fresh = wallClock() - Number(stat.mtimeMs) < FRESH_MS;
    if (seen === undefined || seen.mtime !== stat.mtimeNs || seen.inode !== stat.ino || seen.fresh) job.soil(state);
    job.seen.set(state, { mtime: stat.mtimeNs, inode: stat.ino, fresh });
  }
  for (const [name, stamp] of job.rejected) {
    if (fileStamp(job.layout.task('rejected', name)) !== stamp) job.hint('rejected', `${name}.json`);
  }
}

/**
 * Looks at what is dirty or hinted at, until `deadline` (monotonic ms). False if there is more to do: the loop is to
 * breathe, then call again.
 */
export function takeIn(world: World, job: Job, deadline: number): boolean {
  for (const state of job.dirty) {
    job.dirty.delete(state);
    readFolder(world, job, state);
    if (monotonic() > deadline) return false;
  }
  for (const [state, names] of job.hints) {
    for (const name of names) {
      names.delete(name);
      lookAtName(world, job, state, name);
      if (monotonic() > deadline) return false;
    }
    job.hints.delete(state);
  }
  return true;
}

/** Turns a folder's names into hints where they disagree with what is known. */
function readFolder(world: World, job: Job, state: State): void {
  const folder = job.layout.folder(state);
  const names = namesIn(folder);
  if (state === 'pending' && names.some((name) => name.includes('\uFFFD'))) rejectUnreadableNames(world, job, folder);
  const present = new Set<string>();
  let held = false;
  for (const name of names) {
    const id = taskIdOf(name);
    if (id === undefined) {
      if (name.endsWith('.run') && state === 'running') present.add(name.slice(0, -'.run'.length));
      else if (state === 'pending' && name.startsWith('.bundle-')) takeBundle(world, job, name);
      else if (isHeldName(name) && state === 'pending') held = true;
      continue;
    }
    present.add(id);
    const known = job.graph.get(id)?.state;
    if (known !== state || job.touched) job.hint(state, name);
  }
  if (state === 'pending') job.touched = false;
  for (const node of job.graph.all()) {
    if (node.state === state && !present.has(node.id)) job.hint(state, `${node.id}.json`);
  }
  if (state === 'pending') letHeldGo(world, job, names);
  if (held) holdBack(job, names);
}

/** What was held and is no longer: moved, deleted, or `x.json` again. */
function letHeldGo(world: World, job: Job, names: readonly string[]): void {
  if (!job.hasHeld) return;
  const held = new Set(names.filter(isHeldName).map(heldId));
  job.hasHeld = held.size > 0;
  for (const node of job.graph.all()) if (node.state === 'held' && !held.has(node.id)) relocate(world, job, node.id);
}

/** `x.json` renamed to `x.held`, or anything else that is no task: x counts as unfinished while it is there. */
function holdBack(job: Job, names: readonly string[]): void {
  job.hasHeld = true;
  for (const name of names) {
    if (!isHeldName(name)) continue;
    const id = heldId(name);
    const node = job.graph.get(id);
    if (node?.state === 'pending' && !names.includes(`${id}.json`)) job.graph.move(id, 'held');
    else if (node === undefined && nameProblem(id) === undefined) {
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
  if (state === 'rejected') return lookAtRejected(world, job, id);
  if (state === 'pending' && nameProblem(id) !== undefined) return rejectName(world, job, id);
  if (nameProblem(id) !== undefined) return;
  // Most hints are echoes of our own moves: one stat tells those.
  const believed = job.graph.get(id)?.state === state || (state === 'running' && job.attempts.has(id));
  const there = isThere(job.layout.task(state, id));
  if (there !== believed || (there && state === 'pending')) relocate(world, job, id);
}

/** A claim that we did not make or end ourselves. */
function lookAtClaim(world: World, job: Job, id: string): void {
  if (!job.attempts.has(id) && nameProblem(id) === undefined && isThere(job.layout.claim(id))) relocate(world, job, id);
}

function rejectUnreadableNames(world: World, job: Job, folder: string): void {
  for (const name of renameUnreadableNames(folder)) {
    const id = taskIdOf(name) ?? name;
    const reason = `${join(folder, name)}: its name was not valid UTF-8; it is called ${name} now.\nGive it another name and move it back to pending/.`;
    rejectDrop(world, job, id, reason);
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

/** Finds out where an id lies now, and tells the graph. */
export function relocate(world: World, job: Job, id: string): void {
  job.stir();
  const attempt = job.attempts.get(id);
  if (attempt !== undefined) {
    if (!isThere(job.layout.task('running', id))) world.looks.add(attempt);
    if (isThere(job.layout.task('pending', id))) takeDrop(world, job, id);
    return;
  }
  const folders = foldersHolding(job.layout, id);
  if (folders.includes('pending')) return takeDrop(world, job, id, folders);
  const [state, ...others] = folders;
  if (state === undefined) return notFound(job, id);
  job.missing.delete(id);
  if (others.length > 0) setAsideCopies(world, job, id, state, others);
  if (state === 'running') return returnUnclaimed(world, job, id);
  settleByHand(world, job, id, state);
}

/** A person moved it to a folder that is final: so it is, and its family follows a cancelled one. */
function settleByHand(world: World, job: Job, id: string, state: State): void {
  const known = job.graph.get(id)?.state;
  if (known === state) return;
  job.summaryDue = true;
  if (known !== undefined) {
    world.event({ job: job.name, task: id, event: 'moved', from: known, to: state, by: 'person' });
    job.graph.move(id, state as NodeState | 'succeeded', state === 'skipped' ? causeOf(job, id) : undefined);
  } else if (state !== 'succeeded') {
    const facts = factsFrom(job, state, id) ?? factsOf(id, {}, 0);
    job.put(facts, state, state === 'skipped' ? causeOf(job, id) : undefined);
  }
  if (state !== 'skipped') remove(job.layout.reason(id));
  if (state === 'cancelled' && job.loaded) endFamily(world, job, id);
}

function causeOf(job: Job, id: string): Cause | undefined {
  const text = readText(job.layout.reason(id));
  const match = /^cause: (\w+)\/(\S+)\.json$/m.exec(text ?? '');
  return match ? { folder: match[1] as State, id: match[2] as string } : undefined;
}

function readText(path: string): string | undefined {
  const read = readDrop(path);
  return read.kind === 'unfinished' ? read.text : read.kind === 'json' ? read.text : undefined;
}

function notFound(job: Job, id: string): void {
  const node = job.graph.get(id);
  if (node === undefined) return;
  // A rename under way can hide a name from one look, never from two. Its file may also be held back.
  if (node.state === 'held' ? job.missing.has(id) : job.missing.delete(id)) job.graph.forget(id);
  else {
    job.missing.add(id);
    job.soil('pending');
  }
  job.summaryDue = true;
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
  takeDrop(world, job, id);
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
function takeDrop(
  world: World,
  job: Job,
  id: string,
  folders: readonly State[] = foldersHolding(job.layout, id),
): void {
  const path = job.layout.task('pending', id);
  const drop = readDrop(path, world.owners);
  if (drop.kind === 'missing') return job.graph.get(id)?.state === 'pending' ? notFound(job, id) : undefined;
  if (drop.kind === 'bundle') return takeBundle(world, job, `${id}.json`);
  const first = PRECEDENCE.find((state) => state !== 'pending' && folders.includes(state));
  if (first !== undefined && isThere(path) && isThere(job.layout.task(first, id))) {
    return setAsideCopies(world, job, id, first, ['pending']);
  }
  if (drop.kind === 'unfinished') return leaveAlone(world, job, id, reasonOf(drop, path));
  job.unfinished.delete(id);
  const judged = judge(job, id, path, drop);
  if ('reason' in judged) return rejectDrop(world, job, id, judged.reason, path, drop.stamp);
  if (readsAs(job, id) === 'rejected') job.rejected.delete(id);
  acceptTask(world, job, judged);
}

function readsAs(job: Job, id: string): NodeState | undefined {
  return job.graph.get(id)?.state;
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
  if (known?.state === 'skipped') remove(job.layout.reason(facts.id));
  job.missing.delete(facts.id);
  job.put(facts, 'pending');
  job.summaryDue = true;
}

/** What is in pending/<id>.json as facts for the graph, or why it is no task. */
function judge(job: Job, id: string, path: string, drop: Drop): TaskFacts | { reason: string } {
  if (drop.kind !== 'json') return { reason: reasonOf(drop, path) };
  const parsed = specFrom(job, id, drop.value);
  if ('problems' in parsed) return { reason: describeProblems(drop.text, path, parsed.problems).join('\n') };
  const twin = caseTwin(job, id);
  if (twin !== undefined) {
    return {
      reason: `${path}: the job has a task ${twin}, which differs only in case.\nGive one of them another name.`,
    };
  }
  const facts = factsOf(id, parsed.spec, drop.queuedAt);
  const cycle = job.graph.cycleOf(facts);
  if (cycle !== undefined) {
    return { reason: `${path}: it would wait for itself: ${cycle.join(' → ')}.\nRemove one of these dependencies.` };
  }
  const notBefore = Math.max(facts.notBefore, retryDue(job, id, parsed.spec));
  return { ...facts, notBefore };
}

/** A task's spec, with the job's defaults under it. */
export function specFrom(
  job: Job,
  id: string,
  value: unknown,
): { spec: TaskSpec } | { problems: { path: (string | number)[]; message: string }[] } {
  const raw =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? mergeDefaults(job.settings.defaults, value as Raw)
      : value;
  const parsed = parseTask(raw, id, { isFile: isThere });
  return parsed.ok ? { spec: parsed.spec } : { problems: parsed.problems };
}

const NONE: readonly string[] = Object.freeze([]);

/** What the graph keeps of a task; its text is read again when it starts. */
export function factsOf(id: string, spec: Partial<TaskSpec>, queuedAt: number): TaskFacts {
  return {
    id,
    queuedAt,
    priority: spec.priority ?? 0,
    dependencies: spec.dependencies?.length ? spec.dependencies : NONE,
    ancestors: spec.ancestors?.length ? spec.ancestors : NONE,
    runIf: spec.runIf ?? 'success',
    notBefore: notBeforeOf(spec, queuedAt),
  };
}

function notBeforeOf({ notBefore }: Partial<TaskSpec>, queuedAt: number): number {
  if (notBefore === undefined) return 0;
  return 'at' in notBefore ? Date.parse(notBefore.at) : queuedAt + notBefore.delay * 1000;
}

/** When the delay before its next attempt ends, if its last one said so. */
function retryDue(job: Job, id: string, spec: TaskSpec): number {
  if (spec.retry.max === 0 || spec.retry.delay === 0) return 0;
  const last = runsOf(job.layout, id).findLast((run) => readResult(run.layout) !== undefined);
  const result = last && readResult(last.layout);
  return result?.to === 'pending' && result.retry_at ? Date.parse(result.retry_at) : 0;
}

/** The facts of the task file that lies there; undefined if it does not read. */
export function factsFrom(
  job: Job,
  state: State,
  id: string,
  path = job.layout.task(state, id),
): TaskFacts | undefined {
  const drop = readDrop(path);
  if (drop.kind !== 'json') return undefined;
  const parsed = specFrom(job, id, drop.value);
  return 'spec' in parsed ? factsOf(id, parsed.spec, drop.queuedAt) : undefined;
}

function caseTwin(job: Job, id: string): string | undefined {
  const lower = id.toLowerCase();
  const capital = job.capitals.get(lower);
  if (capital !== undefined && capital !== id && job.graph.get(capital) !== undefined) return capital;
  return lower !== id && job.graph.get(lower) !== undefined ? lower : undefined;
}

/** It does not parse: perhaps somebody is still writing. Rejected once it has not changed for SETTLE_MS of our own clock. */
export function leaveAlone(world: World, job: Job, id: string, reason: string): void {
  const stamp = fileStamp(job.layout.task('pending', id));
  if (stamp === undefined) return;
  const before = job.unfinished.get(id);
  if (before === undefined || before.stamp !== stamp) {
    job.unfinished.set(id, { stamp, since: monotonic() });
    world.settling.add(job);
    return;
  }
  if (monotonic() - before.since < SETTLE_MS) return;
  job.unfinished.delete(id);
  rejectDrop(world, job, id, reason, job.layout.task('pending', id), stamp);
}

/** Why a drop is no task, naming the file and, where there is one, the place in it. */
function reasonOf(drop: Drop, path: string): string {
  if (drop.kind === 'unfinished' && drop.text !== undefined) return describeJsonError(drop.text, path, drop.reason);
  if (drop.kind === 'refused' || drop.kind === 'unfinished') return `${path}: ${drop.reason}`;
  return `${path}: an array of tasks belongs into pending/, not here`;
}

/** Looks again at drops that did not parse; gives the monotonic ms at which to call again, if any are left. */
export function lookAtUnfinished(world: World, job: Job): number | undefined {
  let next: number | undefined;
  for (const [id, { since }] of job.unfinished) {
    if (monotonic() - since >= SETTLE_MS) relocate(world, job, id);
    const after = job.unfinished.get(id);
    if (after !== undefined) next = Math.min(next ?? Number.POSITIVE_INFINITY, after.since + SETTLE_MS);
  }
  return next;
}

/** Sets a file aside in rejected/ with its reason in words. `judged`: the stamp of what was found wrong. */
export function rejectDrop(
  world: World,
  job: Job,
  name: string,
  reason: string,
  from = job.layout.task('pending', name),
  judged = fileStamp(from),
): void {
  const facts = factsFrom(job, 'pending', name, from);
  const lineage = facts?.ancestors.length ? `\nancestors: ${facts.ancestors.join(' ')}` : '';
  const target = reject(job.layout, from, name, `${reason}${lineage}`);
  if (target === undefined) return;
  world.event({ job: job.name, task: name, event: 'rejected', to: 'rejected', reason });
  world.log.info('rejected', { job: job.name, file: `${target}.json`, reason });
  noteRejected(job, target, facts, judged);
  if (job.graph.get(name)?.state === 'pending' && !isThere(job.layout.task('pending', name)) && target !== name)
    job.graph.forget(name);
}

/** `judged`: the stamp of what was found wrong. An edit since then is to be looked at, however soon it came. */
function noteRejected(job: Job, name: string, facts?: TaskFacts, judged?: string): void {
  const stamp = fileStamp(job.layout.task('rejected', name)) ?? '';
  job.rejected.set(name, judged ?? stamp);
  if (judged !== undefined && judged !== stamp) job.hint('rejected', `${name}.json`);
  job.summaryDue = true;
  if (nameProblem(name) !== undefined || foldersHolding(job.layout, name).length > 0) return;
  job.put(facts ?? factsOf(name, { ancestors: ancestorsNoted(job, name) }, 0), 'rejected');
}

/** A rejected child's ancestors, which its .error.txt keeps, so that its family counts it as failed. */
function ancestorsNoted(job: Job, name: string): string[] {
  const match = /^ancestors: (.+)$/m.exec(readText(job.layout.rejection(name)) ?? '');
  return match?.[1]?.split(' ') ?? [];
}

/** A rejected file that changed is judged again: back to pending if it reads now, else with its new reason. */
function lookAtRejected(world: World, job: Job, name: string): void {
  const path = job.layout.task('rejected', name);
  const stamp = fileStamp(path);
  if (stamp === undefined) {
    remove(job.layout.rejection(name));
    job.rejected.delete(name);
    job.summaryDue = true;
    if (job.graph.get(name)?.state === 'rejected') job.graph.forget(name);
    return;
  }
  const before = job.rejected.get(name);
  if (before === undefined && job.graph.get(name)?.state !== 'rejected') return noteRejected(job, name);
  if (before === undefined || before === stamp) return;
  job.rejected.set(name, stamp);
  if (nameProblem(name) !== undefined || foldersHolding(job.layout, name).length > 0) return;
  const judged = judge(job, name, path, readDrop(path, world.owners));
  if ('reason' in judged) return overwrite(job.layout.rejection(name), `${judged.reason}\n`);
  if (moveIfFree(path, job.layout.task('pending', name)) !== 'moved') return;
  remove(job.layout.rejection(name));
  job.rejected.delete(name);
  relocate(world, job, name);
}

export function sameIdText(job: Job, id: string, keeper: State, path: string): string {
  const again =
    keeper === 'running'
      ? `wait until it has ended`
      : `run that again with: spoold retry ${job.name}/${id} (or mv ${keeper}/${id}.json pending/)`;
  return `${path}: the id ${id} is in use: ${job.layout.task(keeper, id)} is ${keeper}.\nGive this one another name, or ${again}.`;
}
