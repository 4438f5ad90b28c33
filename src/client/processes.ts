// What runs for an attempt, with its memory and CPU time: read from /proc for people to see; nothing is decided by it.
import { readFileSync } from 'node:fs';
import { unless } from '../errors.ts';
import { uptime } from '../host/clock.ts';
import { isZombie, lookAtProcesses, type ProcessEntry, seesTheSame, TICKS_PER_SECOND } from '../host/identity.ts';

export interface ProcessUse {
  pid: number;
  command: string;
  /** One letter, as `ps` has it. */
  state: string;
  rssBytes: number;
  /** Seconds of CPU time used so far, by itself and by children that have ended. */
  cpuSeconds: number;
  /** Seconds since it was started. */
  age: number;
}

/** The processes of the attempt that runs in `runDir` under the runner `runner` (undefined: it is dead), oldest first, the runner not among them. */
export function processesOf(runDir: string, runner: number | undefined): ProcessUse[] {
  const all = [...lookAtProcesses('SPOOLD_RUN_DIR').byPid.values()].filter((entry) => !isZombie(entry));
  const members = new Set(
    all.filter((entry) => (entry.value === runDir && seesTheSame(entry.pid, runDir)) || entry.ppid === runner),
  );
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    const pids = new Set([...members].map(({ pid }) => pid));
    for (const entry of all) if (pids.has(entry.ppid)) members.add(entry);
  }
  const uses = [...members]
    .filter(({ pid }) => pid !== runner && pid !== process.pid)
    .flatMap((entry) => useOf(entry) ?? []);
  return uses.sort((a, b) => b.age - a.age || a.pid - b.pid);
}

function useOf({ pid, comm, state, startTicks }: ProcessEntry): ProcessUse | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpuTicks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const argv = (readProc(`/proc/${pid}/cmdline`) ?? '').split('\0').filter((word) => word !== '');
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? '')?.[1];
  return {
    pid,
    command: argv.length > 0 ? argv.join(' ') : comm,
    state,
    rssBytes: Number(kilobytes ?? 0) * 1024,
    cpuSeconds: cpuTicks / TICKS_PER_SECOND,
    age: Math.max(0, uptime() - startTicks / TICKS_PER_SECOND),
  };
}

/** Of a process that may end at any moment. */
function readProc(path: string): string | undefined {
  return unless(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'], () => readFileSync(path, 'utf8'));
}
