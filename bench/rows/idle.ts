// Idle: the daemon's time on a core while nothing happens, with many finished tasks in many jobs and the polling that is
// the default, as a share of one core.
import { pause } from '../clock.ts';
import { Place } from '../place.ts';
import { cpuMs } from '../processes.ts';
import type { Line, Row } from '../row.ts';

export const idle: Row = {
  name: 'idle',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const [jobs, each] = [bench.size(1000, 5), bench.size(200, 20)];
    const place = new Place(bench.scratch, 'idle');
    const model = await place.makeModel();
    bench.doing(`making ${jobs} jobs of ${each} finished tasks`);
    for (let i = 0; i < jobs; i++) {
      place.makeJob(`job${i}`);
      await place.fillFinished(`job${i}`, place.ids(each), model);
    }
    const pid = place.start();
    await place.settled();
    await pause(bench.size(75_000, 0)); // at the first look of the minute what was changed at the start is read once more
    const ms = bench.size(60_000, 1000);
    const values = await bench.repeated(`${ms / 1000} s`, async () => {
      const before = cpuMs(pid);
      const begin = performance.now();
      await pause(ms);
      return ((cpuMs(pid) - before) / (performance.now() - begin)) * 100;
    });
    return [{ what: `idle, ${jobs * each} finished in ${jobs} jobs`, unit: '%', must: { atMost: 0.5 }, values }];
  },
};
