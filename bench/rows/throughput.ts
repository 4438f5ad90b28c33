// N × `true` at two slots, end to end, against every peer: tasks are written and dropped by rename, one by one, into a job
// that is served, until the last of them lies in succeeded/. Servers live through all rounds, as those of a user do.
import type { Must } from '../measure.ts';
import { ratios, median } from '../measure.ts';
import { seconds } from '../clock.ts';
import { Place, TRUE } from '../place.ts';
import type { Contender, Line, Row } from '../row.ts';

const MUSTS: Record<string, Must> = {
  'task-spooler': { atLeast: 1.7 },
  nq: { atLeast: 3 },
  pueue: { atLeast: 2 },
  'xargs -P2 -n1': { atLeast: 0.8 },
};
const JOB = 'bench';

export const throughput: Row = {
  name: 'throughput',
  rounds: 5,
  async run(bench) {
    const tasks = bench.size(5000, 60);
    const place = new Place(bench.scratch, 'throughput');
    place.makeJob(JOB);
    place.start();
    const ours: Contender = { name: 'spoold', run: () => dropAndFinish(place, tasks) };
    const theirs: Contender[] = [];
    for (const peer of bench.peers) {
      const server = await peer.ready(bench.scratch);
      theirs.push({
        name: peer.name,
        run: async () => {
          const few = Math.min(tasks, server.most ?? tasks);
          const time = await seconds(() => server.run(few));
          await server.tidy?.();
          return few / time;
        },
      });
    }
    const rates = await bench.paired([ours, ...theirs]);
    const our = rates.get(ours) ?? [];
    const compared = theirs.map((contender): Line => {
      const their = rates.get(contender) ?? [];
      const must = MUSTS[contender.name];
      return {
        what: `throughput, to ${contender.name}`,
        unit: '×',
        ...(must === undefined ? {} : { must }),
        values: ratios(our, their),
        detail: `${Math.round(median(our))}/s to ${Math.round(median(their))}/s`,
      };
    });
    const absent = Object.entries(MUSTS)
      .filter(([name]) => !theirs.some((contender) => contender.name === name))
      .map(
        ([name, must]): Line => ({ what: `throughput, to ${name}`, unit: '×', must, absent: `${name} not installed` }),
      );
    return [...compared, ...absent];
  },
};

/** Tasks a second. */
async function dropAndFinish(place: Place, tasks: number): Promise<number> {
  const ids = place.ids(tasks);
  const time = await seconds(async () => {
    place.drop(JOB, ids, () => TRUE);
    await place.finished(JOB, ids);
  });
  return tasks / time;
}
