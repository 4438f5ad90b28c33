// What processes use, by pidusage, one call at a time.
//
// pidusage keeps a descriptor per process from its second look on, and closes it a while after the last question. So a
// process that did not answer is not asked again until then: its number may have passed to another process, of which the
// old descriptor knows nothing. (Its `clear` forgets descriptors without closing them, and is not used.)
import pidusage from 'pidusage';
import { monotonic } from '../host/clock.ts';

export interface Usage {
  /** Of one core, since the sample before; 0 in a process's first. */
  cpuPercent: number;
  rssBytes: number;
}

/** How long pidusage remembers a process that nobody asks about, ms. */
const MEMORY = 20_000;

const resting = new Map<number, number>();
let turn: Promise<unknown> = Promise.resolve();

/** Samples the processes that exist; the others are missing in the answer. It never rejects. */
export function sampleUsage(pids: readonly number[]): Promise<Map<number, Usage>> {
  const wanted = [...new Set(pids)];
  const sample = turn.then(() => askFor(wanted));
  turn = sample;
  return sample;
}

async function askFor(pids: number[]): Promise<Map<number, Usage>> {
  const usage = new Map<number, Usage>();
  const now = monotonic();
  for (const [pid, until] of resting) if (until < now) resting.delete(pid);
  const asked = pids.filter((pid) => !resting.has(pid));
  if (asked.length === 0) return usage;
  // It changes the list that it is given, and rejects if its only process is gone.
  const answers: Record<string, pidusage.Status | undefined> = await pidusage([...asked], { maxage: MEMORY }).catch(
    () => ({}),
  );
  for (const pid of asked) {
    const answer = answers[pid];
    if (answer) usage.set(pid, { cpuPercent: answer.cpu, rssBytes: answer.memory });
    else resting.set(pid, now + 2 * MEMORY);
  }
  return usage;
}
