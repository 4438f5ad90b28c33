// SIGKILL at a moment that chance has chosen: to the daemon, which is started again, to its launcher, or to a runner.
import { readdirSync } from 'node:fs';
import { readProcess, signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { isLauncher, type JobHands, type Place, readText } from './place.ts';

export type Killed = 'daemon' | 'launcher' | 'runner' | 'nothing';

/** `spared`: a task whose runner is left alone. */
export async function killSomething(
  place: Place,
  job: JobHands,
  random: () => number,
  spared?: string,
): Promise<Killed> {
  const choice = random();
  if (choice < 0.4) {
    await place.kill9();
    await place.start();
    return 'daemon';
  }
  if (choice < 0.6) {
    const launcher = launcherOf(place.daemon?.pid ?? 0);
    return launcher !== undefined && signalProcess(launcher, 'SIGKILL') ? 'launcher' : 'nothing';
  }
  const runners = job.names('running').flatMap((name) => {
    const isClaim = name.endsWith('.run') && name !== `${spared}.run`;
    return parsePidFile((isClaim ? readText(job.path('running', name, 'pid')) : undefined) ?? '').runner ?? [];
  });
  const runner = runners[Math.floor(random() * runners.length)];
  return runner !== undefined && signalProcess(runner, 'SIGKILL') ? 'runner' : 'nothing';
}

function launcherOf(daemon: number): { pid: number; startTicks: number } | undefined {
  for (const name of readdirSync('/proc')) {
    const info = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
    if (info?.ppid === daemon && isLauncher(readText(`/proc/${name}/cmdline`) ?? '')) return info;
  }
  return undefined;
}
