// Loop lag: the longest time for which the daemon's event loop was blocked while one file with an array of many tasks was
// dropped and taken in, until the daemon had nothing to do any more. The tasks wait for a dependency.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { until } from '../clock.ts';
import { GATED, Place } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';
const PRELOAD = resolve(import.meta.dirname, '..', 'lag.js');

export const loopLag: Row = {
  name: 'loop-lag',
  rounds: 3,
  async run(bench): Promise<Line[]> {
    const tasks = bench.size(100_000, 500);
    const values = await bench.repeated(`an array of ${tasks} tasks`, async () => {
      const place = new Place(bench.scratch, 'lag');
      const answer = join(bench.scratch.folder('lag-answer'), 'ms');
      place.makeJob(JOB);
      const pid = place.start({ NODE_OPTIONS: `--import=${PRELOAD}`, BENCH_LAG: answer });
      await place.settled();
      const draft = join(place.root, '.bulk');
      writeFileSync(draft, JSON.stringify(place.ids(tasks).map((id) => ({ id, ...GATED }))));
      await longestBlock(pid, answer); // begins anew
      place.dropFile(JOB, draft, 'bulk.json');
      await until(() => place.count(JOB, 'pending') === tasks, 100);
      await place.settled();
      const ms = await longestBlock(pid, answer);
      place.stop();
      return ms;
    });
    return [{ what: `longest block of the loop, ${tasks} in one drop`, unit: 'ms', must: { atMost: 100 }, values }];
  },
};

async function longestBlock(pid: number, answer: string): Promise<number> {
  rmSync(answer, { force: true });
  process.kill(pid, 'SIGUSR2');
  let text = '';
  await until(() => {
    try {
      text = readFileSync(answer, 'utf8');
    } catch {
      return false;
    }
    return text.endsWith('\n');
  });
  return Number(text);
}
