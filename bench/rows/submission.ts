// What it takes to hand over a task so that it would survive a power cut, by the client library: many in one call, as
// `spoold add … :::` does it, acknowledged together; and one by one, as `spoold add` does it, each of which waits for the
// disk. Against `tsp true` from a shell. Both servers run what they are given meanwhile, at two slots; what they still have
// to do afterwards is waited for and not counted.
import { addMany, prepareMany } from '../../src/client/add-many.ts';
import { addTask } from '../../src/client/add.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { seconds } from '../clock.ts';
import { median, ratios } from '../measure.ts';
import { shell, submitToTaskSpooler, taskSpoolerServer, WAIT_FOR_TASK_SPOOLER } from '../peers.ts';
import { Place, TRUE } from '../place.ts';
import type { Line, Row } from '../row.ts';

const JOB = 'bench';
const MANY = { what: 'durable submission in one call, to `tsp true`', unit: '×', must: { atLeast: 3 } };
const EACH = { what: 'durable submission one by one, to `tsp true`', unit: '×' };

export const submission: Row = {
  name: 'submission',
  rounds: 5,
  async run(bench): Promise<Line[]> {
    if (!bench.peers.some(({ program }) => program === 'tsp'))
      return [{ ...MANY, absent: 'task-spooler not installed' }];
    const tasks = bench.size(1000, 20);
    const place = new Place(bench.scratch, 'submission');
    place.makeJob(JOB);
    place.start();
    const layout = new Layout(place.root);
    const env = taskSpoolerServer(bench.scratch);
    const add = (): void => void addTask(layout, { job: JOB, task: { ...TRUE }, environment: process.env });
    let [calls, added] = [0, 0];
    const many = {
      name: 'spoold, in one call',
      run: async () => {
        calls += 1;
        const request = {
          job: JOB,
          tasks: Array.from({ length: tasks }, (_, i) => ({ args: [`${calls}.${i}`], task: TRUE })),
        };
        const time = await seconds(() => {
          addMany(layout, prepareMany(layout, request), { environment: process.env, inside: undefined });
        });
        await place.succeeded(JOB, (added += tasks));
        return tasks / time;
      },
    };
    const each = {
      name: 'spoold, one by one',
      run: async () => {
        const time = await seconds(() => {
          for (let i = 0; i < tasks; i++) add();
        });
        await place.succeeded(JOB, (added += tasks));
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
    const rates = await bench.paired([many, each, tsp]);
    const their = rates.get(tsp) ?? [];
    const line = (head: typeof MANY | typeof EACH, contender: typeof many): Line => {
      const our = rates.get(contender) ?? [];
      return {
        ...head,
        values: ratios(our, their),
        detail: `${Math.round(median(our))}/s to ${Math.round(median(their))}/s`,
      };
    };
    return [line(MANY, many), line(EACH, each)];
  },
};
