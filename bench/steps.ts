// `npm run bench:steps`: where the time of a task goes, in µs of CPU. A daemon is run under V8's sampling profiler while it
// works off tasks; a system call counts for the function of spoold that made it. What was sampled before the tasks came
// is in it too, so there are many of them.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { until } from './clock.ts';
import { describeMachine, machineOf } from './machine.ts';
import { Place, SPOOLD, TRUE } from './place.ts';
import { childrenOf, cpuMs, machineCpuMs } from './processes.ts';
import { ownCosts, type Profile } from './profile.ts';
import { progress } from './progress.ts';
import { Scratch } from './scratch.ts';

const { values: options } = parseArgs({
  options: { tasks: { type: 'string', default: '6000' }, on: { type: 'string', default: tmpdir() } },
});
const tasks = Number(options.tasks);
const SHOWN = 30;
const JOB = 'bench';
const scratch = Scratch.untilInterrupted(options.on);

try {
  progress('running tasks under a profiler');
  const machine = machineOf(scratch.root, []);
  const place = new Place(scratch, 'steps');
  place.makeJob(JOB);
  const folder = scratch.folder('profile');
  const profiler = ['--cpu-prof', '--cpu-prof-name=daemon.cpuprofile', `--cpu-prof-dir=${folder}`];
  const daemon = spawn(process.execPath, [...profiler, SPOOLD, 'start', '--foreground', '--dir', place.root], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  await until(() => place.pid === daemon.pid, 20);
  await place.settled();
  const [launcher = Number.NaN] = childrenOf(place.pid);
  const used = (): number[] => [machineCpuMs(), cpuMs(launcher), cpuMs(place.pid)];
  const before = used();
  const ids = place.ids(tasks);
  place.drop(JOB, ids, () => TRUE);
  await place.finished(JOB, ids);
  const [machineCpu, launcherCpu, daemonCpu] = used().map((ms, i) =>
    (((ms - (before[i] ?? 0)) * 1000) / tasks).toFixed(0),
  );
  daemon.kill('SIGTERM');
  await ended;
  const profile = JSON.parse(readFileSync(join(folder, 'daemon.cpuprofile'), 'utf8')) as Profile;
  progress('');
  console.log(`${describeMachine(machine)}.\n\n| µs a task | of ${tasks} × \`true\` |\n| --- | --- |`);
  console.log(
    `| ${machineCpu} | all processes of this machine: runners, commands, this bench and whatever else runs |`,
  );
  console.log(`| ${launcherCpu} | launcher |\n| ${daemonCpu} | daemon, all its threads; of it, sampled: |`);
  for (const [name, us] of ownCosts(profile).slice(0, SHOWN)) console.log(`| ${(us / tasks).toFixed(1)} | ${name} |`);
} finally {
  scratch.remove();
  progress('');
}
