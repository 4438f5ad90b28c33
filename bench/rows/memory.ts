// Memory: the daemon's with many tasks waiting, half for a slot and half for a dependency, each time in a fresh daemon
// that has read them all; and what a running task adds in all processes but its command, resident, shared pages included.
import { Place, GATED, TRUE } from '../place.ts';
import { residentMB, startedWith } from '../processes.ts';
import { until } from '../clock.ts';
import type { Bench, Line, Row } from '../row.ts';

const JOB = 'bench';

export const memory: Row = {
  name: 'memory',
  rounds: 3,
  async run(bench): Promise<Line[]> {
    const waiting = bench.size(200_000, 300);
    const peaks: number[] = [];
    const resident = await ofWaiting(bench, waiting, peaks);
    return [
      {
        what: `daemon's memory, ${waiting} waiting`,
        unit: 'MB',
        must: { atMost: 150 },
        values: resident,
        detail: `at most ${Math.round(Math.max(...peaks))} MB on the way`,
      },
      { what: 'memory that a running task adds', unit: 'MB', must: { atMost: 3 }, values: await ofRunning(bench) },
    ];
  },
};

async function ofWaiting(bench: Bench, waiting: number, peaks: number[]): Promise<number[]> {
  const place = new Place(bench.scratch, 'memory');
  place.makeJob(JOB);
  place.pauseJob(JOB);
  bench.doing(`making ${waiting} tasks`);
  await place.fillPending(JOB, place.ids(waiting), (i) => (i % 2 === 0 ? GATED : TRUE));
  return bench.repeated('memory of those that wait', async () => {
    const pid = place.start();
    await place.settled();
    const resident = residentMB(pid);
    peaks.push(residentMB(pid, 'VmHWM'));
    place.stop();
    return resident;
  });
}

async function ofRunning(bench: Bench): Promise<number[]> {
  const slots = bench.size(100, 5);
  const place = new Place(bench.scratch, 'running', { slots });
  place.makeJob(JOB);
  const mark = `BENCH_PLACE=${place.root}`;
  const ours = (): number =>
    startedWith(mark).reduce((sum, { pid, name }) => sum + (name === 'sleep' ? 0 : residentMB(pid)), 0);
  const sleeping = (): number => startedWith(mark).filter(({ name }) => name === 'sleep').length;
  return bench.repeated('memory of those that run', async () => {
    place.start({ BENCH_PLACE: place.root });
    await place.settled();
    const before = ours();
    place.drop(JOB, place.ids(slots), () => ({ command: ['sleep', '10000'] }));
    await until(() => sleeping() === slots, 100);
    await place.settled();
    const added = (ours() - before) / slots;
    place.stop();
    place.clearPending(JOB);
    return added;
  });
}
