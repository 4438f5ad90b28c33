// `npm run fuzz -- --cases N --seed S`: files that nobody would write, by the ten thousand, given to a real daemon. It
// never exits, never computes for more than 150 ms at one go, runs nothing that it has rejected, and says of each rejection
// why. The same seed makes the same files.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomBy } from '../../src/client/prove-work.ts';
import { ownIdentity, readProcess } from '../../src/host/identity.ts';
import { keysIn, parseJson } from '../../src/protocol/json.ts';
import { parseJob } from '../../src/protocol/job.ts';
import { parseTask } from '../../src/protocol/task.ts';
import { Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { configText, fileName, jobText, MEMBER, pick, pidText, taskText, workflowText } from './mutate.ts';

export interface Outcome {
  cases: number;
  rejected: number;
  ran: number;
  /** Of those that ran, how many came of arrays. */
  spread: number;
  /** ms of processor time. */
  longestTurn: number;
  longestRead: number;
  failures: string[];
}

const BATCH = 1000;
/** Of a whole file read by a command line, which blocks nobody. */
const MOST_READ_MS = 5_000;
/** Of wall time, on a machine that does much else; whatever takes longer hangs. */
const HANGS_AFTER_MS = 120_000;
const CONFIG = 'poll_interval: 500ms\nmax_parallel: 6\nmin_free: {bytes: 0, inodes: 0}\n';
const UNSEEN_IS_DEAD_MS = 35_000;

/** Gives `cases` files to a daemon. `mostTurn`: how long a turn of its loop may compute, in ms of processor time. */
export async function fuzz(
  cases: number,
  seed: number,
  mostTurn: number,
  say: (text: string) => void = () => undefined,
): Promise<Outcome> {
  const run = new Fuzz(seed, mostTurn);
  try {
    await run.place.start();
    for (let n = 0; n < cases && run.outcome.failures.length === 0; n += BATCH) {
      await run.batch(n, Math.min(BATCH, cases - n));
      const { outcome } = run;
      say(
        `${outcome.cases} cases, ${outcome.rejected} rejected, ${outcome.ran} ran, longest turn ${outcome.longestTurn.toFixed(0)} ms, longest read ${outcome.longestRead.toFixed(0)} ms`,
      );
    }
  } catch (error) {
    run.outcome.failures.push(`${(error as Error).message}\n${run.place.log.slice(-2000)}`);
  } finally {
    await run.end();
  }
  return run.outcome;
}

class Fuzz {
  readonly place: Place;
  readonly outcome: Outcome = {
    cases: 0,
    rejected: 0,
    ran: 0,
    spread: 0,
    longestTurn: 0,
    longestRead: 0,
    failures: [],
  };
  private readonly random: () => number;
  private readonly stranger: ChildProcess;
  private readonly began = performance.now();
  private validator: ChildProcess | undefined;
  private turns = '';

  private readonly mostTurn: number;

  constructor(seed: number, mostTurn: number) {
    this.mostTurn = mostTurn;
    this.random = randomBy(seed);
    const env: Record<string, string> = { NODE_OPTIONS: `--import ${new URL('./turn-cpu.js', import.meta.url).href}` };
    this.place = new Place({ config: CONFIG, env });
    this.turns = this.place.aside('turns');
    env.FUZZ_TURNS = this.turns;
    this.stranger = spawn('sleep', ['100000'], { stdio: 'ignore' });
  }

  private fail(text: string): void {
    if (this.outcome.failures.length < 20) this.outcome.failures.push(text);
  }

  async batch(first: number, count: number): Promise<void> {
    const { random, place } = this;
    const name = `fuzz${first}`;
    const job = place.job(name).make({ max_parallel: 'none' });
    const jobs: string[] = [];
    for (let n = first; n < first + count; n++) {
      const chance = random();
      const heavy = random() < 0.002;
      if (chance < 0.6) this.write(name, `c${n}.json`, taskText(random, heavy));
      else if (chance < 0.72) jobs.push(this.writeJob(n, heavy));
      else if (chance < 0.82) this.write(name, fileName(random, n), Buffer.from('{"command":"true"}'));
      else if (chance < 0.9) this.writeAttempt(name, n);
      else
        await this.read(
          random() < 0.5 ? configText(random) : workflowText(random),
          random() < 0.5 ? 'config' : 'workflow',
        );
      if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await this.settled(name);
    for (const one of jobs) await this.judgedJob(one);
    this.judge(name);
    await this.reload();
    this.outcome.cases += count;
    const turns = readText(this.turns);
    if (turns === undefined) this.fail('the turns of the loop are not measured');
    this.outcome.longestTurn = Number(turns ?? 0);
    if (this.outcome.longestTurn > this.mostTurn)
      this.fail(`a turn computed for ${this.outcome.longestTurn.toFixed(0)} ms`);
    if (!this.lives()) this.fail(`the daemon has ended: ${place.log.slice(-2000)}`);
    if (this.stranger.exitCode !== null || this.stranger.signalCode !== null) this.fail('a stranger was signalled');
    for (const gone of [name, ...jobs]) {
      renameSync(place.at('jobs', gone), place.aside('gone'));
      rmSync(place.aside('gone'), { recursive: true, force: true });
    }
    if (job.names('.').length > 0) this.fail('the job is back');
  }

  private lives(): boolean {
    const { daemon } = this.place;
    return daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null;
  }

  /** In place, or by a rename. */
  private write(job: string, name: string | Buffer, bytes: Buffer): void {
    const folder = Buffer.from(`${this.place.at('jobs', job, 'pending')}/`);
    const path = Buffer.concat([folder, Buffer.from(name)]);
    if (this.random() < 0.3) return writeFileSync(path, bytes);
    const draft = Buffer.concat([folder, Buffer.from('.draft')]);
    writeFileSync(draft, bytes);
    renameSync(draft, path);
  }

  private writeJob(n: number, heavy: boolean): string {
    const name = `job${n}`;
    const draft = this.place.at('jobs', `.${name}`);
    mkdirSync(join(draft, 'pending'), { recursive: true });
    writeFileSync(join(draft, 'job.json'), jobText(this.random, heavy));
    writeFileSync(join(draft, 'pending', 'x.json'), '{"command":"true"}');
    renameSync(draft, this.place.at('jobs', name));
    return name;
  }

  /** An attempt that a crash, or somebody's hand, might have left, with a damaged file or two. */
  private writeAttempt(job: string, n: number): void {
    const { random, place } = this;
    const run = place.at('jobs', job, 'runs', `p${n}.1`);
    mkdirSync(join(run, 'pending'), { recursive: true });
    mkdirSync(place.at('jobs', job, 'running'), { recursive: true });
    const own = ownIdentity();
    const pid = this.stranger.pid as number;
    const start = readProcess(pid)?.startTicks ?? 1;
    const late = performance.now() - this.began > UNSEEN_IS_DEAD_MS;
    const line = [pid, start, own.boot, random() < 0.3 && late ? '1' : own.pidns, own.host, lstatSync(run).ino].join(
      ' ',
    );
    writeFileSync(
      join(run, 'run'),
      pick(random, ['#!/bin/sh\nexit 0\n', '', `# boot: ${own.boot}\n`, '# boot: other\n']),
    );
    if (random() < 0.8) writeFileSync(join(run, 'pid'), pidText(random, { pid, line }));
    if (random() < 0.5) writeFileSync(join(run, 'output.log'), '');
    if (random() < 0.2)
      writeFileSync(
        join(run, 'ending'),
        pick(random, ['{"reason":"cancelled","message":"","at":1}', '{', '[]', 'null', '{"reason":5}']),
      );
    if (random() < 0.3) writeFileSync(join(run, 'result.json'), taskText(random, false));
    symlinkSync(`../runs/p${n}.1`, place.at('jobs', job, 'running', `p${n}.run`)); // first, or the daemon would claim the task
    writeFileSync(place.at('jobs', job, 'running', `p${n}.json`), '{"command":"true"}');
  }

  /** A config or workflow, read in a process of its own; a config is left to the daemon too. */
  private async read(bytes: Buffer, kind: 'config' | 'workflow'): Promise<void> {
    const path = this.place.aside(kind === 'config' ? 'config.yaml' : 'flow.yaml');
    writeFileSync(path, bytes);
    this.validator ??= fork(fileURLToPath(new URL('./validator.js', import.meta.url)));
    const { validator } = this;
    let patience: NodeJS.Timeout | undefined;
    const answer = await new Promise<{ problems?: string[]; failure?: string; cpu: number } | string>((resolve) => {
      validator.once('message', (message) => resolve(message as { cpu: number }));
      validator.once('exit', (code, signal) => resolve(`${code ?? signal}`));
      validator.send({ path, kind });
      patience = setTimeout(() => validator.kill('SIGKILL'), HANGS_AFTER_MS);
    });
    clearTimeout(patience);
    validator.removeAllListeners('exit').removeAllListeners('message');
    if (typeof answer === 'string' || answer.failure !== undefined) {
      this.validator = undefined;
      const what = typeof answer === 'string' ? `ended the process (${answer})` : answer.failure;
      this.fail(`reading a ${kind} ${what}: ${JSON.stringify(bytes.toString('latin1').slice(0, 500))}`);
      return;
    }
    if (answer.problems?.some((problem) => problem.trim() === '')) this.fail(`a problem of a ${kind} without words`);
    this.outcome.longestRead = Math.max(this.outcome.longestRead, answer.cpu);
    if (answer.cpu > MOST_READ_MS) this.fail(`reading a ${kind} took ${answer.cpu.toFixed(0)} ms`);
    if (kind !== 'config' || this.random() < 0.5) return;
    writeFileSync(this.place.at('config.yaml'), bytes);
    this.place.daemon?.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** The settings are good ones again, whatever a mutation had them be. */
  private async reload(): Promise<void> {
    writeFileSync(this.place.at('config.yaml'), CONFIG);
    this.place.daemon?.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Everything has left pending/ but what waits with good reason. */
  private async settled(name: string): Promise<void> {
    await this.reload();
    const job = this.place.job(name);
    const waits = new Map<string, boolean>();
    const rightly = (file: string): boolean => {
      if (!file.endsWith('.json') || file.startsWith('.')) return !file.startsWith('.bundle-');
      const known = waits.get(file);
      if (known !== undefined) return known;
      const waiting = waitsRightly(job.path('pending', file), file.slice(0, -5));
      waits.set(file, waiting);
      return waiting;
    };
    const restless = (): string[] => [
      ...job.names('pending').filter((file) => !rightly(file)),
      ...job.names('running'), // read last: what leaves pending/ meanwhile is seen there
    ];
    await waitUntil(
      'all has been judged',
      () => !this.lives() || restless().length === 0,
      () =>
        restless()
          .slice(0, 10)
          .map((file) => `${file}: ${readText(job.path('pending', file))?.slice(0, 200)}`),
    );
  }

  /** One that reads has its task run, or rejected; of one that does not, nothing is run, and that is said. */
  private async judgedJob(name: string): Promise<void> {
    const job = this.place.job(name);
    const text = readText(job.path('job.json')) ?? '';
    const reads = readsAsJob(text);
    const isDamaged = (): boolean =>
      ['events.ndjson', 'events.ndjson.1'].some((file) =>
        readText(this.place.at(file))?.includes(`"job":"${name}","event":"job_damaged"`),
      );
    await waitUntil(
      `${name} is judged, ${reads ? 'and its task run' : 'and called damaged'}`,
      () => !this.lives() || (reads && job.ids('pending').length === 0) || isDamaged() || this.hasRun(name),
      () => text.slice(0, 300),
      HANGS_AFTER_MS,
    );
    if (!this.lives()) return;
    if (reads && job.ids('pending').length > 0 && !this.hasRun(name))
      this.fail(`${name} reads, and its task has not been run: ${text.slice(0, 300)}`);
    if (!reads && this.hasRun(name)) this.fail(`${name} does not read, and its task was run: ${text.slice(0, 300)}`);
  }

  private hasRun(job: string): boolean {
    return this.place.job(job).names('runs').length > 0;
  }

  private judge(name: string): void {
    const job = this.place.job(name);
    const runs = new Set(job.names('runs'));
    for (const file of job.names('rejected')) {
      if (!file.endsWith('.json')) continue;
      const id = file.slice(0, -5);
      this.outcome.rejected += 1;
      if ((job.rejection(id) ?? '').trim() === '') this.fail(`${name}/${id} was rejected without a word`);
      const members = membersOf(readText(job.file('rejected', id)) ?? '');
      for (const one of [id, ...members])
        if (runs.has(`${one}.1`) && !one.startsWith('p')) this.fail(`${name}/${id} was rejected, and ${one} run`);
    }
    this.outcome.ran += runs.size;
    this.outcome.spread += [...runs].filter((run) => new RegExp(`^${MEMBER.source}\\.1$`).test(run)).length;
  }

  async end(): Promise<void> {
    this.validator?.kill();
    this.stranger.kill('SIGKILL');
    const others = readdirSync(this.place.root).filter(
      (name) => !['state', 'turns', 'config.yaml', 'flow.yaml', 'gone'].includes(name),
    );
    if (others.length > 0) this.fail(`something was written outside of the directory: ${others.join()}`);
    await this.place.close().catch((error: unknown) => this.fail((error as Error).message));
  }
}

/** The ids of an array that only this one array has. */
function membersOf(text: string): string[] {
  if (!text.startsWith('[') || text.length > 1_000_000) return [];
  return [...text.matchAll(new RegExp(`"id":"(${MEMBER.source})"`, 'g'))].map(([, id]) => id as string);
}

/** A valid task that waits for another, or for its time. */
function waitsRightly(path: string, id: string): boolean {
  try {
    const parsed = parseTask(JSON.parse(readFileSync(path, 'utf8')), id);
    return (
      parsed.ok &&
      (parsed.spec.dependencies.length > 0 ||
        parsed.spec.notBefore !== undefined ||
        Object.keys(parsed.spec.resources ?? {}).length > 0)
    );
  } catch {
    return false;
  }
}

function readsAsJob(text: string): boolean {
  if (text.includes('\uFFFD') || text.length > 1_000_000) return false; // it was no UTF-8, or has more than a task may
  try {
    const value: unknown = parseJson(text);
    return levelsOf(value) <= DEEPEST && keysIn(value) <= MOST_KEYS && parseJob(value).ok;
  } catch {
    return false;
  }
}

/** As deep as any file of tasks or settings may be nested. */
const DEEPEST = 1_000;

/** As many keys as any of them may have. */
const MOST_KEYS = 25_000;

const isNest = (value: unknown): value is object => typeof value === 'object' && value !== null;

function levelsOf(value: unknown): number {
  let levels = 0;
  for (let nests = [value].filter(isNest); nests.length > 0; levels++)
    nests = nests.flatMap((nest) => Object.values(nest)).filter(isNest);
  return levels;
}
