// The scratch directory that `prove` works in: a state directory with its daemon, beside it the account that tasks keep,
// and the means to kill daemon, launcher and runners at any moment. Nothing outside of the folder is touched.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { errnoOf, SpooldError, unless } from '../errors.ts';
import {
  createExclusive,
  createFolder,
  ensureFolder,
  isThere,
  namesIn,
  publish,
  remove,
  removeTree,
  renameFolder,
} from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { isZombie, lookAtProcesses, readProcess, signalProcess } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { runName } from '../protocol/names.ts';
import { daemonOf } from '../store/daemon-record.ts';
import { claimedAttempt, readPidFile } from '../store/runs.ts';
import { jobNames } from '../store/snapshot.ts';
import { openStateDir } from '../store/state-dir.ts';
import { submitJob } from './submit.ts';
import { sizeOf, unfinishedIn } from './unfinished.ts';
import { type Accepted, WORK } from './prove-work.ts';
import type { JobFiles } from './workflow.ts';

export type Victim = 'daemon' | 'launcher' | 'runner';

interface Target {
  pid: number;
  startTicks: number;
  /** Of a runner: whose, as `JOB/TASK.ATTEMPT`. */
  attempt?: string;
}

/** In the environment of a daemon, and so of all that comes of it: the scratch directory. The tasks' script reads it too. */
const MARK = 'PROVE';

/** Milliseconds that a daemon may take to serve, or to end when asked to, on a busy machine and a slow disk. */
const SERVES_WITHIN_MS = 120_000;
const ENDS_WITHIN_MS = 60_000;

export class Ground {
  /** Holds the account, `live/` and the work's script. */
  readonly root: string;
  readonly layout: Layout;
  /** What a daemon is started by, before node, and with: for faults. */
  under: readonly string[] = [];
  env: Record<string, string> = {};
  /** Asked while something is waited for: true ends the waiting. */
  isOver: () => boolean = () => false;
  /** Attempts whose runners were killed, as `JOB/TASK.ATTEMPT`. */
  readonly cut = new Set<string>();
  /** What the daemons have said that went to standard error, the end of it. */
  said = '';
  private readonly script: string;
  private child: ChildProcess | undefined;

  /** `script`: the command line's own. `dir`: the state directory, if it is not to lie in `root`. Errors: PROVE_FOLDER. */
  constructor(on: string, script: string, dir?: string) {
    this.script = script;
    let root: string | undefined;
    try {
      root = realpathSync(mkdtempSync(join(on, 'spoold-prove-')));
      createFolder(join(root, 'live'));
      createExclusive(join(root, 'work.sh'), WORK);
      this.layout = openStateDir(dir ?? join(root, 'state'), { create: true });
      createExclusive(this.layout.config, 'max_parallel: 6\npoll_interval: 1s\nmin_free: {bytes: 0, inodes: 0}\n');
      this.root = root;
    } catch (error) {
      if (root !== undefined) removeTree(root);
      throw folderError(on, (error as Error).message.replace(/, mkdtemp .*/s, ''));
    }
  }

  get account(): string {
    return join(this.root, 'account');
  }

  get accountBytes(): number {
    return statSync(this.account, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Starts a daemon, if the last one is dead, and does not wait for it. */
  start(): void {
    if (this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null) return;
    const argv = [...this.under, process.execPath, this.script, 'start', '--foreground', '--dir', this.layout.root];
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SPOOLD_')));
    const child = spawn(argv[0] as string, argv.slice(1), {
      cwd: this.root,
      env: { ...env, ...this.env, [MARK]: this.root },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.said = (this.said + text).slice(-20_000)));
    this.child = child;
  }

  get daemon(): Target | undefined {
    const pid = this.child?.pid;
    return pid === undefined ? undefined : readProcess(pid);
  }

  /** Starts daemons until one serves, or it is over. Errors: PROVE_STUCK. */
  async serving(): Promise<void> {
    for (const deadline = monotonic() + SERVES_WITHIN_MS; !this.isOver(); await pause(10)) {
      this.start();
      const found = daemonOf(this.layout);
      if (found.kind === 'running' && found.record.serving && found.record.identity.pid === this.child?.pid) return;
      if (monotonic() < deadline) continue;
      this.tryDisk();
      throw this.stuck(`No daemon serves ${this.layout.root}: ${this.said.slice(-2000)}`);
    }
  }

  /** Kills one of them by SIGKILL, a daemon to be followed by another at once; false if there is none to be killed now. */
  kill(victim: Victim, random: () => number): boolean {
    const target = this.target(victim, random);
    if (target === undefined || !signalProcess(target, 'SIGKILL')) return false;
    if (target.attempt !== undefined) this.cut.add(target.attempt);
    if (victim === 'daemon') {
      this.child = undefined;
      this.start();
    }
    return true;
  }

  /** One of them that is there now. */
  target(victim: Victim, random: () => number): Target | undefined {
    const targets = victim === 'daemon' ? [this.daemon] : victim === 'launcher' ? [this.launcher()] : this.runners();
    return targets[Math.floor(random() * targets.length)];
  }

  private launcher(): Target | undefined {
    const daemon = this.daemon?.pid;
    for (const name of daemon === undefined ? [] : readdirSync('/proc')) {
      const info = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
      if (info?.ppid === daemon && /spoold-launcher|launcher\.sh/.test(commandLine(name))) return info;
    }
    return undefined;
  }

  /** Runners by their PID files. */
  private runners(): Target[] {
    return jobNames(this.layout).flatMap((name) => {
      const job = this.layout.job(name);
      return namesIn(job.folder('running')).flatMap((entry) => {
        const id = entry.endsWith('.run') ? entry.slice(0, -'.run'.length) : undefined;
        const attempt = id === undefined ? undefined : claimedAttempt(job, id);
        if (id === undefined || attempt === undefined) return [];
        const { runner } = readPidFile(job.run(id, attempt));
        return runner === undefined ? [] : { ...runner, attempt: `${name}/${runName(id, attempt)}` };
      });
    });
  }

  /** Queues tasks: as one job at once, one by one, or as an array. What this returns from has been accepted. */
  queue(name: string, files: JobFiles, how: 'job' | 'files' | 'array'): void {
    if (how === 'job') return void submitJob(this.layout, name, files);
    const job = this.layout.job(name);
    const one = how === 'array' ? [...files.tasks].map(([id, raw]) => ({ id, ...raw })) : [];
    submitJob(this.layout, name, { settings: files.settings, tasks: new Map() });
    if (how === 'array') publish(job.task('pending', 'all'), `${JSON.stringify(one)}\n`, { sync: true });
    else
      for (const [id, raw] of files.tasks) publish(job.task('pending', id), `${JSON.stringify(raw)}\n`, { sync: true });
  }

  /** How many of a job's tasks wait or run. */
  unfinished(name: string): number {
    return sizeOf(unfinishedIn(this.layout.job(name)));
  }

  /** Waits until all jobs are at rest, or it is over; gives those that did not come to it while nothing moved for a minute or more. */
  async rest(jobs: ReadonlyMap<string, readonly Accepted[]>, patience = 90_000): Promise<string[]> {
    let before = '';
    for (let since = monotonic(); ; await pause(20)) {
      this.start();
      const left = [...jobs.keys()].filter((name) => this.unfinished(name) > 0);
      if (left.length === 0 || this.isOver()) return [];
      const now = left
        .map((name) => `${name} ${this.unfinished(name)} ${namesIn(this.layout.job(name).runs).length}`)
        .join();
      if (now !== before) since = monotonic();
      before = now;
      if (monotonic() - since > patience) return left;
    }
  }

  /** Forgets what was judged. */
  clear(jobs: Iterable<string>): void {
    for (const name of jobs) {
      const gone = join(this.layout.archive, name); // the daemon writes to a job until it sees that it is gone
      ensureFolder(this.layout.archive);
      renameFolder(this.layout.job(name).root, gone);
      removeTree(gone);
      for (const live of namesIn(join(this.root, 'live')))
        if (live.startsWith(`${name}.`)) remove(join(this.root, 'live', live));
    }
    remove(this.account);
    this.cut.clear();
  }

  /** Stops the daemon as a user would; gives what is left of all that ran here, a sentence each. A daemon that stays is killed. */
  async stop(): Promise<string[]> {
    const { child } = this;
    const found: string[] = [];
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<true>((resolve) => child.once('close', () => resolve(true)));
      child.kill('SIGTERM');
      if (!(await Promise.race([ended, pause(ENDS_WITHIN_MS, false, { ref: false })]))) {
        found.push(`the daemon, process ${child.pid}, did not end within ${ENDS_WITHIN_MS / 1000} s of SIGTERM`);
        child.kill('SIGKILL');
      }
    }
    this.child = undefined;
    for (const deadline = monotonic() + 15_000; ; await pause(20)) {
      const left = this.processes();
      if (left.length > 0 && monotonic() < deadline) continue;
      return [...found, ...left.map(({ pid }) => `process ${pid} is left: ${commandLine(String(pid))}`)];
    }
  }

  /** Living processes of this directory: daemon, launchers, runners, commands and what these have started. */
  processes(): Target[] {
    const all = [...lookAtProcesses(MARK).byPid.values()];
    return all.filter((entry) => entry.value === this.root && !isZombie(entry));
  }

  /** Kills all of them, and what they have forked meanwhile, until none is left or they do not die. */
  killAll(): void {
    for (const deadline = monotonic() + 15_000; monotonic() < deadline; ) {
      const left = this.processes();
      if (left.length === 0) return;
      for (const target of left) signalProcess(target, 'SIGKILL');
    }
  }

  /** Ends all that is left and removes the folder. */
  remove(): void {
    this.killAll();
    if (isThere(this.root)) removeTree(this.root);
  }

  /** Whether the disk takes anything. Errors: what the system says. */
  tryDisk(): void {
    const path = join(this.root, 'room');
    createExclusive(path, 'x'.repeat(1 << 16));
    remove(path);
  }

  /** It goes no further, and why is to be seen there. */
  stuck(why: string): SpooldError {
    return new SpooldError('PROVE_STUCK', why, { hint: `What is left of it is kept in ${this.root}.`, exit: 1 });
  }

  /** It is not spoold that fails there. */
  unusable(why: string): SpooldError {
    return folderError(dirname(this.root), why);
  }

  /** An error of the system's, met in this directory, in words; any other as it is. */
  explain(error: unknown): unknown {
    return /^E[A-Z0-9]+$/.test(errnoOf(error) ?? '') ? this.unusable((error as Error).message) : error;
  }
}

function folderError(on: string, why: string): SpooldError {
  return new SpooldError('PROVE_FOLDER', `Nothing can be proved in ${on}: ${why}`, {
    path: on,
    hint: 'Name a folder that you may write to, with room, on the disk that you care about: --on FOLDER.',
  });
}

function commandLine(pid: string): string {
  const text = unless(['ENOENT', 'ESRCH', 'EACCES'], () => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  return (text ?? '').replaceAll('\0', ' ').trim();
}
