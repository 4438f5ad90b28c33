// What is no task: left alone while somebody may still be writing it, then set aside in rejected/ with its reason in
// words, and looked at again when it changes there.
import { dirname } from 'node:path';
import { isThere, moveIfFree, overwrite, remove, sweepUnfinished } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { nameProblem } from '../protocol/names.ts';
import type { TaskFacts } from '../scheduler/graph.ts';
import { fileStamp, lyingAt, readDrop, reject } from '../store/tasks.ts';
import type { Job } from './job.ts';
import { factsFrom, factsOf, judge } from './judge.ts';
import type { World } from './world.ts';

/** How long a drop that does not parse is left alone, unchanged, before it is rejected. */
export const SETTLE_MS = 2_000;

/** It does not parse, or has a second name: perhaps somebody is still writing. Rejected once it has not changed for SETTLE_MS of our own clock. */
export function leaveAlone(world: World, job: Job, id: string, reason: string, isLinked = false): void {
  const path = job.layout.task('pending', id);
  const stamp = fileStamp(path);
  if (stamp === undefined) return;
  const before = job.unfinished.get(id);
  // An array that is being taken in may have the whole of what a power cut has left of it.
  const isSpreading = [...world.bundles].some((bundle) => dirname(bundle) === job.layout.folder('pending'));
  if (before === undefined || before.stamp !== stamp || isSpreading) {
    job.unfinished.set(id, { stamp, since: monotonic() });
    world.settling.add(job);
    return;
  }
  if (monotonic() - before.since < SETTLE_MS) return;
  if (isLinked) forgetKilledClients(job, before.since);
  if (fileStamp(path) !== stamp) return job.hint('pending', `${id}.json`);
  job.unfinished.delete(id);
  rejectDrop(world, job, id, reason, path, stamp);
}

/** A client killed between showing its file and removing the name under which it wrote it leaves both. One sweep serves all that were seen before it. */
function forgetKilledClients(job: Job, seenAt: number): void {
  if (job.sweptAt >= seenAt) return;
  job.sweptAt = monotonic();
  sweepUnfinished(job.layout.folder('pending'));
}

/** Sets a file aside in rejected/ with its reason in words. `judged`: the stamp of what was found wrong. `isTask`: false if it is known not to read as one. */
export function rejectDrop(
  world: World,
  job: Job,
  name: string,
  reason: string,
  from = job.layout.task('pending', name),
  judged = fileStamp(from),
  isTask = true,
): void {
  const facts = isTask ? factsFrom(job, 'pending', name, from) : undefined;
  const lineage = facts?.ancestors.length ? `\nancestors: ${facts.ancestors.join(' ')}` : '';
  const target = reject(job.layout, from, name, reason, lineage);
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
  if (!countsAs(job, name)) return;
  job.put(facts ?? factsOf(name, { ancestors: ancestorsNoted(job, name) }, 0), 'rejected');
}

/** False for a name that is no id, is the id of a task that lies elsewhere, or has a number: `x.2`, whose reason speaks of x. */
function countsAs(job: Job, name: string): boolean {
  if (nameProblem(name) !== undefined || lyingAt(job.layout, name) !== undefined) return false;
  const unnumbered = /^(.+)\.\d+$/.exec(name)?.[1];
  if (unnumbered === undefined) return true;
  const reason = readText(job.layout.rejection(name)) ?? '';
  return !reason.includes(`/${unnumbered}`) || reason.includes(`/${name}.json`);
}

/** A rejected child's ancestors, which its .error.txt keeps, so that its family counts it as failed. */
function ancestorsNoted(job: Job, name: string): string[] {
  const match = /^ancestors: (.+)$/m.exec(readText(job.layout.rejection(name)) ?? '');
  return match?.[1]?.split(' ') ?? [];
}

/** A rejected file that changed is judged again: back to pending if it reads now, else with its new reason. */
export function lookAtRejected(world: World, job: Job, name: string): void {
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
  if (!countsAs(job, name)) return void job.rejected.set(name, stamp);
  const judged = judge(job, name, path, readDrop(path, world.owners), world.config.resources);
  if ('reason' in judged) overwrite(job.layout.rejection(name), `${judged.reason}\n`);
  job.rejected.set(name, stamp); // not before: what fails is tried again
  if ('reason' in judged) return;
  if (moveIfFree(path, job.layout.task('pending', name)) !== 'moved') return;
  remove(job.layout.rejection(name));
  job.rejected.delete(name);
  job.hint('pending', `${name}.json`);
}

export function readText(path: string): string | undefined {
  const read = readDrop(path);
  return read.kind === 'unfinished' ? read.text : read.kind === 'json' ? read.text : undefined;
}
