// A daemon on a state directory of its own, and the hands of a user in it: drop, move, look. What ran in a place must be
// gone when the place is closed, but for what its folders say is running: anything else is a process left behind.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProcess, signalProcess } from '../../src/host/identity.ts';
import { projectRoot } from '../protocol/root.ts';
import { waitUntil } from './wait-until.ts';

export const bin = join(projectRoot(), 'bin', 'spoold');
export const programs = join(projectRoot(), 'fixtures', 'programs');
export const hasPython = spawnSync('python3', ['--version']).status === 0;

/** In the environment of a place's daemon, and so of most that it runs. */
const MARK = 'TEST_PLACE';

/** In the order in which they are looked at: a file that is under way to another folder is seen in one of them. */
const FOLDERS = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped', 'rejected'] as const;
export type Folder = (typeof FOLDERS)[number];

export interface Result {
  outcome: string;
  to: string;
  reason: string;
  message: string;
  exit_code: number | null;
  signal: string | null;
  queued_at: string;
  started_at: string;
  finished_at: string;
  retry_at?: string;
}

export interface Live {
  pid: number;
  startTicks: number;
  args: string;
  runDir: string | undefined;
}

export interface PlaceOptions {
  /** The text of config.yaml. */
  config?: string;
  /** What the daemon is started by, before node and its arguments. */
  under?: string[];
  /** Of the daemon. */
  env?: Record<string, string | undefined>;
}

/** True of a launcher and of its runners, native or a shell. */
export function isLauncher(args: string): boolean {
  return /spoold-launcher|launcher\.sh/.test(args);
}

export class Place {
  /** The test's own folder; the state directory is in it. */
  readonly root = mkdtempSync(join(tmpdir(), 'spoold-test-'));
  readonly dir = join(this.root, 'state');
  daemon: ChildProcess | undefined;
  /** What the daemon has said, over all its lives. */
  log = '';
  private readonly options: PlaceOptions;

  constructor(options: PlaceOptions = {}) {
    this.options = options;
    if (options.config !== undefined) {
      mkdirSync(this.dir, { mode: 0o700 });
      writeFileSync(join(this.dir, 'config.yaml'), options.config);
    }
  }

  /** A path in the state directory. */
  at(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  /** A path beside the state directory. */
  aside(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  job(name: string): JobHands {
    return new JobHands(this, name);
  }

  /** Starts the daemon in the foreground; resolves once it serves, and fails with what it said if it does not. */
  async start(under?: string[]): Promise<ChildProcess> {
    const { child, said } = this.spawnDaemon(under);
    await waitUntil(
      'the daemon serves',
      () => said().includes(' serves ') || child.exitCode !== null || child.signalCode !== null,
      () => this.log,
    );
    if (!said().includes(' serves ')) throw new Error(`the daemon ended (${child.exitCode}): ${this.log}`);
    return child;
  }

  /** Starts the daemon without waiting for it. */
  spawnDaemon(under = this.options.under ?? []): { child: ChildProcess; said: () => string } {
    const argv = [...under, process.execPath, bin, 'start', '--foreground', '--dir', this.dir];
    const child = spawn(argv[0] as string, argv.slice(1), {
      cwd: this.root,
      env: { ...cleanEnvironment(), [MARK]: this.root, ...this.options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.daemon = child;
    return { child, said: () => said };
  }

  /** `kill -9` of the daemon; resolves once it is dead. */
  async kill9(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Signals the daemon and gives how it ended: its exit status or the signal. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    const child = this.daemon;
    if (child === undefined) return null;
    child.kill(signal);
    await exited(child);
    this.daemon = undefined;
    return child.exitCode ?? child.signalCode;
  }

  /** Runs the command line in this place. */
  spoold(...args: string[]): Promise<Spoken> {
    return speak(args[0] === undefined ? [] : [args[0], '--dir', this.dir, ...args.slice(1)], {
      cwd: this.root,
      env: { [MARK]: this.root },
    });
  }

  /** Every line of a file beside the state directory; none if it is not there. */
  lines(name: string): string[] {
    const path = this.aside(name);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** Living processes that this place's daemon or what it ran has left, itself included. */
  processes(): Live[] {
    return liveProcesses((environment) =>
      environment.some((entry) => entry === `${MARK}=${this.root}` || entry === `SPOOLD_DIR=${this.dir}`),
    );
  }

  /** The processes of one attempt, by the variable that each attempt is given. */
  processesOf(runDir: string): Live[] {
    return this.processes().filter((live) => live.runDir === runDir);
  }

  /** Stops the daemon, ends what is left, and removes the folder. Fails if something was left that no folder speaks of. */
  async close(): Promise<void> {
    const forgotten: Live[] = [];
    try {
      await this.end(this.daemon?.spawnargs[0] === 'unshare' ? 'SIGKILL' : 'SIGTERM'); // it hands on no other signal
      await waitUntil('nothing is left but what is running', () => this.strangers().length === 0).catch(() =>
        forgotten.push(...this.strangers()),
      );
    } finally {
      await waitUntil('all processes of the test have ended', () => {
        const all = this.processes();
        for (const live of all) signalProcess(live, 'SIGKILL');
        return all.length === 0;
      });
      await exited(spawn('rm', ['-rf', this.root], { stdio: 'ignore' }));
    }
    if (forgotten.length > 0) throw new Error(`left behind: ${JSON.stringify(forgotten)}\n${this.log}`);
    const bugs = this.log.split('\n').filter((line) => line.includes('"stack":'));
    if (bugs.length > 0) throw new Error(`the daemon met a bug of its own: ${bugs.slice(0, 3).join('\n')}`);
  }

  /** Processes that belong to no attempt whose claim stands. */
  private strangers(): Live[] {
    return this.processes().filter((live) => {
      const [, job, task] = /\/jobs\/([^/]+)\/runs\/(.+)\.\d+$/.exec(live.runDir ?? '') ?? [];
      if (job !== undefined && task !== undefined) return !isThere(this.at('jobs', job, 'running', `${task}.run`));
      return !(isLauncher(live.args) && this.hasClaims()); // a runner
    });
  }

  private hasClaims(): boolean {
    const jobs = existsSync(this.at('jobs')) ? readdirSync(this.at('jobs')) : [];
    return jobs.some((name) =>
      this.job(name)
        .names('running')
        .some((file) => file.endsWith('.run')),
    );
  }
}

/** Two tasks in a row, each of a job of its own, long enough for the daemon to have looked at everything again. */
export async function looksAgain(place: Place): Promise<void> {
  for (const id of ['one', 'two']) {
    const job = place.job(`probe-${Math.random().toString(36).slice(2)}`);
    await job.drop(id, { command: ['sleep', '0.4'] }).comesTo('succeeded', id);
  }
}

/** Has `run` use a place of its own, which is closed at its end, whatever that is. */
export async function withPlace(options: PlaceOptions, run: (place: Place) => Promise<void>): Promise<void> {
  const place = new Place(options);
  try {
    await run(place);
  } finally {
    await place.close();
  }
}

export type Task = Record<string, unknown>;

export class JobHands {
  readonly place: Place;
  readonly name: string;

  constructor(place: Place, name: string) {
    this.place = place;
    this.name = name;
  }

  path(...parts: string[]): string {
    return join(this.place.dir, 'jobs', this.name, ...parts);
  }

  /** `<folder>/<id>.json`. */
  file(folder: Folder, id: string): string {
    return this.path(folder, `${id}.json`);
  }

  /** Makes the folder, job.json and `files` beside it first, whole, so that no task starts without its settings or its pause. */
  make(settings: Task, files: Record<string, string> = {}): this {
    const draft = this.place.at('jobs', `.draft-${this.name}`);
    mkdirSync(join(draft, 'pending'), { recursive: true });
    writeFileSync(join(draft, 'job.json'), JSON.stringify(settings));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(draft, name), text);
    renameSync(draft, this.path());
    return this;
  }

  /** Drops in the careful way: a dot name, then the rename. */
  drop(id: string, task: Task | string): this {
    mkdirSync(this.path('pending'), { recursive: true });
    const draft = this.path('pending', `.draft-${id}`);
    writeFileSync(draft, typeof task === 'string' ? task : JSON.stringify(task));
    renameSync(draft, this.file('pending', id));
    return this;
  }

  /** Writes a file as `echo … >` does. */
  write(file: string, text: string | Uint8Array): this {
    mkdirSync(this.path('pending'), { recursive: true });
    writeFileSync(this.path(file), text);
    return this;
  }

  append(file: string, text: string): void {
    appendFileSync(this.path(file), text);
  }

  /** `mv from/x.json to/`. */
  move(id: string, from: Folder, to: Folder): void {
    renameSync(this.file(from, id), this.file(to, id));
  }

  names(folder: string): string[] {
    return existsSync(this.path(folder)) ? readdirSync(this.path(folder)).sort() : [];
  }

  /** The ids in a folder. */
  ids(folder: Folder): string[] {
    return this.names(folder).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []));
  }

  folderOf(id: string): Folder | undefined {
    return FOLDERS.find((folder) => isThere(this.file(folder, id)));
  }

  isIn(folder: Folder, id: string): boolean {
    return isThere(this.file(folder, id));
  }

  /** True while an attempt's claim stands. */
  isClaimed(id: string): boolean {
    return isThere(this.path('running', `${id}.run`));
  }

  runDir(id: string, attempt = 1): string {
    return this.path('runs', `${id}.${attempt}`);
  }

  result(id: string, attempt = 1): Result {
    return JSON.parse(readFileSync(join(this.runDir(id, attempt), 'result.json'), 'utf8')) as Result;
  }

  /** The results of all attempts, first one first. */
  results(id: string): Result[] {
    const attempts = this.names('runs').flatMap((name) => {
      const number = Number(name.slice(id.length + 1));
      return name.startsWith(`${id}.`) && Number.isInteger(number) ? [number] : [];
    });
    return attempts.sort((a, b) => a - b).flatMap((n) => (this.hasResult(id, n) ? [this.result(id, n)] : []));
  }

  hasResult(id: string, attempt = 1): boolean {
    return readText(join(this.runDir(id, attempt), 'result.json'))?.endsWith('\n') ?? false;
  }

  output(id: string, attempt = 1): string {
    return readText(join(this.runDir(id, attempt), 'output.log')) ?? '';
  }

  /** Why a drop was rejected; undefined if it was not. */
  rejection(name: string): string | undefined {
    return isThere(this.file('rejected', name)) ? readText(this.path('rejected', `${name}.error.txt`)) : undefined;
  }

  /** Waits until the task lies in a folder and no attempt of it is live. */
  async comesTo(folder: Folder, id: string, patience?: number): Promise<void> {
    await waitUntil(
      `${this.name}/${id} comes to ${folder}/`,
      () => this.isIn(folder, id) && (folder === 'running' || !this.isClaimed(id)),
      () => this.describe(id),
      patience,
    );
  }

  /** Waits until a drop is rejected, and gives the reason. */
  rejects(name: string, patience?: number): Promise<string> {
    return waitUntil(
      `${this.name}/${name} is rejected`,
      () => this.rejection(name),
      () => this.describe(name),
      patience,
    );
  }

  /** Waits until the command runs: its output says something, or has the text. */
  says(id: string, text: string, attempt = 1): Promise<string> {
    return waitUntil(
      `${this.name}/${id} says ${JSON.stringify(text)}`,
      () => (this.output(id, attempt).includes(text) ? this.output(id, attempt) : undefined),
      () => this.describe(id),
    );
  }

  describe(id: string): string {
    const results = this.names('runs')
      .filter((name) => name.startsWith(`${id}.`))
      .map((name) => `${name}: ${readText(this.path('runs', name, 'result.json')) ?? 'no result'}`);
    return [
      `in ${this.folderOf(id) ?? 'no folder'}${this.isClaimed(id) ? ', claimed' : ''}`,
      ...results,
      this.rejection(id) ?? readText(this.path('skipped', `${id}.reason.txt`)) ?? '',
      `all: ${FOLDERS.map((folder) => `${folder} ${this.names(folder).slice(0, 5).join(' ')}`).join('; ')}`,
      `daemon: ${this.place.log.slice(-2000)}`,
    ].join('\n');
  }
}

export interface Spoken {
  status: number | null;
  out: string;
  err: string;
}

/** Runs `spoold` with these arguments to its end. */
export async function speak(
  args: string[],
  options: { cwd?: string; env?: Record<string, string | undefined>; under?: string[] } = {},
): Promise<Spoken> {
  const argv = [...(options.under ?? []), process.execPath, bin, ...args];
  const child = spawn(argv[0] as string, argv.slice(1), {
    cwd: options.cwd,
    env: { ...cleanEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  await exited(child);
  return { status: child.exitCode, out, err };
}

/** Our environment without what would speak to spoold, or to a test runner. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SPOOLD_') && !name.startsWith('NODE_')),
  );
}

function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('close', () => resolve()));
}

/** Living processes, zombies left out, whose initial environment `matches`. */
function liveProcesses(matches: (environment: string[]) => boolean): Live[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const environment = readText(`/proc/${pid}/environ`)?.split('\0');
    if (environment === undefined || !matches(environment)) return [];
    const info = readProcess(pid);
    if (info === undefined || info.state === 'Z' || info.state === 'X') return [];
    const runDir = environment.find((entry) => entry.startsWith('SPOOLD_RUN_DIR='))?.slice('SPOOLD_RUN_DIR='.length);
    const args = (readText(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ');
    return [{ pid, startTicks: info.startTicks, args, runDir }];
  });
}

/** True if the very process still runs. */
export function lives({ pid, startTicks }: { pid: number; startTicks: number }): boolean {
  const info = readProcess(pid);
  return info?.startTicks === startTicks && info.state !== 'Z' && info.state !== 'X';
}

/** The text of a file; undefined if it cannot be read. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** True if anything has this name, a dangling link too. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
