// Loaded into the real daemon and command line (`node --import`), never shipped: numbers every change that they make to
// the state directory, writes each to a trace before it is made, and at a given number ends the process by SIGKILL in
// its place, or first everything else that runs there. Calls that do several things at once are done one by one.
import childProcess, { type SpawnSyncOptionsWithStringEncoding } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { getEnvironmentData, isMainThread, setEnvironmentData, threadId } from 'node:worker_threads';
import type { Op, PreloadOptions } from './trace.ts';
import { stateOf } from './tree.ts';

const KEY = 'crash points';
interface Shared {
  options: PreloadOptions;
  counter: Int32Array;
}

const shared = isMainThread ? begin() : (getEnvironmentData(KEY) as Shared | undefined);
if (shared !== undefined) patch(shared.options, shared.counter);

function begin(): Shared | undefined {
  const text = process.env['CRASH_POINTS'];
  // Nobody who inherits our environment is to be traced as well.
  delete process.env['CRASH_POINTS'];
  delete process.env['NODE_OPTIONS'];
  if (text === undefined) return undefined;
  const made = { options: JSON.parse(text) as PreloadOptions, counter: new Int32Array(new SharedArrayBuffer(4)) };
  setEnvironmentData(KEY, made);
  return made;
}

function patch(options: PreloadOptions, counter: Int32Array): void {
  const real = { ...fs };
  const trace = options.trace === undefined ? undefined : real.openSync(options.trace, 'a');
  const files = new Map<number, string>();
  const deferred = new Map<string, { path: string; data: Buffer }>();
  let inside = 0;
  if (options.clockShift !== undefined) shiftClock(options.clockShift);

  function isOurs(name: unknown): name is string | Buffer {
    const text = String(name);
    if (text !== options.root && !text.startsWith(`${options.root}/`)) return false;
    return !/^(events\.ndjson|daemon\.log)/.test(basename(text)); // telemetry: nothing is ever decided by it
  }

  function note(op: Op): void {
    if (trace === undefined) return;
    const line = { t: Number(process.hrtime.bigint()), pid: process.pid, thread: threadId, ...op };
    real.writeSync(trace, `${JSON.stringify(line)}\n`);
  }

  /** What is moved may have been put there by somebody who is not traced: its content goes with it. */
  function withContent(op: Op): Op {
    if (options.record !== true || op.path === undefined) return op;
    const stat = real.lstatSync(op.path, { throwIfNoEntry: false });
    return stat?.isFile() ? { ...op, data: real.readFileSync(op.path).toString('base64') } : op;
  }

  /** Before a change: its number, and the end if it is the one. */
  function point(op: Op): void {
    const n = Atomics.add(counter, 0, 1) + 1;
    const state = options.account === undefined ? {} : { state: stateOf(options.root, options.account) };
    note({ ...op, n, ...state, ...(n === options.at && { crash: true }) });
    if (n !== options.at || mayGoOn()) return;
    if (options.freeze) return freeze();
    if (options.all) endEverything(real, options.root);
    process.kill(process.pid, 'SIGKILL');
    for (;;); // a worker does not get further either
  }

  /** Waits for the gate, if there is one: nothing is done meanwhile. */
  function mayGoOn(): boolean {
    if (options.gate === undefined) return false;
    while (!real.existsSync(options.gate)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    return real.readFileSync(options.gate, 'utf8') === 'go on';
  }

  /** Until it is woken; then, by its clock, an hour has passed. */
  function freeze(): void {
    process.kill(process.pid, 'SIGSTOP');
    shiftClock(3_600_000);
  }

  /** A change by a name. What it calls itself is part of it; what will fail is no change. */
  function change<R>(op: Op, action: () => R): R {
    if (inside > 0 || isFutile(op)) return action();
    point(op);
    inside += 1;
    try {
      return action();
    } catch (error) {
      note({ op: 'failed', code: (error as NodeJS.ErrnoException).code ?? '' });
      throw error;
    } finally {
      inside -= 1;
    }
  }

  const isThere = (what = ''): boolean => real.lstatSync(what, { throwIfNoEntry: false }) !== undefined;
  function isFutile({ op, path: name, to }: Op): boolean {
    if (op === 'mkdir' || op === 'symlink') return isThere(name);
    if (op === 'link') return isThere(to) || !isThere(name);
    return (op === 'unlink' || op === 'rmdir' || op === 'rename') && !isThere(name);
  }

  const patched = fs as unknown as Record<string, unknown>;

  patched['openSync'] = (file: fs.PathLike, flags?: fs.OpenMode, mode?: fs.Mode): number => {
    if (!isOurs(file)) return real.openSync(file, flags ?? 'r', mode);
    const name = path(file);
    const open = () => real.openSync(file, flags ?? 'r', mode);
    const { creates, truncates } = meaningOf(flags);
    const stat = creates || truncates ? real.lstatSync(name, { throwIfNoEntry: false }) : undefined;
    const op = creates && stat === undefined ? 'create' : truncates && stat?.isFile() ? 'truncate' : undefined;
    const fd = op === undefined ? open() : change({ op, path: name }, open);
    files.set(fd, name);
    return fd;
  };
  patched['closeSync'] = (fd: number): void => {
    files.delete(fd);
    real.closeSync(fd);
  };
  patched['writeSync'] = (fd: number, data: string | Uint8Array, ...rest: never[]): number => {
    const name = files.get(fd);
    if (name === undefined) return real.writeSync(fd, data as string, ...rest);
    const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data);
    return change({ op: 'write', path: name, data: bytes.toString('base64') }, () =>
      real.writeSync(fd, data as string, ...rest),
    );
  };
  patched['fsyncSync'] = (fd: number): void => {
    real.fsyncSync(fd);
    const name = files.get(fd);
    if (name !== undefined) note({ op: 'fsync', path: name });
  };
  patched['fsync'] = (fd: number, done: fs.NoParamCallback): void => {
    const name = files.get(fd);
    real.fsync(fd, (error) => {
      if (error === null && name !== undefined) note({ op: 'fsync', path: name });
      done(error);
    });
  };
  patched['renameSync'] = (from: fs.PathLike, to: fs.PathLike): void => {
    const move = () => real.renameSync(from, to);
    if (isOurs(from) || isOurs(to)) change(withContent({ op: 'rename', path: path(from), to: path(to) }), move);
    else move();
  };
  patched['linkSync'] = (from: fs.PathLike, to: fs.PathLike): void => {
    if (!isOurs(to)) return real.linkSync(from, to);
    if (options.sabotage === 'unlink before link' && basename(dirname(path(from))) === 'running') {
      deferred.set(path(from), { path: path(to), data: real.readFileSync(from) });
      return change({ op: 'unlink', path: path(from) }, () => real.unlinkSync(from));
    }
    change(withContent({ op: 'link', path: path(from), to: path(to) }), () => real.linkSync(from, to));
  };
  patched['symlinkSync'] = (target: fs.PathLike, name: fs.PathLike): void => {
    if (!isOurs(name)) return real.symlinkSync(target, name);
    if (options.sabotage === 'no claim') return undefined;
    change({ op: 'symlink', path: path(name), to: String(target) }, () => real.symlinkSync(target, name));
  };
  patched['unlinkSync'] = (name: fs.PathLike): void => {
    if (!isOurs(name)) return real.unlinkSync(name);
    const late = deferred.get(path(name));
    if (late !== undefined) {
      deferred.delete(path(name));
      return change({ op: 'create', path: late.path }, () => real.writeFileSync(late.path, late.data));
    }
    change({ op: 'unlink', path: path(name) }, () => real.unlinkSync(name));
  };
  patched['mkdirSync'] = (name: fs.PathLike, how?: fs.MakeDirectoryOptions | fs.Mode): string | undefined => {
    if (!isOurs(name)) return real.mkdirSync(name, how as fs.MakeDirectoryOptions & { recursive: true });
    const { recursive, ...rest } =
      typeof how === 'object' && how !== null ? how : { recursive: false, mode: how as number };
    const missing: string[] = [];
    if (recursive) for (let at = path(name); !real.existsSync(at); at = dirname(at)) missing.unshift(at);
    if (!recursive) missing.push(path(name));
    for (const folder of missing) {
      try {
        change({ op: 'mkdir', path: folder }, () => real.mkdirSync(folder, rest.mode === undefined ? {} : rest));
      } catch (error) {
        if (!recursive || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // somebody else was faster
      }
    }
    return recursive ? missing[0] : undefined;
  };
  patched['rmdirSync'] = (name: fs.PathLike): void => {
    if (!isOurs(name)) return real.rmdirSync(name);
    change({ op: 'rmdir', path: path(name) }, () => real.rmdirSync(name));
  };
  patched['rmSync'] = (name: fs.PathLike, how?: fs.RmOptions): void => {
    if (!isOurs(name) || !how?.recursive) return real.rmSync(name, how);
    removeTree(path(name));
  };
  function removeTree(name: string): void {
    const stat = real.lstatSync(name, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (!stat.isDirectory()) return change({ op: 'unlink', path: name }, () => real.rmSync(name, { force: true })); // as rmSync has it: its writer may be faster
    for (const entry of real.readdirSync(name)) removeTree(join(name, entry));
    change({ op: 'rmdir', path: name }, () => real.rmdirSync(name));
  }
  patched['chmodSync'] = (name: fs.PathLike, mode: fs.Mode): void => {
    if (!isOurs(name)) return real.chmodSync(name, mode);
    change({ op: 'chmod', path: path(name) }, () => real.chmodSync(name, mode));
  };
  patched['lutimesSync'] = (name: fs.PathLike, read: fs.TimeLike, changed: fs.TimeLike): void => {
    if (!isOurs(name)) return real.lutimesSync(name, read, changed);
    change({ op: 'touch', path: path(name) }, () => real.lutimesSync(name, read, changed));
  };
  // Launchers are tried from the best to the plainest: what is not to be used is not to be found.
  const hidden = { native: /^$/, bash: /\/spoold-launcher$/, posix: /\/(spoold-launcher|bash)$/ }[
    options.launcher ?? 'native'
  ];
  patched['accessSync'] = (name: fs.PathLike, mode?: number): void => {
    if (hidden.test(String(name))) throw Object.assign(new Error(`ENOENT: ${String(name)}`), { code: 'ENOENT' });
    real.accessSync(name, mode);
  };
  // Of the calls that do not wait, only the lock makes any; their answers come later, but the change begins here.
  for (const name of ['mkdir', 'rmdir'] as const) {
    const call = real[name] as (...args: unknown[]) => void;
    patched[name] = (file: fs.PathLike, ...rest: unknown[]): void => {
      if (isOurs(file)) point({ op: name, path: path(file) });
      call(file, ...rest);
    };
  }
  patchProcesses({ note, change, isOurs: (file) => isOurs(file), withContent, root: options.root }, real);
  syncBuiltinESMExports();
}

/** What is done by another program on our behalf: `mv` and `sync -f`, and the launcher's syncs. */
interface Tools {
  note: (op: Op) => void;
  change: <R>(op: Op, action: () => R) => R;
  isOurs: (path: unknown) => boolean;
  withContent: (op: Op) => Op;
  root: string;
}

function patchProcesses({ note, change, isOurs, withContent, root }: Tools, real: typeof fs): void {
  const patched = childProcess as unknown as Record<string, unknown>;
  const { execFileSync, spawn, spawnSync } = childProcess;
  let syncs = 0;
  patched['execFileSync'] = (file: string, args: string[], options: object): unknown => {
    if (file !== 'sync') return execFileSync(file, args, options);
    const token = `${process.pid}-${++syncs}`;
    note({ op: 'sync-begin', token });
    const said = execFileSync(file, args, options);
    note({ op: 'sync-end', token });
    return said;
  };
  patched['spawnSync'] = (file: string, args: string[], options: SpawnSyncOptionsWithStringEncoding): unknown => {
    const run = (...these: string[]) => spawnSync(file, these, options);
    const [flags = '', target = ''] = args;
    const names = args.slice(args.indexOf('--') + 1);
    if (file !== 'mv' || !names.some(isOurs)) return run(...args);
    if (flags === '-nvT') {
      const [from = '', to = ''] = names;
      return change(withContent({ op: 'rename', path: from, to }), () => {
        const ended = run(...args);
        if (ended.stdout.length === 0) note({ op: 'failed', code: 'EEXIST' });
        return ended;
      });
    }
    if (flags !== '-nvt') throw new Error(`a mv that is not known here: ${args.join(' ')}`);
    // One process moves many: here one each, so that a crash may come between any two.
    const all = names.map((from) => {
      const to = join(target, basename(from));
      const move = () => run('-nvt', target, '--', from);
      return real.existsSync(to) ? move() : change(withContent({ op: 'rename', path: from, to }), move);
    });
    return {
      status: Math.max(0, ...all.map(({ status }) => status ?? 1)),
      error: all.find(({ error }) => error !== undefined)?.error,
      stdout: all.map(({ stdout }) => stdout).join(''),
      stderr: all.map(({ stderr }) => stderr).join(''),
    };
  };
  patched['spawn'] = (...args: Parameters<typeof spawn>): ReturnType<typeof spawn> => {
    const child = spawn(...args);
    const { stdin, stdout } = child;
    if (stdin === null || stdout === null) return child;
    const write = stdin.write.bind(stdin) as (...rest: unknown[]) => boolean;
    const generation = child.pid;
    stdin.write = ((text: unknown, ...rest: unknown[]): boolean => {
      for (const [, order, what] of String(text).matchAll(/^(sync|run) (\S+)/gm)) {
        if (order === 'sync') note({ op: 'sync-begin', token: `${generation}-${what}` });
        else note({ op: 'hand-over', path: join(root, what ?? '') });
      }
      return write(text, ...rest);
    }) as typeof stdin.write;
    stdout.prependListener('data', (text: unknown) => {
      for (const [, answer, what] of String(text).matchAll(/^(synced|done) (\S+)/gm)) {
        if (answer === 'synced') note({ op: 'sync-end', token: `${generation}-${what}` });
        else note({ op: 'done', path: join(root, what ?? '') });
      }
    });
    return child;
  };
}

/** Stops all that carries the mark of this place, until nothing new is found, and only then ends it: nothing outlives another by a step. */
function endEverything(real: typeof fs, root: string): void {
  const mark = `TEST_PLACE=${dirname(root)}`;
  const stopped = new Set<number>();
  for (let before = -1; stopped.size > before; ) {
    before = stopped.size;
    for (const name of real.readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid || stopped.has(pid)) continue;
      try {
        if (!real.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark)) continue;
        process.kill(pid, 'SIGSTOP');
        stopped.add(pid);
      } catch {} // gone, or not ours to see
    }
  }
  for (const pid of stopped) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {} // gone
  }
}

/** What opening a file so does to it. */
function meaningOf(flags: fs.OpenMode | undefined): { creates: boolean; truncates: boolean } {
  if (typeof flags === 'number') {
    const { O_CREAT, O_TRUNC } = fs.constants;
    return { creates: (flags & O_CREAT) !== 0, truncates: (flags & O_TRUNC) !== 0 };
  }
  const creates = /[wa]/.test(flags ?? 'r');
  return { creates, truncates: creates && (flags ?? '').startsWith('w') };
}

function path(value: unknown): string {
  return resolve(String(value));
}

function shiftClock(ms: number): void {
  const now = Date.now.bind(Date);
  Date.now = () => now() + ms;
}
