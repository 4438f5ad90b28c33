// Logs: one task that prints a lot, from its drop to its end, against a shell that sends the same into a file. What they
// have written is brought to the disk and removed before the next one begins, and that is not counted.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { seconds } from '../clock.ts';
import { median, ratios } from '../measure.ts';
import { shell } from '../peers.ts';
import { Place } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';

export const logs: Row = {
  name: 'logs',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const bytes = bench.size(1e9, 1e7);
    const place = new Place(bench.scratch, 'logs');
    place.makeJob(JOB);
    place.start();
    const folder = bench.scratch.folder('shell');
    const cleared = (file: string): void => {
      execFileSync('sync', ['-f', folder]);
      rmSync(file);
      execFileSync('sync', ['-f', folder]);
    };
    const ours = {
      name: 'spoold',
      run: async () => {
        const ids = place.ids(1);
        const drop = place.draft(JOB, ids, () => ({ command: ['head', '-c', `${bytes}`, '/dev/zero'] }));
        const time = await seconds(async () => {
          drop();
          await place.finished(JOB, ids, 2);
        });
        cleared(place.at(JOB, 'runs', `${ids[0]}.1`, 'output.log'));
        return time;
      },
    };
    let count = 0;
    const theirs = {
      name: 'sh',
      run: async () => {
        count += 1;
        const file = join(folder, `${count}`);
        const time = await seconds(() => shell(`head -c ${bytes} /dev/zero > ${file}`));
        cleared(file);
        return time;
      },
    };
    const times = await bench.paired([ours, theirs]);
    const [our, their] = [times.get(ours) ?? [], times.get(theirs) ?? []];
    return [
      {
        what: `a log of ${bytes / 1e6} MB, to a file of the shell's`,
        unit: '×',
        must: { atMost: 1.1 },
        values: ratios(our, their),
        detail: `${median(our).toFixed(2)} s to ${median(their).toFixed(2)} s`,
      },
    ];
  },
};
