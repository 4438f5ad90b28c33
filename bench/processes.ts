// What /proc says of processes: their time on a core, their memory, and which of them belong to a place of the bench.
import { readdirSync, readFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it has ended
  }
}

/** False once it has ended, a zombie too. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

const MS_PER_TICK = 10; // USER_HZ is 100 on every architecture that Node runs on

/** CPU time of a process so far, in ms, of threads that have ended too; to 10 ms. */
export function cpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const [user = Number.NaN, system = Number.NaN] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) * MS_PER_TICK;
}

/** The same of those threads that live, to the nanosecond where the kernel counts it: for moments, not for sums. */
export function liveCpuMs(pid: number): number {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return Number.NaN;
  }
  return threads.reduce(
    (sum, id) => sum + Number(read(`/proc/${pid}/task/${id}/schedstat`).split(' ')[0] ?? 0) / 1e6,
    0,
  );
}

export function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number);
}

/** CPU time of all processes of this machine so far, in ms; to 10 ms. */
export function machineCpuMs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    read('/proc/stat').split('\n', 1)[0]?.split(/\s+/).slice(1).map(Number) ?? [];
  return (user + nice + system + irq + softirq) * MS_PER_TICK;
}

/** Resident memory of a process in MB (10^6 bytes); 0 if it has ended. `VmHWM` is the most there ever was. */
export function residentMB(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const line = new RegExp(`^${which}:\\s+(\\d+) kB`, 'm').exec(read(`/proc/${pid}/status`));
  return (Number(line?.[1] ?? 0) * 1024) / 1e6;
}

/** Processes that were started with this in their environment, `NAME=value`, by themselves or what they descend from. */
export function startedWith(entry: string): { pid: number; name: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    if (!read(`/proc/${pid}/environ`).split('\0').includes(entry)) return [];
    return [{ pid, name: read(`/proc/${pid}/comm`).trim() }];
  });
}
