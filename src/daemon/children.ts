// Tasks dropped by a running task: from its attempt's own drop folder into the job's pending/, with parent and
// ancestors set. The copy is published first, then the source moves to children/, where it stays until the copy is
// synced; a crash in between finds the copy of the same parent, and the first text stands.
import { join } from 'node:path';
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
} from '../host/atomic.ts';
import { nameProblem, taskIdOf } from '../protocol/names.ts';
import { describeJsonErrorBriefly, describeBriefly } from '../protocol/problems.ts';
import { unmeetable } from '../protocol/resources.ts';
import { parseBundle, type Raw } from '../protocol/task.ts';
import { type Drop, foldersHolding, isCutShort, readBundleText, readDrop, shortened } from '../store/tasks.ts';
import { relocate } from './intake.ts';
import { specFrom } from './judge.ts';
import type { Attempt, Job } from './job.ts';
import type { World } from './world.ts';

/** Perhaps still being written: no problem yet. */
const UNFINISHED = 'unfinished';

/** Takes in what lies in a drop folder. `last`: the attempt has ended, and what does not read now never will. */
export function takeChildren(world: World, attempt: Attempt, folder: string, last: boolean): void {
  for (const name of namesIn(folder).sort()) {
    const id = taskIdOf(name);
    if (id === undefined) continue;
    const path = join(folder, name);
    if (isThere(complaintOf(folder, id))) {
      attempt.badChild ??= `${path} was no valid task`;
      continue;
    }
    const problem = takeChild(world, attempt, id, path, last);
    if (problem !== undefined) refuseChild(world, attempt, id, folder, problem);
  }
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
function takeChild(world: World, attempt: Attempt, id: string, path: string, last: boolean): string | undefined {
  const wrongName = nameProblem(id);
  if (wrongName !== undefined) return `${path}: ${JSON.stringify(id)} cannot be a task's id: ${wrongName}`;
  const drop = readDrop(path);
  if (drop.kind === 'missing') return undefined;
  if (drop.kind === 'unfinished') {
    if (!last) return undefined; // perhaps still being written
    return drop.text === undefined ? `${path}: ${drop.reason}` : describeJsonErrorBriefly(drop.text, path, drop.reason);
  }
  if (drop.kind === 'refused') return `${path}: ${drop.reason}`;
  const problem = adoptAll(world, attempt, id, path, drop, last);
  if (problem === undefined) setSourceAside(world, attempt, path, id);
  return problem === UNFINISHED ? undefined : problem;
}

/** At start: what an earlier daemon had taken in and not synced. Copies that a power cut took are published again. */
export function takeChildrenAgain(world: World, attempt: Attempt): void {
  const { children } = attempt.run.layout;
  for (const name of namesIn(children).sort()) {
    const id = taskIdOf(name);
    const path = join(children, name);
    const drop = readDrop(path);
    if (id !== undefined && (drop.kind === 'json' || drop.kind === 'bundle'))
      adoptAll(world, attempt, id, path, drop, true);
    removeAfterSync(world, attempt, path);
  }
}

/** Takes in the one task of a file, or all of its array. */
function adoptAll(
  world: World,
  attempt: Attempt,
  id: string,
  path: string,
  drop: Drop & { kind: 'json' | 'bundle' },
  last: boolean,
): string | undefined {
  if (drop.kind === 'bundle') return takeChildBundle(world, attempt, path, last);
  return adopt(world, attempt, id, drop.value as Raw, path, drop.text);
}

/** An array of children in one file. One that does not parse may still be being written. */
function takeChildBundle(world: World, attempt: Attempt, path: string, last: boolean): string | undefined {
  const text = readBundleText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return last ? describeJsonErrorBriefly(text, path, (error as Error).message) : UNFINISHED;
  }
  const bundle = parseBundle(value, { defaults: attempt.job.settings.defaults, isFile: isThere });
  if (!bundle.ok) return describeBriefly(text, path, bundle.problems).join('\n');
  for (const task of bundle.tasks) {
    const problem = adopt(world, attempt, task.id, task.raw, path, text);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Publishes a child in the job's pending/, or gives why not. The same id by the same parent again: the first text stands. */
function adopt(world: World, attempt: Attempt, id: string, value: Raw, path: string, text: string): string | undefined {
  const { job } = attempt;
  const child =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...value, parent: attempt.id, ancestors: lineageOf(attempt) }
      : value;
  const tooMany = limitProblem(world, attempt, path);
  if (tooMany !== undefined) return tooMany;
  const parsed = specFrom(job, id, child);
  if ('problems' in parsed) return describeBriefly(text, path, parsed.problems).join('\n');
  const unmet = unmeetable(parsed.spec.resources, world.config.resources);
  if (unmet.length > 0) return describeBriefly(text, path, unmet).join('\n');
  const whole = `${JSON.stringify(child)}\n`;
  if (isMended(world, job, id, whole)) return undefined;
  const [state] = foldersHolding(job.layout, id);
  if (state !== undefined || !publish(job.layout.task('pending', id), whole)) {
    const [holder] = foldersHolding(job.layout, id);
    if (holder === undefined || !isOurChild(attempt, job.layout.task(holder, id))) {
      return `${path}: the id ${id} is in use by another task of the job (${holder ?? 'it has just moved'}). Give the child another name.`;
    }
    world.event({
      job: job.name,
      task: id,
      event: 'child_again',
      reason: `${attempt.id} had queued it before: the first text stands`,
    });
    return undefined;
  }
  world.event({ job: job.name, task: id, event: 'child', reason: `queued by ${attempt.id}` });
  relocate(world, job, id);
  return undefined;
}

/** What keeps a task that queues itself from filling the disk. */
function limitProblem({ config }: World, attempt: Attempt, path: string): string | undefined {
  const depth = lineageOf(attempt).length;
  if (depth > config.maxDepth) {
    const line = lineageOf(attempt).toReversed().join(' → ');
    return `${path}: it would be ${depth} deep (${line} → this one), and max_depth is ${config.maxDepth}. If that is meant, raise max_depth in config.yaml.`;
  }
  attempt.children += 1;
  if (attempt.children <= config.maxChildren) return undefined;
  return `${path}: ${attempt.id} has queued ${config.maxChildren} tasks already, and max_children is ${config.maxChildren}. If that is meant, raise max_children in config.yaml.`;
}

/** A power cut may have left no more than a beginning of a child, for it is taken in without a sync: made whole again where it lies, or away with it if it was rejected for that. */
function isMended(world: World, job: Job, id: string, whole: string): boolean {
  const [state = 'rejected'] = foldersHolding(job.layout, id);
  const path = job.layout.task(state, id);
  if (!isCutShort(path, whole)) return false;
  if (state === 'rejected') {
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
  attempt.unsyncedDrops += 1;
  world.afterSync(() => {
    attempt.unsyncedDrops -= 1;
    world.looks.add(attempt);
    remove(source);
  });
}

/** Makes a closed drop folder disappear once all in it is taken in and synced; what is no valid task stays. */
export function clearAfterSync(world: World, attempt: Attempt): void {
  const { closed, children } = attempt.run.layout;
  if (attempt.badChild !== undefined) return;
  world.afterSync(() => {
    removeTree(closed);
    removeTree(children);
  });
}
