// SIGKILL at a moment that chance has chosen: to the daemon, which is started again, to its launcher, or to a runner.
import { readdirSync } from 'node:fs';
import type { Victim } from '../../src/client/prove-ground.ts';
import { readProcess, signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { isLauncher, type JobHands, type Place, readText } from './place.ts';
import { waitUntil } from './wait-until.ts';

/** Who was killed, and how often. */
export type Killed = Record<Victim, number>;

/** Kills one, as soon as there is one, and counts it; nobody if the job has come to its end. `spared`: a task whose runner is left alone. */
export async function killOne(
  place: Place,
  job: JobHands,
  { victim, random, killed, spared }: { victim: Victim; random: () => number; killed: Killed; spared?: string },
): Promise<void> {
  if (victim === 'daemon') {
    await place.kill9();
    await place.start();
    killed.daemon += 1;
    return;
  }
  const isOver = (): boolean => job.ids('pending').length + job.names('running').length === 0;
  const targets = victim === 'launcher' ? () => launchersOf(place.daemon?.pid ?? 0) : () => runnersOf(job, spared);
  const wasKilled = await waitUntil(
    `a ${victim} is there to be killed`,
    () => {
      const wasOver = isOver();
      const all = targets();
      const target = all[Math.floor(random() * all.length)];
      if (target !== undefined && signalProcess(target, 'SIGKILL')) return 'killed';
      return wasOver ? 'nobody' : undefined;
    },
    () => `running ${job.names('running').join(' ')}\n${place.log.slice(-2000)}`,
  );
  if (wasKilled === 'killed') killed[victim] += 1;
}

/** Attempts that are said to have been lost: each must have had its runner killed. */
export function lostAttempts(job: JobHands): string[] {
  return job
    .names('runs')
    .filter((name) => readText(job.path('runs', name, 'result.json'))?.includes('"reason":"lost"'));
}

function runnersOf(job: JobHands, spared?: string): { pid: number; startTicks: number }[] {
  return job.names('running').flatMap((name) => {
    const isClaim = name.endsWith('.run') && name !== `${spared}.run`;
    return parsePidFile((isClaim ? readText(job.path('running', name, 'pid')) : undefined) ?? '').runner ?? [];
  });
}

function launchersOf(daemon: number): { pid: number; startTicks: number }[] {
  return readdirSync('/proc').flatMap((name) => {
    const info = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
    const isOurs = info?.ppid === daemon && isLauncher(readText(`/proc/${name}/cmdline`) ?? '');
    return isOurs ? (info ?? []) : [];
  });
}
