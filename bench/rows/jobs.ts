// Flat in jobs: the same tasks over many jobs, dropped into one after the other, and all in one. The jobs are
// there before. Both directories allow two tasks at a time in all.
import { seconds } from '../clock.ts';
import { median, ratios } from '../measure.ts';
import { Place, TRUE } from '../place.ts';
import type { Line, Row } from '../row.ts';

export const jobs: Row = {
  name: 'jobs',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const tasks = bench.size(5000, 60);
    const many = bench.size(1000, 12);
    const contender = async (name: string, count: number) => {
      const place = new Place(bench.scratch, `jobs-${count}`);
      const names = Array.from({ length: count }, (_, i) => `job${i}`);
      for (const job of names) place.makeJob(job);
      place.start();
      await place.settled();
      return { name, run: async () => tasks / (await through(place, names, tasks / count)) };
    };
    const one = await contender('in one job', 1);
    const spread = await contender(`over ${many} jobs`, many);
    const rates = await bench.paired([one, spread]);
    const [single, over] = [rates.get(one) ?? [], rates.get(spread) ?? []];
    return [
      {
        what: `throughput over ${many} jobs, to one`,
        unit: '×',
        must: { atLeast: 0.7 },
        values: ratios(over, single),
        detail: `${Math.round(median(over))}/s to ${Math.round(median(single))}/s`,
      },
    ];
  },
};

/** Drops so many into each job; gives the seconds until all have finished. */
function through(place: Place, names: readonly string[], each: number): Promise<number> {
  const drops = names.map((job) => ({ job, ids: place.ids(each) }));
  return seconds(async () => {
    for (const { job, ids } of drops) place.drop(job, ids, () => TRUE);
    for (const { job, ids } of drops.toReversed()) await place.finished(job, ids);
  });
}
