// An array of tasks dropped as one file: parsed, checked as a whole and spread into files by a worker, away from the
// event loop. The file becomes `.bundle-…` before the first task appears and is unlinked only when all of them are
// synced, so a crash half way is repeated: an id that is there with the same content is left alone.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { errnoOf } from '../errors.ts';
import { remove, unfinishedName } from '../host/atomic.ts';
import { taskIdOf } from '../protocol/names.ts';
import { leaveAlone, rejectDrop } from './rejections.ts';
import type { Job } from './job.ts';
import type { World } from './world.ts';

/** Each takes memory and descriptors. */
const MOST_WORKERS = 2;

export interface SpreadOrder {
  path: string;
  /** What it is renamed to before it is spread. */
  taken: string;
  jobRoot: string;
  owners: number[];
  defaults: Record<string, unknown>;
}

export type SpreadAnswer =
  | { kind: 'spread'; tasks: number; rejected: string[] }
  | { kind: 'refused' | 'unparsable'; reason: string }
  /** No room for it, and the like: it is spread again later. */
  | { kind: 'failed'; reason: string }
  | { kind: 'missing' };

/** Has a bundle spread: a fresh drop `x.json`, or a `.bundle-…` of an earlier daemon. */
export function takeBundle(world: World, job: Job, name: string): void {
  const folder = job.layout.folder('pending');
  const path = join(folder, name);
  if (world.bundles.has(path)) return;
  if (world.spreading.size >= MOST_WORKERS) return void world.waitsToSpread.add(job);
  const taken = name.startsWith('.bundle-') ? path : join(folder, unfinishedName(`bundle-${taskIdOf(name)}`));
  const order: SpreadOrder = {
    path,
    taken,
    jobRoot: job.layout.root,
    owners: [...world.owners],
    defaults: job.settings.defaults,
  };
  const worker = new Worker(new URL('./spread-worker.js', import.meta.url), { workerData: order });
  world.bundles.add(path).add(taken);
  world.spreading.add(path);
  let isOver = false;
  const over = (answer: SpreadAnswer): void => {
    if (isOver) return;
    isOver = true;
    world.spreading.delete(path);
    for (const waiting of world.waitsToSpread) waiting.soil('pending');
    world.waitsToSpread.clear();
    if (path !== taken) world.bundles.delete(path);
    if (job.isGone) return void world.bundles.delete(taken);
    try {
      report(world, job, name, taken, answer);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      world.log.error('an array of tasks could not be set aside', { path, error: (error as Error).message });
      return lookLater(job);
    }
    if (answer.kind === 'failed') lookLater(job);
    else job.soil('pending');
  };
  worker.once('message', over);
  worker.once('error', (error) => over(answerTo(error, path)));
  worker.once('exit', () => over({ kind: 'missing' }));
}

/** What ends a worker before it could say anything is trouble of this host, unless the array took all its memory. */
function answerTo(error: Error, path: string): SpreadAnswer {
  if (errnoOf(error) !== 'ERR_WORKER_OUT_OF_MEMORY') return { kind: 'failed', reason: `${path}: ${error.message}` };
  return { kind: 'refused', reason: `${path}: it takes more memory than there is to be read. Make several of it.` };
}

/** The next full look finds what is left of it. */
function lookLater(job: Job): void {
  job.seen.delete('pending');
}

function report(world: World, job: Job, name: string, taken: string, answer: SpreadAnswer): void {
  if (answer.kind === 'spread') {
    world.event({ job: job.name, event: 'bundle', reason: `${name}: ${answer.tasks} tasks` });
    for (const id of answer.rejected) job.hint('rejected', `${id}.json`);
    world.afterSync(() => {
      remove(taken);
      world.bundles.delete(taken);
    });
    return;
  }
  world.bundles.delete(taken);
  if (answer.kind === 'missing') return;
  if (answer.kind === 'failed')
    return world.log.error('an array of tasks could not be spread; tried again at the next look', {
      job: job.name,
      error: answer.reason,
    });
  const id = taskIdOf(name);
  if (answer.kind === 'unparsable' && id !== undefined) return leaveAlone(world, job, id, answer.reason);
  rejectDrop(world, job, id ?? 'bundle', answer.reason, join(job.layout.folder('pending'), name));
}
