// A chain: each task depends on the one before, so that every step waits for the whole way through the daemon; against a
// shell that runs as many `sh -c true` in a row.
import { seconds } from '../clock.ts';
import { median, ratios } from '../measure.ts';
import { shell } from '../peers.ts';
import { Place, type Task } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';

export const chain: Row = {
  name: 'chain',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const tasks = bench.size(200, 20);
    const place = new Place(bench.scratch, 'chain');
    place.makeJob(JOB);
    place.start();
    const ours = {
      name: 'spoold',
      run: () => {
        const ids = place.ids(tasks);
        const taskOf = (i: number): Task => ({
          command: ['sh', '-c', 'true'],
          dependencies: ids.slice(Math.max(0, i - 1), i),
        });
        return seconds(async () => {
          place.drop(JOB, ids, taskOf);
          await place.finished(JOB, ids, 2);
        });
      },
    };
    const script = `i=0; while [ $i -lt ${tasks} ]; do sh -c true; i=$((i+1)); done`;
    const theirs = { name: 'sh -c true', run: () => seconds(() => shell(script)) };
    const times = await bench.paired([ours, theirs]);
    const [our, their] = [times.get(ours) ?? [], times.get(theirs) ?? []];
    const each = (values: number[]): string => ((median(values) / tasks) * 1000).toFixed(2);
    return [
      {
        what: `chain of ${tasks}, to as many \`sh -c true\``,
        unit: '×',
        must: { atMost: 2.5 },
        values: ratios(our, their),
        detail: `${each(our)} ms a task to ${each(their)} ms`,
      },
    ];
  },
};
