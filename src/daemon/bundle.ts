// An array of tasks dropped as one file: parsed, checked as a whole and spread into files by a worker, away from the
// event loop. The file becomes `.bundle-…` before the first task appears and is unlinked only when all of them are
// synced, so a crash half way is repeated: an id that is there with the same content is left alone.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { remove, unfinishedName } from '../host/atomic.ts';
import { taskIdOf } from '../protocol/names.ts';
import { leaveAlone, rejectDrop } from './rejections.ts';
import type { Job } from './job.ts';
import type { World } from './world.ts';

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
  | { kind: 'missing' };

/** Has a bundle spread: a fresh drop `x.json`, or a `.bundle-…` of an earlier daemon. */
export function takeBundle(world: World, job: Job, name: string): void {
  const folder = job.layout.folder('pending');
  const path = join(folder, name);
  if (world.bundles.has(path)) return;
  const taken = name.startsWith('.bundle-') ? path : join(folder, unfinishedName(`bundle-${taskIdOf(name)}`));
  world.bundles.add(path).add(taken);
  const order: SpreadOrder = {
    path,
    taken,
    jobRoot: job.layout.root,
    owners: [...world.owners],
    defaults: job.settings.defaults,
  };
  const worker = new Worker(new URL('./spread-worker.js', import.meta.url), { workerData: order });
  const over = (answer: SpreadAnswer): void => {
    if (!world.bundles.delete(path)) return;
    report(world, job, name, taken, answer);
    job.soil('pending');
  };
  worker.once('message', over);
  worker.once('error', (error) => over({ kind: 'refused', reason: `${path}: ${error.message}` }));
  worker.once('exit', () => over({ kind: 'missing' }));
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
  if (answer.kind === 'unparsable') leaveAlone(world, job, taskIdOf(name) ?? 'bundle', answer.reason);
  if (answer.kind === 'refused')
    rejectDrop(world, job, taskIdOf(name) ?? 'bundle', answer.reason, join(job.layout.folder('pending'), name));
}
