// Restart: the daemon is killed where many wait for a dependency and many have finished, some tasks without dependencies
// are dropped meanwhile, and it is started again. From the call of `spoold start` to the first act of one of them, and to
// the moment from which the daemon has nothing to do any more: then all are known.
import { existsSync, readFileSync } from 'node:fs';
import { GATED, Place } from '../place.ts';
import { compileStamp } from '../stamp.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';
const STARTABLE = 10;
const FIRST = { what: 'restart, first start within', unit: 's', must: { atMost: 2 } };
const ALL = { what: 'restart, all known within', unit: 's', must: { atMost: 5 } };

export const restart: Row = {
  name: 'restart',
  rounds: 3,
  async run(bench): Promise<Line[]> {
    const stamp = compileStamp(bench.scratch);
    if (stamp === undefined) return [FIRST, ALL].map((line) => ({ ...line, absent: 'no C compiler (cc)' }));
    const others = bench.size(200_000, 300);
    const place = new Place(bench.scratch, 'restart');
    const model = await place.makeModel();
    place.makeJob(JOB);
    bench.doing(`making ${others} that wait and ${others} that have finished`);
    await place.fillFinished(JOB, place.ids(others), model);
    await place.fillPending(JOB, place.ids(others), () => GATED);
    place.start();
    await place.settled();
    const [first, all]: [number[], number[]] = [[], []];
    await bench.repeated('restart', async () => {
      await place.kill();
      const ids = place.ids(STARTABLE);
      await place.fillPending(JOB, ids, () => ({ command: [stamp] }));
      const [begin, clock] = [performance.now(), process.hrtime.bigint()];
      place.start();
      const settledAt = await place.settled();
      await place.finished(JOB, ids);
      first.push(Math.min(...ids.map((id) => secondsSince(clock, place.at(JOB, 'runs', `${id}.1`, 'output.log')))));
      return all.push((settledAt - begin) / 1000);
    });
    return [
      { ...FIRST, values: first, detail: `${others} waiting, ${others} finished` },
      { ...ALL, values: all },
    ];
  },
};

function secondsSince(clock: bigint, log: string): number {
  if (!existsSync(log)) return Number.NaN;
  return Number(BigInt(readFileSync(log, 'utf8').trim()) - clock) / 1e9;
}
