// The settings of one job: job.json, and the files `paused` and `parallel` beside it. A job.json that does not read never
// means defaults: the job starts nothing until it does, and if it has not read since the daemon's start, nothing in it is
// judged. Its folders are looked at first.
import { isThere } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { NO_JOB_SETTINGS, parseJob } from '../protocol/job.ts';
import { describeBriefly } from '../protocol/problems.ts';
import { readParallel } from '../store/snapshot.ts';
import { fileStamp, readDrop } from '../store/tasks.ts';
import type { Job } from './job.ts';
import { folderProblem } from './job-folders.ts';
import { readClock } from './job-clock.ts';
import { factsOfLive, reasonOf } from './judge.ts';
import type { World } from './world.ts';

/** Reads what changed of a job's settings: job.json, `paused`, `parallel`. */
export function readSettings(world: World, job: Job): void {
  const limit = job.limit;
  const before = job.trouble;
  job.trouble = folderProblem(world.layout, job.layout, world.owners);
  if (job.trouble !== undefined && job.trouble !== before)
    world.log.error('a job is left alone until its folders are in order', { job: job.name, reason: job.trouble });
  if (job.trouble !== before) {
    world.hasNews = true;
    job.stir();
  }
  if (job.trouble !== undefined) return;
  job.paused = isThere(job.layout.paused);
  const parallel = readParallel(job.layout.parallel);
  if (parallel === 'damaged')
    world.log.warn('a file `parallel` should hold a whole number', { path: job.layout.parallel });
  else job.parallel = parallel;
  const stamp = fileStamp(job.layout.settings);
  if (!mayComeBack(job, stamp) && stamp !== job.settingsStamp) readJobFile(world, job, stamp);
  if (job.limit !== limit) job.stir();
}

/** Whoever edits job.json may move it away before it is written anew: it counts as gone once it has been so for a moment. */
function mayComeBack(job: Job, stamp: string | undefined): boolean {
  job.settingsGoneAt = stamp === undefined ? (job.settingsGoneAt ?? monotonic()) : undefined;
  return job.settingsGoneAt !== undefined && job.hasSettings && monotonic() - job.settingsGoneAt < GONE_MS;
}

const GONE_MS = 1_000;

function readJobFile(world: World, job: Job, stamp: string | undefined): void {
  const before = job.damage;
  const read = readDrop(job.layout.settings, world.owners);
  if (read.kind === 'missing' && stamp !== undefined) return; // gone since: the next look tells for how long
  job.settingsStamp = stamp;
  job.damage = undefined;
  if (read.kind === 'missing') job.settings = NO_JOB_SETTINGS;
  else if (read.kind === 'json') {
    const parsed = parseJob(read.value);
    if (parsed.ok) job.settings = parsed.settings;
    else job.damage = describeBriefly(read.text, job.layout.settings, parsed.problems).join('\n');
  } else job.damage = reasonOf(read, job.layout.settings);
  world.hasNews ||= before !== job.damage;
  if (job.damage === undefined) {
    if (!job.hasSettings) for (const { id } of job.attempts.values()) job.put(factsOfLive(job, id), 'running'); // adopted meanwhile
    job.hasSettings = true;
    job.graph.stopOnFailure(job.settings.onFailure === 'stop');
    readClock(job);
    for (const node of job.graph.all()) if (node.state === 'pending') job.hint('pending', `${node.id}.json`); // its defaults may differ
  } else if (before !== job.damage) {
    world.log.error('job.json does not read: the job starts nothing until it does', {
      job: job.name,
      reason: job.damage,
    });
    world.event({ job: job.name, event: 'job_damaged', reason: job.damage });
  }
}
