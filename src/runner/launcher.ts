// Starts the launcher and speaks with it: one line per order, one line per answer.
//
// The daemon forks once, here. The launcher is in a session of its own and learns of the daemon's end, however it
// comes, by the end of its input: then it goes, and its runners stay until their commands have ended.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SpooldError, unless } from '../errors.ts';
import { ownIdentity } from '../host/identity.ts';

/** The dialect of launcher.sh: by bash's job control, or by `setsid` in whatever `sh` is. */
export type LauncherKind = 'bash' | 'posix';

export interface Handover {
  /** The attempt's run directory, relative to the state directory. */
  dir: string;
  inode: bigint | number;
}

export interface LauncherEvents {
  /** The runners of these run directories have ended, with or without having run anything. */
  onDone(dirs: string[]): void;
  /** The launcher has ended; nothing more can be handed over. Its runners go on, and may still be heard of. */
  onExit(reason: string): void;
}

export interface LauncherOptions extends LauncherEvents {
  /** The state directory. */
  dir: string;
  /** Of the files that runners make. */
  umask: number;
  /** bash if it is there and recent enough, unless told. */
  kind?: LauncherKind;
  /** What commands inherit, after `launcherEnvironment`; process.env unless told. */
  env?: NodeJS.ProcessEnv;
}

export interface Launcher {
  readonly kind: LauncherKind;
  readonly pid: number;
  /** Has a runner started for each, in this order, by one write. */
  handOver(runs: readonly Handover[]): void;
  /** Syncs the file system of the state directory; rejects if the launcher ends before it is done. */
  sync(): Promise<void>;
  /** Lets the launcher go. Runners stay, and no longer keep this process. */
  end(): void;
}

/** Starts a launcher; throws LAUNCHER_MISSING if no shell can be started. */
export function startLauncher(options: LauncherOptions): Launcher {
  const env = launcherEnvironment(options.env ?? process.env);
  const bash = options.kind === 'posix' ? undefined : findBash(env['PATH']);
  const kind = options.kind ?? (bash === undefined ? 'posix' : 'bash');
  const shell = kind === 'bash' ? (bash ?? 'bash') : (findProgram('sh', env['PATH']) ?? '/bin/sh');
  const { boot, pidns, host } = ownIdentity();
  const umask = options.umask.toString(8).padStart(3, '0');
  const script = fileURLToPath(new URL('./launcher.sh', import.meta.url));
  // -p: what the environment says to bash itself (functions, BASH_ENV) is for commands, not for the launcher.
  const args = [...(kind === 'bash' ? ['-p'] : []), script, kind, umask, boot, pidns, host];
  const child = spawn(shell, args, { cwd: options.dir, detached: true, env, stdio: ['pipe', 'pipe', 'ignore'] });
  if (child.pid === undefined) {
    child.on('error', () => {});
    throw new SpooldError('LAUNCHER_MISSING', `${shell} cannot be started`, {
      path: shell,
      hint: 'Put bash or a POSIX sh with setsid on the PATH of the daemon.',
      exit: 125,
    });
  }
  return new ShellLauncher(kind, child.pid, child, options);
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

class ShellLauncher implements Launcher {
  readonly kind: LauncherKind;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #events: LauncherEvents;
  readonly #syncs = new Map<string, Waiter>();
  #tokens = 0;
  #rest = '';
  #ended: string | undefined;

  constructor(kind: LauncherKind, pid: number, child: ChildProcess, events: LauncherEvents) {
    this.kind = kind;
    this.pid = pid;
    this.#child = child;
    this.#events = events;
    child.stdin?.on('error', () => {}); // its end is told by 'exit'
    child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#hear(text));
    child.stdout?.on('error', () => {});
    child.on('error', () => {});
    child.on('exit', (code, signal) => this.#exit(signal ?? `exit status ${code}`));
  }

  handOver(runs: readonly Handover[]): void {
    if (runs.length > 0) this.#order(runs.map((run) => `run ${run.dir} ${run.inode}\n`).join(''));
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
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    const done: string[] = [];
    for (const line of lines) {
      const [word, argument = ''] = line.split(' ');
      if (word === 'done') done.push(argument);
      if (word === 'synced') this.#synced(argument);
    }
    if (done.length > 0) this.#events.onDone(done);
  }

  #synced(token: string): void {
    this.#syncs.get(token)?.resolve();
    this.#syncs.delete(token);
  }

  #exit(reason: string): void {
    this.#ended = reason;
    for (const waiter of this.#syncs.values()) waiter.reject(gone(reason));
    this.#syncs.clear();
    this.#events.onExit(reason);
  }
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
