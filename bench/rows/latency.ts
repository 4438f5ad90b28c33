// Drop to start: from the moment before a drop's rename to the first act of its command, which reads the clock; the
// daemon has nothing else to do. One round is 500 drops, 20 ms after the end of the one before.
import { pause } from '../clock.ts';
import { quantile } from '../measure.ts';
import { Place } from '../place.ts';
import { compileStamp, msSince } from '../stamp.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';
const LINES = [
  { what: 'drop to start, half of the drops within', unit: 'ms', must: { atMost: 5 }, share: 0.5 },
  { what: 'drop to start, 99 of 100 within', unit: 'ms', must: { atMost: 25 }, share: 0.99 },
];

export const latency: Row = {
  name: 'latency',
  rounds: 3,
  async run(bench): Promise<Line[]> {
    const stamp = compileStamp(bench.scratch);
    if (stamp === undefined)
      return LINES.map(({ what, unit, must }) => ({ what, unit, must, absent: 'no C compiler (cc)' }));
    const place = new Place(bench.scratch, 'latency');
    place.makeJob(JOB);
    place.start();
    const drops = bench.size(500, 10);
    for (let i = 0; i < bench.size(50, 2); i++) await dropOne(place, stamp); // a daemon that has served for a while
    const rounds: number[][] = [];
    await bench.repeated(`${drops} drops`, async () => {
      const times: number[] = [];
      for (let i = 0; i < drops; i++) times.push(await dropOne(place, stamp));
      return rounds.push(times);
    });
    return LINES.map(({ share, ...line }) => ({ ...line, values: rounds.map((times) => quantile(times, share)) }));
  },
};

/** Milliseconds from the drop to the start. */
async function dropOne(place: Place, stamp: string): Promise<number> {
  const ids = place.ids(1);
  const drop = place.draft(JOB, ids, () => ({ command: [stamp] }));
  await pause(20);
  const at = process.hrtime.bigint();
  drop();
  await place.finished(JOB, ids);
  return msSince(at, place.at(JOB, 'runs', `${ids[0]}.1`, 'output.log'));
}
