// `prove`: rounds of work in a scratch directory, killed at random moments, and judged by what the tasks themselves wrote
// down. A directory in which anything contradicts is kept; any other is removed.
import { setTimeout as pause } from 'node:timers/promises';
import { type Findings, judgeJob, noFindings, readAccount } from './prove-judge.ts';
import { Ground, type Victim } from './prove-ground.ts';
import { type Accepted, makeWork, randomBy } from './prove-work.ts';

export interface ProveOptions {
  kills: number;
  /** The folder in which the scratch directory is made. */
  on: string;
  seed: number;
  /** The command line's own. */
  script: string;
  onProgress: (progress: { kills: number; tasks: number }) => void;
  /** Asked between kills: true ends it early. */
  isOver?: () => boolean;
}

export interface Verdict extends Findings {
  kills: number;
  killed: Record<Victim, number>;
  tasks: number;
  /** The directory that shows what was found. */
  kept: string | undefined;
}

const KILLS_IN_A_ROUND = 20;
/** So many tasks wait or run at least while things are killed. */
const WAITING = 24;
const BATCH = 36;

/** Kills, and judges. Errors: PROVE_FOLDER, PROVE_STUCK. */
export async function prove(options: ProveOptions): Promise<Verdict> {
  const random = randomBy(options.seed);
  const ground = new Ground(options.on, options.script);
  const killed: Record<Victim, number> = { daemon: 0, launcher: 0, runner: 0 };
  const sum = (): number => killed.daemon + killed.launcher + killed.runner;
  const findings = noFindings();
  let tasks = 0;
  let isFine = false;
  try {
    for (let round = 0; sum() < options.kills && options.isOver?.() !== true && isEmpty(findings); round++) {
      const jobs = new Map<string, readonly Accepted[]>();
      const until = Math.min(options.kills, sum() + KILLS_IN_A_ROUND);
      while (sum() < until && options.isOver?.() !== true) {
        feed(ground, jobs, `r${round}`, random);
        const victim = await strike(ground, random, random() * MOST_BETWEEN);
        if (victim !== undefined) killed[victim] += 1;
        options.onProgress({ kills: sum(), tasks });
      }
      tasks += await judge(ground, jobs, findings);
      options.onProgress({ kills: sum(), tasks });
    }
    findings.lost.push(...(await ground.stop()).map((left) => `${left} is left`));
    isFine = isEmpty(findings);
  } finally {
    if (isFine || options.isOver?.() === true) await ground.remove();
    else await ground.stop();
  }
  return { ...findings, kills: sum(), killed, tasks, kept: isFine ? undefined : ground.root };
}

/** At most so many tasks are done between two kills: they are spread over the work, not over time. */
const MOST_BETWEEN = 24;
const LINE_BYTES = 24;

/** Waits until the account has grown by what about `tasks` tasks write, or until nothing has moved for a while. */
async function someWork(ground: Ground, tasks: number): Promise<void> {
  const until = ground.accountBytes + tasks * 2 * LINE_BYTES;
  for (let n = 0; n < 50 && ground.accountBytes < until; n++) await pause(10);
}

/** More work, where little is left. */
function feed(ground: Ground, jobs: Map<string, readonly Accepted[]>, name: string, random: () => number): void {
  const waiting = [...jobs.keys()].reduce((sum, job) => sum + ground.unfinished(job), 0);
  if (waiting >= WAITING) return;
  const { files, tasks } = makeWork(BATCH, ground.root, random);
  const job = `${name}-${jobs.size}`;
  const how = random();
  ground.queue(job, files, how < 0.4 ? 'job' : how < 0.7 ? 'files' : 'array');
  jobs.set(job, tasks);
}

/** A daemon's start takes about so long, where little waits for it. */
const START_MS = 400;

/**
 * Kills one of them: when about `tasks` tasks have been done, or, one time in three, at some moment of a daemon's start and
 * recovery. Undefined if nothing was there to be killed.
 */
export async function strike(ground: Ground, random: () => number, tasks: number): Promise<Victim | undefined> {
  const chance = random();
  const victim = chance < 0.4 ? 'daemon' : chance < 0.6 ? 'launcher' : 'runner';
  ground.start();
  if (random() < 0.33) await pause(random() * START_MS);
  else {
    await ground.serving();
    await someWork(ground, tasks);
  }
  for (let n = 0; n < 30; n++) {
    if (ground.kill(victim, random)) return victim;
    await pause(10); // nothing runs at this moment
  }
  return undefined;
}

/** Waits until the jobs are at rest, judges them, and forgets those in which nothing contradicts; gives how many tasks there were. */
export async function judge(
  ground: Ground,
  jobs: ReadonlyMap<string, readonly Accepted[]>,
  findings: Findings,
): Promise<number> {
  await ground.serving();
  for (const job of await ground.rest(jobs)) findings.lost.push(`${job} does not come to an end`);
  const account = readAccount(ground.account);
  let tasks = 0;
  for (const [name, accepted] of jobs) tasks += judgeJob(name, ground.layout.job(name), accepted, account, findings);
  if (isEmpty(findings)) ground.clear(jobs.keys());
  return tasks;
}

function isEmpty({ lost, overlapping, reruns }: Findings): boolean {
  return lost.length + overlapping.length + reruns.length === 0;
}
