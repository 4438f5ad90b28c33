// Loaded into a daemon by --import: how long its event loop was blocked at most. At SIGUSR2 it writes that, in ms, to
// $BENCH_LAG and begins anew. The product knows nothing of it.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Milliseconds between two looks at the clock; they are part of what is measured, and taken off again. */
const RESOLUTION = 2;

const path = process.env.BENCH_LAG;
if (path !== undefined && isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  process.on('SIGUSR2', () => {
    writeFileSync(path, `${Math.max(0, delay.max / 1e6 - RESOLUTION)}\n`);
    delay.reset();
  });
}
