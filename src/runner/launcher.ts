// Starts the launcher and speaks with it: one line per order, one line per answer.
//
// The daemon forks once, here. The launcher is in a session of its own and learns of the daemon's end, however it
// comes, by the end of its input: then it goes, and its runners stay until their commands have ended.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, SpooldError, unless } from '../errors.ts';
import { monotonic } from '../host/clock.ts';
import { ownIdentity } from '../host/identity.ts';

/** launcher.c, where it could be compiled; or launcher.sh, by bash's job control or by `setsid` in whatever `sh` is. */
export type LauncherKind = 'native' | 'bash' | 'posix';

/** What a runner tells of an attempt that has its last word: all that a look at its files would find. */
export interface Told {
  /** 0 to 255; 128 + n for death by signal n. */
  status: number;
  /** CPU time of the command and what it waited for, in clock ticks. */
  cpuTicks: number;
  /** Most memory that one process of it had, in bytes. */
  maxRss: number;
  /** Milliseconds since 1970. */
  startedAt: number;
  finishedAt: number;
  outputBytes: number;
  /** Its drop folder was empty, and is gone. */
  isClosed: boolean;
  /** Of the run directory: another may have its name by now. */
  inode: string;
}

export interface LauncherEvents {
  /** The runner of this run directory has ended, with or without having run anything. A shell leaves the rest to a look. */
  onDone(dir: string, told: Told | undefined): void;
  /**
   * The launcher has ended; nothing more can be handed over. Its runners go on, and may still be heard of. `isUnfit`: by
   * itself, soon, and before it answered anything, so that one of its kind does not work here (libraries of another system, as it
   * may be in a container).
   */
  onExit(reason: string, isUnfit: boolean): void;
}

export interface LauncherOptions extends LauncherEvents {
  /** The state directory. */
  dir: string;
  /** Of the files that runners make. */
  umask: number;
  /** The first that there is, in the order of the type, unless told. */
  kind?: LauncherKind;
  /** Kinds that are passed over. */
  unfit?: readonly LauncherKind[];
  /** What commands inherit, after `launcherEnvironment`; process.env unless told. */
  env?: NodeJS.ProcessEnv;
}

export interface Launcher {
  readonly kind: LauncherKind;
  readonly pid: number;
  /** Has a runner started for this run directory (relative to the state directory). */
  handOver(dir: string): void;
  /** Syncs the file system of the state directory; rejects if something could not be written, or the launcher ends before it is done. */
  sync(): Promise<void>;
  /** Lets the launcher go. Runners stay, and no longer keep this process. */
  end(): void;
}

/** Starts a launcher; throws LAUNCHER_MISSING if there is none that can be started. */
export function startLauncher(options: LauncherOptions): Launcher {
  const env = launcherEnvironment(options.env ?? process.env);
  const kinds: LauncherKind[] = options.kind === undefined ? ['native', 'bash', 'posix'] : [options.kind];
  for (const kind of kinds) {
    if (options.unfit?.includes(kind)) continue;
    const [program, ...first] = programOf(kind, env['PATH']);
    const child =
      program === undefined ? undefined : tryToStart(program, [...first, ...aboutUs(options)], options, env);
    if (child?.pid !== undefined) return new Speaker(kind, child.pid, child, options);
  }
  throw new SpooldError('LAUNCHER_MISSING', 'no shell can be started to run tasks', {
    hint: 'Put bash or a POSIX sh with setsid on the PATH of the daemon.',
    exit: 125,
  });
}

/** Program and first arguments of a kind; empty where it is missing. */
function programOf(kind: LauncherKind, path: string | undefined): string[] {
  if (kind === 'native') return [NATIVE].filter(isExecutable);
  const shell = kind === 'bash' ? findBash(path) : (findProgram('sh', path) ?? '/bin/sh');
  if (shell === undefined || (kind === 'posix' && findProgram('setsid', path) === undefined)) return [];
  // -p: what the environment says to bash itself (functions, BASH_ENV) is for commands, not for the launcher.
  return [shell, ...(kind === 'bash' ? ['-p'] : []), SCRIPT, kind];
}

const NATIVE = fileURLToPath(new URL('./spoold-launcher', import.meta.url));
const SCRIPT = fileURLToPath(new URL('./launcher.sh', import.meta.url));

function aboutUs(options: LauncherOptions): string[] {
  const { boot, pidns, host } = ownIdentity();
  return [options.umask.toString(8).padStart(3, '0'), boot, pidns, host];
}

function tryToStart(
  program: string,
  args: string[],
  options: LauncherOptions,
  env: NodeJS.ProcessEnv,
): ChildProcess | undefined {
  try {
    const child = spawn(program, args, { cwd: options.dir, detached: true, env, stdio: ['pipe', 'pipe', 'ignore'] });
    child.on('error', () => {}); // it has no PID, or its end is told by 'exit'
    return child;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined; // some failures are thrown: no memory for a fork, a program that is just being written
  }
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** Whatever ends later, in ms, worked until then: a shell ends where no process is to be had. */
const UNFIT_WITHIN_MS = 10_000;

class Speaker implements Launcher {
  readonly kind: LauncherKind;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #events: LauncherEvents;
  readonly #dir: string;
  readonly #syncs = new Map<string, Waiter>();
  #tokens = 0;
  #rest = '';
  #hasAnswered = false;
  #ended: string | undefined;

  constructor(kind: LauncherKind, pid: number, child: ChildProcess, options: LauncherOptions) {
    this.kind = kind;
    this.pid = pid;
    this.#child = child;
    this.#events = options;
    this.#dir = options.dir;
    const soon = monotonic() + UNFIT_WITHIN_MS;
    child.stdin?.on('error', () => {}); // its end is told by 'exit'
    child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#hear(text));
    child.stdout?.on('error', () => {});
    child.on('exit', (code, signal) =>
      this.#exit(signal ?? `exit status ${code}`, signal === null && !this.#hasAnswered && monotonic() < soon),
    );
  }

  handOver(dir: string): void {
    this.#order(`run ${dir} ${this.#inodeOf(dir)}\n`);
  }

  /** For line 1 of `pid`. The native launcher looks itself. */
  #inodeOf(dir: string): bigint | string {
    if (this.kind === 'native') return '-';
    return unless('ENOENT', () => statSync(join(this.#dir, dir), { bigint: true }).ino) ?? '-';
  }

  sync(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(gone(this.#ended));
    const token = String(++this.#tokens);
    return new Promise((resolve, reject) => {
      this.#syncs.set(token, { resolve, reject });
      this.#order(`sync ${token}\n`);
    });
  }

  end(): void {
    this.#child.stdin?.end();
    this.#child.unref();
    (this.#child.stdout as { unref?(): void } | null)?.unref?.();
  }

  #order(lines: string): void {
    if (this.#child.stdin?.writable) this.#child.stdin.write(lines);
  }

  #hear(text: string): void {
    this.#hasAnswered = true;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [word, argument = '', ...facts] = line.split(' ');
      if (word === 'done') this.#events.onDone(argument, toldBy(facts));
      if (word === 'synced') this.#take(argument)?.resolve();
      if (word === 'unsynced') this.#take(argument)?.reject(unwritten());
    }
  }

  #take(token: string): Waiter | undefined {
    const waiter = this.#syncs.get(token);
    this.#syncs.delete(token);
    return waiter;
  }

  #exit(reason: string, isUnfit: boolean): void {
    this.#ended = reason;
    for (const waiter of this.#syncs.values()) waiter.reject(gone(reason));
    this.#syncs.clear();
    this.#events.onExit(reason, isUnfit);
  }
}

function toldBy(facts: readonly string[]): Told | undefined {
  const [status, cpuTicks, maxRss, startedAt, finishedAt, outputBytes, closed] = facts.map(Number);
  if (status === undefined || cpuTicks === undefined || maxRss === undefined) return undefined;
  if (startedAt === undefined || finishedAt === undefined || outputBytes === undefined) return undefined;
  const inode = facts[7] ?? '';
  return { status, cpuTicks, maxRss: maxRss * 1024, startedAt, finishedAt, outputBytes, isClosed: closed === 1, inode };
}

function unwritten(): SpooldError {
  return new SpooldError('SYNC_FAILED', 'the disk could not take all that was written', {
    hint: 'The log of the kernel (dmesg) says more; is the disk full?',
    exit: 1,
  });
}

function gone(reason: string): SpooldError {
  return new SpooldError('LAUNCHER_GONE', `the launcher has ended (${reason})`, {
    hint: 'The daemon starts another one; running commands are not affected.',
    exit: 1,
  });
}

/** bash 5 or later on `path`: an older one cannot wait for a command that somebody stops for a while. */
function findBash(path: string | undefined): string | undefined {
  const bash = findProgram('bash', path);
  if (bash === undefined) return undefined;
  const { stdout } = spawnSync(bash, ['--version'], { encoding: 'utf8', env: {}, stdio: ['ignore', 'pipe', 'ignore'] });
  return Number(/version (\d+)\./.exec(stdout ?? '')?.[1]) >= 5 ? bash : undefined;
}

function findProgram(name: string, path: string | undefined): string | undefined {
  const folders = (path ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  return (
    unless(['ENOENT', 'EACCES', 'ENOTDIR', 'ELOOP'], () => accessSync(file, constants.X_OK) === undefined) ?? false
  );
}

/** What speaks to a shell about itself and would change what the launcher or `run` do, or is this process's own. */
const NOT_INHERITED = new Set([
  ...['SPOOLD_DIR', 'SPOOLD_JOB', 'SPOOLD_TASK', 'SPOOLD_ATTEMPT', 'SPOOLD_RUN_DIR', 'SPOOLD_PENDING'],
  ...['BASH_ENV', 'ENV', 'SHELLOPTS', 'BASHOPTS', 'BASH_COMPAT', 'BASH_XTRACEFD', 'POSIXLY_CORRECT', 'FUNCNEST'],
  ...['CDPATH', 'GLOBIGNORE', 'EXECIGNORE', 'IFS', 'OPTIND', 'TMOUT', 'CHILD_MAX', 'OLDPWD', '_'],
]);

/** The environment that commands inherit: `env` without what this attempt's own script sets or a shell would act on. */
export function launcherEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const inherited = Object.entries(env).filter(([name, value]) => value !== undefined && !NOT_INHERITED.has(name));
  return Object.fromEntries(inherited) as Record<string, string>;
}
