// `prove`: rounds of work in a scratch directory, killed at random moments, and judged by what the tasks themselves wrote
// down. A directory in which anything contradicts is kept; any other is removed.
import { setTimeout as pause } from 'node:timers/promises';
import { SpooldError } from '../errors.ts';
import { type Findings, judgeJob, noFindings, readAccount, untold } from './prove-judge.ts';
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
  /** Told at once, for whoever cannot wait for the end. */
  onGround?: (ground: Pick<Ground, 'root' | 'killAll'>) => void;
  /** Asked all the time: true ends it early, and what is under way is not judged. */
  isOver?: () => boolean;
}

export interface Verdict extends Findings {
  kills: number;
  killed: Record<Victim, number>;
  /** Those that were judged. */
  tasks: number;
  /** The directory that shows what was found. */
  kept: string | undefined;
}

const KILLS_IN_A_ROUND = 20;
/** So many tasks wait or run at least while things are killed. */
const WAITING = 24;
const BATCH = 36;
/** After so many tries in a row that found nobody to be killed, there is none. */
const MOST_TRIES = 200;

/** Kills, and judges. Errors: PROVE_FOLDER; PROVE_STUCK, whose directory is kept. */
export async function prove(options: ProveOptions): Promise<Verdict> {
  const ground = new Ground(options.on, options.script);
  options.onGround?.(ground);
  ground.isOver = options.isOver ?? ground.isOver;
  let isKept = false;
  try {
    const verdict = await killAndJudge(ground, options);
    isKept = !isEmpty(verdict);
    return { ...verdict, kept: isKept ? ground.root : undefined };
  } catch (error) {
    isKept = error instanceof SpooldError && error.code === 'PROVE_STUCK';
    throw ground.explain(error);
  } finally {
    if (isKept) ground.killAll();
    else ground.remove();
  }
}

async function killAndJudge(ground: Ground, options: ProveOptions): Promise<Verdict> {
  const random = randomBy(options.seed);
  const victims = drawVictims(random);
  const killed: Record<Victim, number> = { daemon: 0, launcher: 0, runner: 0 };
  const sum = (): number => killed.daemon + killed.launcher + killed.runner;
  const findings = noFindings();
  let tasks = 0;
  let victim = victims.next().value;
  for (let round = 0; sum() < options.kills && !ground.isOver() && isEmpty(findings); round++) {
    const jobs = new Map<string, readonly Accepted[]>();
    const until = Math.min(options.kills, sum() + KILLS_IN_A_ROUND);
    for (let tries = 0; sum() < until && !ground.isOver(); tries++) {
      feed(ground, jobs, `r${round}`, random);
      if (await strike(ground, victim, random, random() * MOST_BETWEEN)) {
        killed[victim] += 1;
        victim = victims.next().value;
        tries = 0;
      } else if (tries > MOST_TRIES) throw ground.stuck(`No ${victim} is to be found`);
      options.onProgress({ kills: sum(), tasks });
    }
    if (!ground.isOver()) tasks += await judge(ground, jobs, findings);
    options.onProgress({ kills: sum(), tasks });
  }
  if (!ground.isOver()) findings.lost.push(...(await ground.stop()));
  return { ...findings, kills: sum(), killed, tasks, kept: undefined };
}

/** Of each five, two daemons, a launcher and two runners, in any order. */
export function* drawVictims(random: () => number): Generator<Victim, never> {
  for (;;) {
    const five: Victim[] = ['daemon', 'daemon', 'launcher', 'runner', 'runner'];
    while (five.length > 0) yield* five.splice(Math.floor(random() * five.length), 1);
  }
}

/** At most so many tasks are done between two kills: they are spread over the work, not over time. */
const MOST_BETWEEN = 24;
const LINE_BYTES = 24;

/** Waits until the account has grown by what about `tasks` tasks write, or until nothing has moved for a while. */
async function someWork(ground: Ground, tasks: number): Promise<void> {
  const until = ground.accountBytes + tasks * 2 * LINE_BYTES;
  for (let n = 0; n < 50 && ground.accountBytes < until && !ground.isOver(); n++) await pause(10);
}

/** More work, where little is left. */
function feed(ground: Ground, jobs: Map<string, readonly Accepted[]>, name: string, random: () => number): void {
  const waiting = [...jobs.keys()].reduce((sum, job) => sum + ground.unfinished(job), 0);
  if (waiting >= WAITING) return;
  const { files, tasks } = makeWork(BATCH, random);
  const job = `${name}-${jobs.size}`;
  const how = random();
  ground.queue(job, files, how < 0.4 ? 'job' : how < 0.7 ? 'files' : 'array');
  jobs.set(job, tasks);
}

/** A daemon's start takes about so long, where little waits for it. */
const START_MS = 400;

/**
 * Kills one: when about `tasks` tasks have been done, or, one time in three, at some moment of a daemon's start and
 * recovery. False if nothing was there to be killed.
 */
export async function strike(ground: Ground, victim: Victim, random: () => number, tasks: number): Promise<boolean> {
  ground.start();
  if (random() < 0.33) await pause(random() * START_MS);
  else {
    await ground.serving();
    await someWork(ground, tasks);
  }
  for (let n = 0; n < 30 && !ground.isOver(); n++) {
    if (ground.kill(victim, random)) return true;
    await pause(10); // nothing runs at this moment
  }
  return false;
}

/**
 * Waits until the jobs are at rest, judges them, and forgets those in which nothing contradicts; gives how many tasks there were.
 * Errors: PROVE_STUCK, and PROVE_FOLDER where the account could not be kept.
 */
export async function judge(
  ground: Ground,
  jobs: ReadonlyMap<string, readonly Accepted[]>,
  findings: Findings,
): Promise<number> {
  await ground.serving();
  const restless = await ground.rest(jobs);
  if (ground.isOver()) return 0;
  if (restless.length > 0) ground.tryDisk();
  findings.lost.push(...restless.map((job) => `${job} does not come to an end`));
  const cases = [...jobs].map(([name, accepted]) => ({
    name,
    layout: ground.layout.job(name),
    accepted,
    cut: ground.cut,
  }));
  const [silent] = cases.flatMap(untold);
  if (silent !== undefined) throw ground.unusable(`${silent} could not write down what it did (is the disk full?)`);
  const account = readAccount(ground.account);
  const tasks = cases.reduce((sum, one) => sum + judgeJob({ ...one, account }, findings), 0);
  for (const task of account.keys())
    if (!jobs.has(task.slice(0, task.indexOf('/')))) findings.reruns.push(`${task} ran after its job had come to rest`);
  if (isEmpty(findings)) ground.clear(jobs.keys());
  return tasks;
}

function isEmpty({ lost, overlapping, reruns }: Findings): boolean {
  return lost.length + overlapping.length + reruns.length === 0;
}
