// An array of tasks dropped as one file: parsed, checked as a whole and spread into files by a worker, away from the
// event loop. The file becomes `.bundle-…` before the first task appears and is unlinked only when all of them are
// synced, so a crash half way is repeated: an id that is there with the same content is left alone.
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { remove, unfinishedName } from '../host/atomic.ts';
import { taskIdOf } from '../protocol/names.ts';
import { leaveAlone, rejectDrop } from './rejections.ts';
import type { Job } from './job.ts';
import { spread, type SpreadAnswer, type SpreadOrder } from './spreading.ts';
import type { World } from './world.ts';

/** Has a bundle spread: a fresh drop `x.json`, or a `.bundle-…` of an earlier daemon. */
export function takeBundle(world: World, job: Job, name: string): void {
  const folder = job.layout.folder('pending');
  const path = join(folder, name);
  if (world.bundles.has(path)) return;
  const taken = name.startsWith('.bundle-') ? path : join(folder, unfinishedName(`bundle-${taskIdOf(name)}`));
  world.bundles.add(path).add(taken);
  const orderOf = (): SpreadOrder | undefined =>
    job.isGone
      ? undefined
      : { path, taken, jobRoot: job.layout.root, owners: [...world.owners], defaults: job.settings.defaults };
  spread(world, path, orderOf, (answer) => {
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
  });
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
      world.bundles.delete(taken);
      lookLater(job); // if it cannot be removed, it is spread again
      remove(taken);
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
