// Which jobs there are. A job is its folder's inode, not its name: one that was removed and made again is another.
import { lstatSync } from 'node:fs';
import { errnoOf, unless } from '../errors.ts';
import { moveIfFree, namesIn, sweepUnfinished } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { isName, nameProblem } from '../protocol/names.ts';
import { archivingsIn, finishArchiving } from '../store/archive.ts';
import { readClaims } from './claims.ts';
import { addStray } from './endings.ts';
import { Job } from './job.ts';
import { folderProblem, makeFolders } from './job-folders.ts';
import { readSettings } from './job-settings.ts';
import type { World } from './world.ts';

/**
 * Takes up jobs that are new, and forgets those that are gone; past `deadline` (monotonic ms) the rest is left in
 * `world.newNames`, with which the next turn goes on before it reads the folder again.
 */
export function findJobs(world: World, deadline = Number.POSITIVE_INFINITY): void {
  if (world.newNames.length === 0) readJobNames(world);
  for (let name = world.newNames.pop(); name !== undefined; name = world.newNames.pop()) {
    const job = world.jobs.get(name);
    if (job === undefined) takeUp(world, name);
    else if (!job.stillThere()) forgetJob(world, job);
    if (monotonic() > deadline) return;
  }
}

function readJobNames(world: World): void {
  world.wake.topChanged = false;
  finishArchivings(world);
  const names = namesIn(world.layout.jobs).filter((name) => !name.startsWith('.'));
  const present = new Set(names);
  for (const name of world.oddFolders.keys()) if (!present.has(name)) forgetOdd(world, name);
  const gone = [...world.jobs.keys()].filter((name) => !present.has(name));
  world.newNames = [...gone, ...names.filter((name) => !world.jobs.has(name))].toReversed();
}

/** What a killed `submit` has left half way; at start there is no living one to be waited for. */
function finishArchivings({ layout, recovering, log }: World): void {
  for (const one of archivingsIn(layout)) {
    const since = lstatSync(one.from, { throwIfNoEntry: false })?.ctimeMs;
    if (!recovering && (since === undefined || wallClock() - since <= ARCHIVED_WITHIN_MS)) continue;
    try {
      finishArchiving(layout, one, moveIfFree);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      const { from: path, to } = one; // archive/ may be on another file system, say: the jobs that work go on
      log.error('a finished job cannot be archived; tried again', { path, to, error: (error as Error).message });
    }
  }
}

/** A living `submit` takes so long at most from taking a job out of sight to the end. */
const ARCHIVED_WITHIN_MS = 10_000;

/** A job whose folder cannot be written to, or goes while we look, is looked at again; the others go on. */
function takeUp(world: World, name: string): void {
  try {
    addJob(world, name);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    const reason = (error as Error).message;
    world.log.error('a job cannot be taken up; tried again at the next look', { job: name, error: reason });
    noteOdd(world, name, `it cannot be taken up: ${reason}`);
    const job = world.jobs.get(name);
    if (job !== undefined) leave(world, job);
  }
}

function addJob(world: World, name: string): void {
  const layout = world.layout.job(name);
  const stat = unless(['ENOTDIR', 'ENOENT'], () => lstatSync(layout.root, { throwIfNoEntry: false }));
  if (stat === undefined || !(stat.isDirectory() || stat.isSymbolicLink())) return;
  const problem = isName(name)
    ? (twinOf(world, name) ?? folderProblem(world.layout, layout, world.owners))
    : nameProblem(name);
  if (problem !== undefined) return complain(world, name, problem);
  const job = new Job(name, layout, world.active, world.attempts);
  job.wasThere = world.recovering;
  world.jobs.set(name, job);
  world.lowerNames.set(name.toLowerCase(), name);
  makeFolders(layout);
  sweepUnfinished(layout.folder('pending'), wallClock(), ABANDONED_AFTER_S);
  readSettings(world, job); // first: what was started under the job's defaults is judged by them
  readClaims(world, job);
  job.stir();
  forgetOdd(world, name);
}

/** A dot file or folder of ours that nobody has touched for so long has no living writer. */
export const ABANDONED_AFTER_S = 3600;

function twinOf(world: World, name: string): string | undefined {
  const twin = world.lowerNames.get(name.toLowerCase());
  return twin && `there is a job ${twin}, which differs only in case`;
}

/** Folders that are no jobs are named at every look, but no more than so many of them. */
const MOST_NAMED = 100;

function complain(world: World, name: string, reason: string): void {
  if (noteOdd(world, name, reason)) world.log.warn('a folder in jobs/ is no job', { name, reason });
}

/** False if too many were named already. */
function noteOdd(world: World, name: string, reason: string): boolean {
  const { oddFolders } = world;
  if (oddFolders.size >= MOST_NAMED && !oddFolders.has(name)) return false;
  world.hasNews ||= oddFolders.get(name) !== reason;
  oddFolders.set(name, reason);
  return true;
}

function forgetOdd(world: World, name: string): void {
  if (world.oddFolders.delete(name)) world.hasNews = true;
}

/** A job's folder is gone, or is another one now: what runs in it is ended. */
export function forgetJob(world: World, job: Job): void {
  for (const attempt of job.attempts.values()) addStray(world, job.name, attempt.run.layout.root, attempt.holdings);
  leave(world, job);
  world.event({ job: job.name, event: 'job_gone' });
  world.wake.topChanged = true;
  world.wake.now();
}

function leave(world: World, job: Job): void {
  job.isGone = true;
  job.reading?.close();
  for (const attempt of [...job.attempts.values()]) {
    world.looks.delete(attempt);
    job.end(attempt);
  }
  world.wake.forgetJob(job);
  world.jobs.delete(job.name);
  world.lowerNames.delete(job.name.toLowerCase());
  world.active.delete(job);
  world.ready.delete(job);
  world.dues.delete(job);
  world.settling.delete(job);
}
