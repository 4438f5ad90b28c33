// Preloaded into a daemon: writes down how long its main thread has computed at most between two breaths of its loop, in
// ms of processor time, which a busy machine does not change. Timers run once in each turn of the loop.
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const report = process.env.FUZZ_TURNS;
const WARM_UP_MS = 3_000;

/** Nanoseconds that the main thread has been on a processor. */
function onCpu(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]);
}

if (report !== undefined && isMainThread) {
  let before = onCpu();
  let longest = 0;
  const began = performance.now();
  writeFileSync(report, '0'); // so that one sees that it is measured
  setInterval(() => {
    const now = onCpu();
    const turn = (now - before) / 1e6;
    before = now;
    if (turn <= longest || performance.now() - began < WARM_UP_MS) return; // what a start costs is no turn
    longest = turn;
    writeFileSync(report, String(turn));
  }, 1).unref();
}
