// `npm run bench:growth`: what a task costs against how many others wait in its job, half of them for a slot and half for
// a dependency; and what it costs a fresh daemon to take in each that waits. Printed, and drawn into docs/growth.svg. Means, not
// medians: a large folder is read as a whole now and then, which is in some of the rounds only and is to be counted.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, machineOf } from './machine.ts';
import { mean } from './measure.ts';
import { plotSvg } from './plot.ts';
import { progress } from './progress.ts';
import { type Cost, Queue } from './queue.ts';
import { Bench } from './row.ts';
import { Scratch } from './scratch.ts';

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', default: '1000,10000,100000,1000000' },
    tasks: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    on: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: resolve(import.meta.dirname, '..', '..', 'docs', 'growth.svg') },
  },
});
const sizes = options.sizes.split(',').map(Number);
const tasks = Number(options.tasks);
const scratch = Scratch.untilInterrupted(options.on);

try {
  const machine = machineOf(scratch.root, []);
  const bench = new Bench({ rounds: Number(options.rounds), quick: false, scratch, peers: [], tell: progress });
  const contenders = [];
  for (const size of sizes) {
    bench.doing(`making ${size} tasks that wait`);
    const queue = await Queue.make(scratch, `waiting-${size}`, { waiting: size });
    const costs: Cost[] = [];
    const run = async (): Promise<number> => costs.push(await queue.run(tasks));
    contenders.push({ name: `${size} waiting`, size, queue, costs, run });
  }
  await bench.paired(contenders);
  const rows = contenders.map(({ size, queue, costs: [, ...counted] }) => ({
    size,
    wall: Math.round(mean(counted.map(({ wall }) => wall * 1e6))),
    daemon: Math.round(mean(counted.map(({ daemonCpu }) => daemonCpu * 1e3))),
    takenIn: Math.round((queue.startCpu * 1e3) / size),
  }));
  progress('');
  console.log(
    `${describeMachine(machine)}.\n\n| waiting | a task, end to end | of it the daemon's CPU | to take in each that waits |`,
  );
  console.log('| --- | --- | --- | --- |');
  for (const row of rows) console.log(`| ${row.size} | ${row.wall} µs | ${row.daemon} µs | ${row.takenIn} µs |`);
  const plot = plotSvg({
    title: 'What a task costs, against how many wait',
    subtitle: `${tasks} × true at two slots beside them; ${machine.cores} cores, ${machine.fileSystem}, mean of ${options.rounds} rounds`,
    xLabel: 'tasks waiting in the same job',
    yLabel: 'µs a task',
    xs: sizes,
    series: [
      { name: 'end to end', values: rows.map(({ wall }) => wall) },
      { name: "of it the daemon's CPU", values: rows.map(({ daemon }) => daemon) },
      { name: 'to take in each that waits', values: rows.map(({ takenIn }) => takenIn) },
    ],
  });
  writeFileSync(options.out, plot);
} finally {
  progress('deleting what was made');
  scratch.remove();
  progress('');
}
