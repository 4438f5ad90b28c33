// Tasks dropped by a running task: from its attempt's own drop folder into the job's pending/, with parent and
// ancestors set. The copy is published first (those of an array by a worker), then the source moves to children/, where it
// stays until the copy is synced; a crash in between finds the copy of the same parent, and the first text stands.
import { dirname, join } from 'node:path';
import {
  createFolder,
  isThere,
  moveIfFree,
  namesIn,
  overwrite,
  publish,
  remove,
  removeTree,
  replaceWhole,
  sweepUnfinished,
} from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { nameProblem, taskIdOf } from '../protocol/names.ts';
import { describeJsonErrorBriefly, describeBriefly } from '../protocol/problems.ts';
import { unmeetable } from '../protocol/resources.ts';
import type { Raw } from '../protocol/task.ts';
import { noteQueued, readResult } from '../store/runs.ts';
import { isCutShort, lyingAt, readDrop, shortened } from '../store/tasks.ts';
import { relocate } from './intake.ts';
import type { Attempt, Job } from './job.ts';
import { specFrom } from './judge.ts';
import { spread, type SpreadAnswer, type SpreadOrder } from './spreading.ts';
import { SLICE_MS, type World } from './world.ts';

/** `now`: while it runs; `last`: it has ended, and what does not read now never will; `again`: an earlier daemon had taken it in. */
type When = 'now' | 'last' | 'again';

/** An array of children in the hands of a worker, and what came of it once that is known. */
export interface Spread {
  id: string;
  when: When;
  answer?: SpreadAnswer;
}

/** What could not be taken in for trouble with the disk is tried again after this, in ms. */
const AGAIN_MS = 1_000;

/** Takes in what lies in a drop folder. False if some of it is left: the loop is to breathe, then call again. */
export function takeChildren(world: World, attempt: Attempt, folder: string, when: 'now' | 'last'): boolean {
  if (attempt.drops?.folder !== folder) {
    if (when === 'last') sweepUnfinished(folder); // of an `add` that was killed between showing its file and removing the other name
    attempt.drops = { folder, names: namesIn(folder).sort().values() };
  }
  const deadline = monotonic() + SLICE_MS;
  for (let next = attempt.drops.names.next(); next.done !== true; next = attempt.drops.names.next()) {
    try {
      takeName(world, attempt, next.value, folder, when);
    } catch (error) {
      delete attempt.drops; // trouble with the disk: all of it is read again
      throw error;
    }
    if (monotonic() > deadline) {
      world.looks.add(attempt);
      return false;
    }
  }
  delete attempt.drops;
  return true;
}

function takeName(world: World, attempt: Attempt, name: string, folder: string, when: 'now' | 'last'): void {
  const id = taskIdOf(name);
  const path = join(folder, name);
  if (id === undefined || attempt.spreads.has(path)) return;
  if (isThere(complaintOf(folder, id))) {
    attempt.badChild ??= `${path} was no valid task`;
    return;
  }
  const problem = takeChild(world, attempt, id, path, when);
  if (problem !== undefined) refuseChild(world, attempt, id, folder, problem);
}

/** Where it is written why a child was refused: beside it. */
function complaintOf(folder: string, id: string): string {
  return join(folder, `${shortened(id)}.error.txt`);
}

function refuseChild(world: World, attempt: Attempt, id: string, folder: string, problem: string): void {
  overwrite(complaintOf(folder, id), `${problem}\n`);
  attempt.badChild ??= problem;
  world.event({
    job: attempt.job.name,
    task: attempt.id,
    attempt: attempt.run.attempt,
    event: 'bad_child',
    reason: `${id}: ${problem}`,
  });
}

/** Takes one file in; gives what is wrong with it, in words. */
function takeChild(world: World, attempt: Attempt, id: string, path: string, when: 'now' | 'last'): string | undefined {
  const wrongName = nameProblem(id);
  if (wrongName !== undefined) return `${path}: ${JSON.stringify(id)} cannot be a task's id: ${wrongName}`;
  const drop = readDrop(path);
  switch (drop.kind) {
    case 'missing':
      return undefined;
    case 'unfinished':
      if (when === 'now') return undefined; // perhaps still being written
      return drop.text === undefined
        ? `${path}: ${drop.reason}`
        : describeJsonErrorBriefly(drop.text, path, drop.reason);
    case 'refused':
      return `${path}: ${drop.reason}`;
    case 'bundle':
      return takeArray(world, attempt, id, path, when);
    case 'json': {
      const problem =
        limitProblem(world, attempt, id, path) ?? adopt(world, attempt, id, drop.value as Raw, path, drop.text);
      if (problem === undefined) setSourceAside(world, attempt, path, id);
      return problem;
    }
  }
}

/** Has an array of children spread by a worker: until it is, and its tasks are known, the attempt is not settled. */
function takeArray(world: World, attempt: Attempt, id: string, path: string, when: When): string | undefined {
  const tooDeep = depthProblem(world, attempt, path);
  if (tooDeep !== undefined && when !== 'again') return tooDeep;
  const entry: Spread = { id, when };
  attempt.spreads.set(path, entry);
  spread(
    world,
    path,
    () => (attempt.job.attempts.get(attempt.id) === attempt ? orderFor(world, attempt, path, when) : undefined),
    (answer) => {
      entry.answer = answer;
      world.looks.add(attempt);
      world.wake.now();
    },
  );
  return undefined;
}

function orderFor({ config }: World, attempt: Attempt, path: string, when: When): SpreadOrder {
  const { job } = attempt;
  return {
    path,
    jobRoot: job.layout.root,
    defaults: job.settings.defaults,
    family: {
      parent: attempt.id,
      ancestors: lineageOf(attempt),
      most: when === 'again' ? Number.POSITIVE_INFINITY : config.maxChildren - attempt.children,
      tooMany: tooMany(attempt, path, config.maxChildren),
      supply: config.resources,
    },
  };
}

/**
 * What a look at an attempt begins with: what an earlier daemon had taken in is taken in again, and what came of arrays is
 * told to the graph, so that the family is whole before it can be judged. False if there is more to do first.
 */
export function goOnTaking(world: World, attempt: Attempt): boolean {
  if (attempt.job.attempts.get(attempt.id) !== attempt) return false; // it has ended
  const deadline = monotonic() + SLICE_MS;
  if (attempt.mayHaveTaken && !takeChildrenAgain(world, attempt, deadline)) {
    world.looks.add(attempt);
    return false;
  }
  for (const [path, { id, when, answer }] of attempt.spreads) {
    if (answer === undefined) continue;
    if (answer.kind === 'failed' || (answer.kind === 'missing' && isThere(path))) {
      attempt.spreads.delete(path);
      attempt.mayHaveTaken ||= when === 'again';
      attempt.nextLook = monotonic() + AGAIN_MS;
      if (answer.kind === 'failed')
        world.log.error('an array of children could not be spread; tried again', { path, error: answer.reason });
      return false;
    }
    if (answer.kind === 'spread' && !tellOf(world, attempt, answer.published, deadline)) {
      world.looks.add(attempt); // the loop is to breathe
      return false;
    }
    endOfArray(world, attempt, path, id, when, answer);
    attempt.spreads.delete(path);
  }
  return true;
}

function tellOf(world: World, attempt: Attempt, published: string[], deadline: number): boolean {
  const { job } = attempt;
  const told: string[] = [];
  for (let id = published.pop(); id !== undefined; id = published.pop()) {
    told.push(id);
    if (job.rejected.has(id)) job.hint('rejected', `${id}.json`);
    relocate(world, job, id);
    if (monotonic() > deadline) break;
  }
  count(attempt, told);
  return published.length === 0;
}

function endOfArray(
  world: World,
  attempt: Attempt,
  path: string,
  id: string,
  when: When,
  answer: Exclude<SpreadAnswer, { kind: 'failed' }>,
): void {
  if (when === 'again') return removeAfterSync(world, attempt, path);
  const problem = answer.kind === 'spread' ? answer.problem : answer.kind === 'missing' ? undefined : answer.reason;
  if (answer.kind === 'unparsable' && when === 'now') return; // perhaps still being written
  if (problem !== undefined) return refuseChild(world, attempt, id, dirname(path), problem);
  if (answer.kind !== 'spread') return;
  world.event({
    job: attempt.job.name,
    task: attempt.id,
    attempt: attempt.run.attempt,
    event: 'children',
    reason: `${id}.json: ${answer.tasks} tasks`,
  });
  setSourceAside(world, attempt, path, id);
}

/** What an earlier daemon had taken in and not synced. Copies that a power cut took are published again. */
function takeChildrenAgain(world: World, attempt: Attempt, deadline: number): boolean {
  const { children } = attempt.run.layout;
  const wasSynced = readResult(attempt.run.layout) !== undefined;
  for (const name of namesIn(children).sort()) {
    const id = taskIdOf(name);
    const path = join(children, name);
    if (attempt.spreads.has(path) || attempt.syncing.has(path)) continue;
    const drop = id === undefined || wasSynced ? undefined : readDrop(path);
    if (id !== undefined && drop?.kind === 'bundle') {
      takeArray(world, attempt, id, path, 'again');
      continue;
    }
    if (id !== undefined && drop?.kind === 'json') adopt(world, attempt, id, drop.value as Raw, path, drop.text);
    removeAfterSync(world, attempt, path);
    if (monotonic() > deadline) return false;
  }
  attempt.mayHaveTaken = false;
  return true;
}

/** Publishes a child in the job's pending/, or gives why not. The same id by the same parent again: the first text stands. */
function adopt(world: World, attempt: Attempt, id: string, value: Raw, path: string, text: string): string | undefined {
  const { job } = attempt;
  const child =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...value, parent: attempt.id, ancestors: lineageOf(attempt) }
      : value;
  const parsed = specFrom(job, id, child);
  if ('problems' in parsed) return describeBriefly(text, path, parsed.problems).join('\n');
  const unmet = unmeetable(parsed.spec.resources, world.config.resources);
  if (unmet.length > 0) return describeBriefly(text, path, unmet).join('\n');
  const whole = `${JSON.stringify(child)}\n`;
  if (isMended(world, job, id, whole)) return undefined;
  if (lyingAt(job.layout, id) !== undefined || !publish(job.layout.task('pending', id), whole)) {
    const lying = lyingAt(job.layout, id);
    if (lying === undefined || !isOurChild(attempt, lying.path)) {
      return `${path}: the id ${id} is in use by another task of the job (${lying?.state ?? 'it has just moved'}). Give the child another name.`;
    }
    world.event({
      job: job.name,
      task: id,
      event: 'child_again',
      reason: `${attempt.id} had queued it before: the first text stands`,
    });
    return undefined;
  }
  count(attempt, [id]);
  world.event({ job: job.name, task: id, event: 'child', reason: `queued by ${attempt.id}` });
  relocate(world, job, id);
  return undefined;
}

function count(attempt: Attempt, ids: readonly string[]): void {
  if (ids.length === 0) return;
  attempt.children += ids.length;
  noteQueued(attempt.run.layout, ids);
}

/** What keeps a task that queues itself from filling the disk. One that is there may have been counted by the daemon before us. */
function limitProblem(world: World, attempt: Attempt, id: string, path: string): string | undefined {
  const tooDeep = depthProblem(world, attempt, path);
  if (tooDeep !== undefined || attempt.children < world.config.maxChildren) return tooDeep;
  if (lyingAt(attempt.job.layout, id) !== undefined) return undefined;
  return tooMany(attempt, path, world.config.maxChildren);
}

function depthProblem({ config }: World, attempt: Attempt, path: string): string | undefined {
  const depth = lineageOf(attempt).length;
  if (depth <= config.maxDepth) return undefined;
  const line = lineageOf(attempt).toReversed().join(' → ');
  return `${path}: it would be ${depth} deep (${line} → this one), and max_depth is ${config.maxDepth}. If that is meant, raise max_depth in config.yaml.`;
}

function tooMany({ id, children }: Attempt, path: string, most: number): string {
  const more =
    children < most
      ? `${path}: it has more tasks than ${id} may queue: ${children} are queued`
      : `${path}: ${id} has queued ${most} tasks already`;
  return `${more}, and max_children is ${most}. If that is meant, raise max_children in config.yaml.`;
}

/** A power cut may have left no more than a beginning of a child, for it is taken in without a sync: made whole again where it lies, or away with it if it was rejected for that. */
function isMended(world: World, job: Job, id: string, whole: string): boolean {
  const lying = lyingAt(job.layout, id);
  const path = lying?.path ?? job.layout.task('rejected', id);
  if (!isCutShort(path, whole)) return false;
  if (lying === undefined) {
    remove(path);
    job.hint('rejected', `${id}.json`);
    return false;
  }
  replaceWhole(path, whole);
  relocate(world, job, id);
  return true;
}

function lineageOf(attempt: Attempt): string[] {
  return [attempt.id, ...(attempt.job.graph.get(attempt.id)?.ancestors ?? [])];
}

function isOurChild(attempt: Attempt, path: string): boolean {
  const drop = readDrop(path);
  return drop.kind === 'json' && (drop.value as Raw | null)?.parent === attempt.id;
}

function setSourceAside(world: World, attempt: Attempt, path: string, id: string): void {
  const { children } = attempt.run.layout;
  attempt.dropped = true;
  createFolder(children);
  const source = join(children, `${id}.json`);
  if (moveIfFree(path, source) === 'exists') remove(path); // one rename: half moved it would have two names, and be no child
  removeAfterSync(world, attempt, source);
}

/** The source of children goes once they are on the disk; until then the attempt is not settled, or a power cut could take them alone. */
function removeAfterSync(world: World, attempt: Attempt, source: string): void {
  attempt.syncing.add(source);
  world.afterSync(() => {
    attempt.syncing.delete(source);
    world.looks.add(attempt);
    if (!attempt.job.isGone) remove(source);
  });
}

/** True if nothing that it dropped is under way any more. */
export function hasTakenAll(attempt: Attempt): boolean {
  return attempt.spreads.size === 0 && attempt.syncing.size === 0;
}

/** Makes a closed drop folder, and the list of what was queued, disappear once all in it is taken in and synced; what was no task stays. */
export function clearAfterSync(world: World, attempt: Attempt): void {
  const { closed, children, queued } = attempt.run.layout;
  if (attempt.badChild !== undefined) return;
  world.afterSync(() => {
    if (attempt.job.isGone) return;
    const left = namesIn(closed).filter((name) => !name.startsWith('.'));
    if (left.length === 0) removeTree(closed);
    else world.log.warn('a task has dropped what is no task: no name that ends in .json', { folder: closed, left });
    removeTree(children);
    removeTree(queued);
  });
}
