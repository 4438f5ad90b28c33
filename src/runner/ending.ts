// Which processes belong to an attempt, and how they are signalled.
//
// An attempt's processes are the command's group, whatever carries its SPOOLD_RUN_DIR, shells that write to its log and
// are about to become the command, and what descends from any of these, whatever group or session it made for itself.
// The runner is none of them: it stays to record the end; what it has forked and not yet made the command is. What clears
// its environment and leaves its group and its parents escapes. What says the same of a directory of its own container is
// a stranger.
//
// A process can fork between the look and the signal. Whoever ends an attempt looks again until nothing is left.
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import {
  type ProcessEntry,
  type ProcessInfo,
  type ProcessTable,
  isZombie,
  readProcess,
  seesTheSame,
  signalGroup,
  signalProcess,
  writesTo,
} from '../host/identity.ts';

/** The variable to look for in /proc: `lookAtProcesses(RUN_DIR_VARIABLE)`. */
export const RUN_DIR_VARIABLE = 'SPOOLD_RUN_DIR';

export interface AttemptProcesses {
  /** Absolute, as the attempt's own SPOOLD_RUN_DIR has it. */
  runDir: string;
  /** From line 1 of `pid`, once it is complete and of this host, boot and PID namespace. */
  runner?: { pid: number; startTicks: number };
}

/** The attempt's living processes, without the runner. */
export function membersOf(table: ProcessTable, attempt: AttemptProcesses): ProcessInfo[] {
  const all = [...table.byPid.values()];
  const runner = runnerIn(table, attempt);
  const log = logOf(attempt.runDir);
  const members = new Set(
    all.filter(
      (entry) =>
        ((entry.value === attempt.runDir || isOnItsWay(entry, log)) && seesTheSame(entry.pid, attempt.runDir)) ||
        (runner && entry.ppid === runner.pid) ||
        isOrphan(table, attempt, entry, log),
    ),
  );
  const excluded = new Set([1, process.pid, runner?.pid]);
  const foreign = new Set([ownGroup(), runner?.pgid]);
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    const pids = new Set([...members].map((entry) => entry.pid));
    const groups = new Set(
      [...members].map((entry) => entry.pgid).filter((pgid) => pids.has(pgid) && !foreign.has(pgid)),
    );
    for (const entry of all) {
      if (!excluded.has(entry.pid) && (pids.has(entry.ppid) || groups.has(entry.pgid))) members.add(entry);
    }
  }
  return [...members].filter((entry) => !excluded.has(entry.pid) && !isZombie(entry));
}

/** The runner, if it is still the process that line 1 names. */
function runnerIn(table: ProcessTable, attempt: AttemptProcesses): ProcessEntry | undefined {
  const entry = attempt.runner && table.byPid.get(attempt.runner.pid);
  return entry?.startTicks === attempt.runner?.startTicks ? entry : undefined;
}

/**
 * Without the variable: it has cleared its environment or, where the runner has died, was forked and is on its way to become the
 * command. The session tells, which the runner has made and which holds its number until the last in it has ended; where
 * the runner is gone and it has its own program by now, the log that it writes to tells, too.
 */
function isOrphan(
  table: ProcessTable,
  { runner }: AttemptProcesses,
  entry: ProcessEntry,
  log: string | undefined,
): boolean {
  if (runner === undefined || entry.session !== runner.pid || entry.pid === runner.pid) return false;
  if (entry.value !== undefined) return false;
  const holder = table.byPid.get(runner.pid);
  if (holder !== undefined) return holder.startTicks === runner.startTicks;
  return entry.comm === LAUNCHER || (log !== undefined && writesTo(entry.pid, log));
}

/** The name of the native launcher, and of the runners that it forks. */
const LAUNCHER = 'spoold-launcher';

/** The log as links in /proc/PID/fd show it. */
function logOf(runDir: string): string | undefined {
  return unless(['ENOENT', 'ENOTDIR'], () => realpathSync(join(runDir, 'output.log')));
}

/** The runner itself writes to the launcher's pipe, so only what stands between it and the command is found by this. */
function isOnItsWay(entry: ProcessEntry, log: string | undefined): boolean {
  return log !== undefined && entry.stdout === log;
}

function ownGroup(): number | undefined {
  return readProcess(process.pid)?.pgid;
}

/**
 * Signals each of `members` (from `membersOf`) that is still the same process: whole groups where the leader is one of
 * them, so that nothing in it forks away in between, the others singly. A stopped process is woken to receive it.
 * Gives how many groups and processes were reached.
 */
export function signalMembers(members: readonly ProcessInfo[], signal: NodeJS.Signals): number {
  const own = ownGroup();
  const safe = members.filter((member) => member.pid > 1 && member.pid !== process.pid);
  const leaders = safe.filter((member) => member.pid === member.pgid && member.pgid !== own);
  const led = new Set(leaders.map((leader) => leader.pgid));
  const single = safe.filter((member) => !led.has(member.pgid));
  return reach(leaders, signalGroup, signal) + reach(single, signalProcess, signal);
}

function reach(targets: ProcessInfo[], send: typeof signalProcess, signal: NodeJS.Signals): number {
  return targets.filter((target) => {
    const reached = send(target, signal);
    if (reached && signal !== 'SIGKILL' && signal !== 'SIGSTOP') send(target, 'SIGCONT');
    return reached;
  }).length;
}
