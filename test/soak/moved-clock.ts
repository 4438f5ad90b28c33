// Preloaded into a daemon: its wall clock is off by as many milliseconds as a file says, which somebody may change while
// it runs. The monotonic clock and the uptime of the host are left alone, as a step of a real clock leaves them.
import { readFileSync } from 'node:fs';

const file = process.env.SOAK_CLOCK ?? '';
const real = Date.now.bind(Date);
let offset = 0;
let readAt = Number.NEGATIVE_INFINITY;

Date.now = () => {
  if (performance.now() - readAt > 50) {
    readAt = performance.now();
    try {
      offset = Number(readFileSync(file, 'utf8')) || 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') offset = 0;
    }
  }
  return real() + offset;
};
