// A state directory with attempts in it, and a launcher that serves it: what the tests of this folder stand on.
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SpooldError, unless } from '../../src/errors.ts';
import { type LastWord, type RunnerLine, parsePidFile } from '../../src/protocol/pid-file.ts';
import { type Launcher, type LauncherKind, type Told, startLauncher } from '../../src/runner/launcher.ts';
import { type ScriptSpec, renderScript } from '../../src/runner/script.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** The absolute path of one of fixtures/programs, seen from build/test/runner. */
export function program(name: string): string {
  return fileURLToPath(new URL(`../../../fixtures/programs/${name}`, import.meta.url));
}

export class Attempt {
  /** Relative to the state directory, as it is handed over. */
  readonly dir: string;
  readonly runDir: string;

  constructor(stateDir: string, number: number, argv: readonly string[], spec: Partial<ScriptSpec>) {
    this.dir = `jobs/demo/runs/x.${number}`;
    this.runDir = join(stateDir, this.dir);
    mkdirSync(join(this.runDir, 'pending'), { recursive: true });
    const base = { job: 'demo', task: 'x', attempt: number, stateDir, runDir: this.runDir, boot: 'this-boot', argv };
    const text = renderScript({ ...base, cwd: '/', setEnv: {}, unsetEnv: [], ...spec });
    writeFileSync(this.path('run'), text);
  }

  path(name: string): string {
    return join(this.runDir, name);
  }

  read(name: string): string {
    return unless('ENOENT', () => readFileSync(this.path(name), 'utf8')) ?? '';
  }

  get log(): string {
    return this.read('output.log');
  }

  get runner(): RunnerLine | undefined {
    return parsePidFile(this.read('pid')).runner;
  }

  get lastWord(): LastWord | undefined {
    return parsePidFile(this.read('pid')).lastWord;
  }

  /** The exit status in the last word, once it is there. */
  async status(): Promise<number> {
    const look = () => this.lastWord;
    return (await waitUntil(`a last word in ${this.path('pid')}`, look, () => [this.read('pid'), this.log])).status;
  }

  /** What the command has written, once it ends in a newline. */
  async line(): Promise<string> {
    const look = () => (this.log.endsWith('\n') ? this.log.trim() : undefined);
    return await waitUntil(`a line in ${this.path('output.log')}`, look, () => [this.read('pid'), this.log]);
  }
}

/** A state directory of its own, served by one launcher. */
export class Served {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'spoold-runner-')));
  readonly launcher: Launcher;
  readonly done: string[] = [];
  /** What runners told of their attempts, by run directory. */
  readonly told = new Map<string, Told>();
  /** Called when attempts have ended, with their number. */
  refill: (ended: number) => void = () => {};
  exit: string | undefined;
  #attempts = 0;

  /** `kind`: the best there is, unless told. */
  constructor(kind?: LauncherKind, env: NodeJS.ProcessEnv = process.env) {
    this.launcher = startLauncher({
      dir: this.dir,
      umask: 0o077,
      ...(kind && { kind }),
      env,
      onDone: (dir, told) => {
        this.done.push(dir);
        if (told !== undefined) this.told.set(dir, told);
        this.refill(1);
      },
      onExit: (reason) => {
        this.exit = reason;
      },
    });
  }

  prepare(argv: readonly string[], spec: Partial<ScriptSpec> = {}): Attempt {
    return new Attempt(this.dir, ++this.#attempts, argv, spec);
  }

  handOver(...attempts: Attempt[]): void {
    for (const { dir } of attempts) this.launcher.handOver(dir);
  }

  start(argv: readonly string[], spec: Partial<ScriptSpec> = {}): Attempt {
    const attempt = this.prepare(argv, spec);
    this.handOver(attempt);
    return attempt;
  }

  async untilDone(attempt: Attempt): Promise<void> {
    const look = () => this.done.includes(attempt.dir);
    await waitUntil(`done ${attempt.dir}`, look, () => this.done);
  }

  async untilExit(): Promise<string> {
    return await waitUntil('the exit of the launcher', () => this.exit);
  }

  end(): void {
    this.launcher.end();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const ALL_KINDS: readonly LauncherKind[] = ['native', 'bash', 'posix'];

/** Those that this machine has: the native one needs a C compiler, the second bash 5. */
export const KINDS = ALL_KINDS.filter((kind) => {
  try {
    startLauncher({ dir: tmpdir(), umask: 0o077, kind, onDone: () => {}, onExit: () => {} }).end();
    return true;
  } catch (error) {
    if (error instanceof SpooldError && error.code === 'LAUNCHER_MISSING') return false;
    throw error;
  }
});

export const MISSING_KINDS = ALL_KINDS.filter((kind) => !KINDS.includes(kind));
