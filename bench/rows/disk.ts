// Disk: what finished silent tasks add to a directory, by `du`, once the daemon has thinned them and stopped: the task
// file, its run directory with PID file and result, the line of events, and the folders' own growth.
import { execFileSync } from 'node:child_process';
import { Place, TRUE } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';

export const disk: Row = {
  name: 'disk',
  rounds: 3,
  async run(bench): Promise<Line[]> {
    const tasks = bench.size(10_000, 40);
    const values = await bench.repeated(`${tasks} tasks`, async () => {
      const place = new Place(bench.scratch, 'disk');
      place.makeJob(JOB);
      place.start();
      place.stop();
      const before = usedKB(place.root);
      place.start();
      const ids = place.ids(tasks);
      place.drop(JOB, ids, () => TRUE);
      await place.finished(JOB, ids);
      await place.settled();
      place.stop();
      return (usedKB(place.root) - before) / tasks;
    });
    return [{ what: 'disk that a finished silent task takes', unit: 'KB', must: { atMost: 17 }, values }];
  },
};

/** In thousands of bytes. */
function usedKB(folder: string): number {
  return Number(execFileSync('du', ['-s', '-B1', folder], { encoding: 'utf8' }).split('\t')[0]) / 1000;
}
