// How long one looks at `spoold status`: of an empty directory, and of one with many tasks in many jobs, half of them
// finished, against what Node needs to start and do nothing. A daemon serves both. A round takes the median of several.
import { spawnSync } from 'node:child_process';
import { GATED, Place, SPOOLD } from '../place.ts';
import { median, ratios } from '../measure.ts';
import type { Line, Row } from '../row.ts';

export const cli: Row = {
  name: 'cli',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    const [jobs, each] = [bench.size(100, 3), bench.size(2000, 20)];
    const empty = new Place(bench.scratch, 'empty');
    empty.start();
    const full = new Place(bench.scratch, 'full');
    const model = await full.makeModel();
    bench.doing(`making ${jobs} jobs of ${2 * each} tasks`);
    for (let i = 0; i < jobs; i++) {
      full.makeJob(`job${i}`);
      await full.fillFinished(`job${i}`, full.ids(each), model);
      await full.fillPending(`job${i}`, full.ids(each), () => GATED);
    }
    full.start();
    await full.settled();
    const times = bench.size(10, 2);
    const node = { name: 'node -e 0', run: () => ms(times, process.execPath, ['-e', '0']) };
    const ofEmpty = { name: 'empty', run: () => ms(times, SPOOLD, ['status', '--dir', empty.root]) };
    const ofFull = { name: 'full', run: () => ms(times, SPOOLD, ['status', '--dir', full.root]) };
    const figures = await bench.paired([node, ofEmpty, ofFull]);
    const floor = figures.get(node) ?? [];
    const line = (what: string, atMost: number, values: number[]): Line => ({
      what: `\`spoold status\`, ${what}, to \`node -e 0\``,
      unit: '×',
      must: { atMost },
      values: ratios(values, floor),
      detail: `${Math.round(median(values))} ms to ${Math.round(median(floor))} ms`,
    });
    return [
      line('empty', 1.6, figures.get(ofEmpty) ?? []),
      line(`${2 * jobs * each} tasks in ${jobs} jobs`, 2, figures.get(ofFull) ?? []),
    ];
  },
};

function ms(times: number, program: string, args: string[]): number {
  return median(
    Array.from({ length: times }, () => {
      const begin = performance.now();
      const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${program} ${args.join(' ')}: status ${status}: ${stderr}`);
      return performance.now() - begin;
    }),
  );
}
