// Who a process is, whether it is still that one, and what else runs: all of it read from /proc.
//
// A PID alone names nobody, for it is used again. With its start time, the boot, the PID namespace and the host it
// names one process for ever. Nothing here signals on less than PID and start time.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { uptime } from './clock.ts';

/** The unit of start times and CPU times in /proc: USER_HZ, 100 on every Linux. */
export const TICKS_PER_SECOND = 100;

/** Names one process for ever. */
export interface ProcessIdentity {
  pid: number;
  /** Ticks after the host's start (field 22 of /proc/PID/stat). */
  startTicks: number;
  /** /proc/sys/kernel/random/boot_id. */
  boot: string;
  /** The inode number of the PID namespace. */
  pidns: string;
  host: string;
}

export interface ProcessInfo {
  pid: number;
  ppid: number;
  pgid: number;
  session: number;
  /** One letter: R, S, D, T (stopped), Z (zombie), … */
  state: string;
  startTicks: number;
  /** The name of the program, at most 15 bytes of it. */
  comm: string;
}

let here: Omit<ProcessIdentity, 'pid' | 'startTicks'> | undefined;

/** This boot, PID namespace and host: what an identity has in common with every other process beside us. */
function ownPlace(): Omit<ProcessIdentity, 'pid' | 'startTicks'> {
  here ??= {
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    pidns: readlinkSync('/proc/self/ns/pid').replace(/\D/g, ''),
    host: hostname().replace(/\s.*/s, '') || '-',
  };
  return here;
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  const self = readProcess(process.pid);
  if (self === undefined) throw new Error('/proc does not show this process');
  return { pid: self.pid, startTicks: self.startTicks, ...ownPlace() };
}

/** True if `id` was taken on this host since it was started, whatever its name was then: false is no proof of death where a disk is shared. */
export function isOfThisBoot(id: ProcessIdentity): boolean {
  return id.boot === ownPlace().boot;
}

/** True if `id` can be seen from here, if it lives: taken on this host since it was started, in this PID namespace. */
export function isOfThisPlace(id: ProcessIdentity): boolean {
  return isOfThisBoot(id) && id.pidns === ownPlace().pidns;
}

/**
 * `alive`: that very process is there, and no zombie. `dead`: it cannot be alive any more, for this host has
 * started again since, or here, in its own PID namespace, no such process is left. `unknown`: it is, or was, on another
 * host or in another PID namespace, of which nothing can be seen from here.
 */
export function livenessOf(id: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  const place = ownPlace();
  if (id.boot !== place.boot) return id.host === place.host ? 'dead' : 'unknown';
  if (id.pidns !== place.pidns) return 'unknown';
  return isAlive(id) ? 'alive' : 'dead';
}

function isAlive(id: { pid: number; startTicks: number }): boolean {
  const found = readProcess(id.pid);
  return found !== undefined && found.startTicks === id.startTicks && !isZombie(found);
}

/** True if the process has ended and only waits to be reaped. */
export function isZombie(info: ProcessInfo): boolean {
  return info.state === 'Z' || info.state === 'X';
}

/** True if that very process is stopped, by Ctrl-Z or SIGSTOP: it lives, and does nothing, not even end. */
export function isFrozen(id: ProcessIdentity): boolean {
  const found = isOfThisPlace(id) ? readProcess(id.pid) : undefined;
  return found?.startTicks === id.startTicks && found.state === 'T';
}

/** What /proc says of a process now; undefined if there is none. */
export function readProcess(pid: number): ProcessInfo | undefined {
  const stat = unless(['ENOENT', 'ESRCH', 'EACCES'], () => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat === undefined ? undefined : parseStat(stat);
}

/** The name is in parentheses and may itself hold spaces, parentheses and newlines: it ends at the last `)`. */
function parseStat(stat: string): ProcessInfo | undefined {
  const open = stat.indexOf('(');
  const close = stat.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const fields = stat.slice(close + 2).split(' ');
  return {
    pid: Number.parseInt(stat, 10),
    comm: stat.slice(open + 1, close),
    state: fields[0] ?? '',
    ppid: Number(fields[1]),
    pgid: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
  };
}

export interface ProcessEntry extends ProcessInfo {
  /** What the variable asked for was in the process's initial environment; absent if it was not there. */
  value?: string;
  /** Where standard output goes, only for a shell or starter without the variable, and for what has no environment: it may be on its way to another program. */
  stdout?: string;
}

/** All processes of our user at one moment (as far as one look through a moving /proc is one). */
export interface ProcessTable {
  byPid: Map<number, ProcessEntry>;
  /** When the look began, in ticks after the host's start. */
  takenAt: number;
}

/** Programs that stand between a runner and its command: what they are about to start shows in their output only. */
const STARTERS = /^(ba|da|a)?sh$|^busybox$|^spoold-launcher$|^setsid$|^env$|^(io)?nice$/;

/** One look through /proc: every process of our user, with the value of `variable` in its initial environment. */
export function lookAtProcesses(variable: string): ProcessTable {
  const uid = process.getuid?.();
  const byPid = new Map<number, ProcessEntry>();
  const takenAt = Math.floor(uptime() * TICKS_PER_SECOND);
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const entry = lookAtProcess(pid, uid, `${variable}=`);
    if (entry !== undefined) byPid.set(pid, entry);
  }
  return { byPid, takenAt };
}

/** True if the look was taken after this process's death: what it had forked is in it. Not if it was still alive then, nor if it may not have been there yet. */
export function wasDeadIn(table: ProcessTable, { pid, startTicks }: { pid: number; startTicks: number }): boolean {
  const entry = table.byPid.get(pid);
  const wasAlive = entry?.startTicks === startTicks && !isZombie(entry);
  return !wasAlive && table.takenAt > startTicks;
}

function lookAtProcess(pid: number, uid: number | undefined, prefix: string): ProcessEntry | undefined {
  const owner = ifReadable(() => statSync(`/proc/${pid}`).uid);
  if (owner === undefined || owner !== uid) return undefined;
  const entry: ProcessEntry | undefined = readProcess(pid);
  if (entry === undefined || isZombie(entry)) return entry;
  const environment = ifReadable(() => readFileSync(`/proc/${pid}/environ`));
  const value = environment === undefined ? undefined : valueIn(environment, prefix);
  if (value !== undefined) entry.value = value;
  else if (environment?.length === 0 || STARTERS.test(entry.comm)) {
    const stdout = ifReadable(() => readlinkSync(`/proc/${pid}/fd/1`));
    if (stdout !== undefined) entry.stdout = stdout;
  }
  return entry;
}

/** True if it writes its standard output or error there. */
export function writesTo(pid: number, path: string): boolean {
  return [1, 2].some((fd) => ifReadable(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) === path);
}

function valueIn(environment: Buffer, prefix: string): string | undefined {
  const start = environment.indexOf(prefix) === 0 ? 0 : environment.indexOf(`\0${prefix}`) + 1;
  if (start === 0 && environment.indexOf(prefix) !== 0) return undefined;
  const end = environment.indexOf(0, start);
  return environment.toString('utf8', start + prefix.length, end < 0 ? environment.length : end);
}

/**
 * False if under this path a process sees, by its own root and mounts, something else than we do: what it names so is in
 * another container. Of a path that is gone, the nearest folder above it is compared; where it sees nothing (a chroot),
 * it is taken to mean ours.
 */
export function seesTheSame(pid: number, path: string): boolean {
  for (let place = path; ; place = dirname(place)) {
    const ours = ifReadable(() => statSync(place, { bigint: true }));
    if (ours === undefined && place !== dirname(place)) continue;
    const theirs = ifReadable(() => statSync(`/proc/${pid}/root${place}`, { bigint: true }));
    return ours === undefined || theirs === undefined || (ours.ino === theirs.ino && ours.dev === theirs.dev);
  }
}

/** Of a process that may end at any moment, or turn out to be somebody else's. */
function ifReadable<T>(read: () => T): T | undefined {
  return unless(['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL', 'EIO', 'ELOOP'], read);
}

/** Signals that very process, its start time checked right before; false if it is gone or not ours to signal. */
export function signalProcess(id: { pid: number; startTicks: number }, signal: NodeJS.Signals): boolean {
  return readProcess(id.pid)?.startTicks === id.startTicks && send(id.pid, signal);
}

/** Signals the whole group that this process leads, its start time checked right before; false as above. */
export function signalGroup(leader: { pid: number; startTicks: number }, signal: NodeJS.Signals): boolean {
  return readProcess(leader.pid)?.startTicks === leader.startTicks && send(-leader.pid, signal);
}

function send(target: number, signal: NodeJS.Signals): boolean {
  if (Math.abs(target) <= 1) return false;
  try {
    return process.kill(target, signal);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ESRCH' || code === 'EPERM') return false;
    throw error;
  }
}

/** Which folder has this name, for as long as it is there: one that was removed and made again is another, also where its inode is used again. Undefined: none has. */
export function folderIdentity(path: string): string | undefined {
  const stat = unless('ENOTDIR', () => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stat && `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}
