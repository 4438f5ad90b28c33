// Flat in queue length: the same tasks in a job with nothing else, with many more waiting (half for a slot, half for a
// dependency), and with many that have finished.
import { median, ratios } from '../measure.ts';
import { Queue } from '../queue.ts';
import type { Line, Row } from '../row.ts';

export const queueLength: Row = {
  name: 'queue-length',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const tasks = bench.size(5000, 60);
    const others = bench.size(200_000, 300);
    const contender = async (name: string, folder: string, what: { waiting?: number; finished?: number }) => {
      bench.doing(`making a job ${name}`);
      const queue = await Queue.make(bench.scratch, folder, what);
      return { name, run: async () => 1 / (await queue.run(tasks)).wall };
    };
    const alone = await contender('alone', 'alone', {});
    const waiting = await contender(`with ${others} more waiting`, 'waiting', { waiting: others });
    const finished = await contender(`with ${others} finished`, 'finished', { finished: others });
    const rates = await bench.paired([alone, waiting, finished]);
    const own = rates.get(alone) ?? [];
    return [waiting, finished].map((queue) => {
      const rate = rates.get(queue) ?? [];
      return {
        what: `throughput ${queue.name}, to alone`,
        unit: '×',
        must: { atLeast: 0.85 },
        values: ratios(rate, own),
        detail: `${Math.round(median(rate))}/s to ${Math.round(median(own))}/s`,
      };
    });
  },
};
