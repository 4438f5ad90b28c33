// What it takes to hand over a task so that it would survive a power cut: `addTask` of the client library, as `spoold add`
// calls it, in one process; against `tsp true` from a shell. Both servers run what they are given meanwhile, at two slots;
// what they still have to do afterwards is waited for and not counted.
import { addTask } from '../../src/client/add.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { seconds } from '../clock.ts';
import { median, ratios } from '../measure.ts';
import { shell, submitToTaskSpooler, taskSpoolerServer, WAIT_FOR_TASK_SPOOLER } from '../peers.ts';
import { Place, TRUE } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';
const LINE = { what: 'durable submission, to `tsp true`', unit: '×', must: { atLeast: 3 } };

export const submission: Row = {
  name: 'submission',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    if (!bench.peers.some(({ program }) => program === 'tsp'))
      return [{ ...LINE, absent: 'task-spooler not installed' }];
    const tasks = bench.size(1000, 20);
    const place = new Place(bench.scratch, 'submission');
    place.makeJob(JOB);
    place.start();
    const layout = new Layout(place.root);
    const env = taskSpoolerServer(bench.scratch);
    const add = (): void => void addTask(layout, { job: JOB, task: { ...TRUE }, environment: process.env });
    const spoold = {
      name: 'spoold',
      run: async () => {
        const time = await seconds(() => {
          for (let i = 0; i < tasks; i++) add();
        });
        await place.drained(JOB);
        return tasks / time;
      },
    };
    const tsp = {
      name: 'task-spooler',
      run: async () => {
        const time = await seconds(() => shell(submitToTaskSpooler(tasks), env));
        await shell(WAIT_FOR_TASK_SPOOLER, env);
        return tasks / time;
      },
    };
    const rates = await bench.paired([spoold, tsp]);
    const [our, their] = [rates.get(spoold) ?? [], rates.get(tsp) ?? []];
    const detail = `${Math.round(median(our))}/s to ${Math.round(median(their))}/s`;
    return [{ ...LINE, values: ratios(our, their), detail }];
  },
};
