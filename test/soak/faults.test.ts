// Single faults of the soak, each with what it once cost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Place, readText } from '../helpers/place.ts';
import { scratch } from '../helpers/scratch.ts';
import { waitUntil } from '../helpers/wait-until.ts';

test('a retry whose delay began before the clock was set back by a day comes when the delay is over', async (t) => {
  const clock = join(scratch(t), 'clock');
  const place = new Place({
    env: { NODE_OPTIONS: `--import ${new URL('./moved-clock.js', import.meta.url).href}`, SOAK_CLOCK: clock },
  });
  t.after(() => place.close());
  await place.start();
  const job = place.job('etl').make({ max_parallel: 2 });
  job.drop('x', { shell: `[ "$SPOOLD_ATTEMPT" -gt 1 ]`, retry: { max: 1, delay: '3s' } });
  job.drop('later', { shell: `[ "$SPOOLD_ATTEMPT" -gt 1 ]`, retry: { max: 1, delay: '3s' } });
  await waitUntil('both have failed once', () => job.hasResult('x') && job.hasResult('later'));
  writeFileSync(clock, String(-86_400_000));
  await job.comesTo('succeeded', 'x');
  await job.comesTo('succeeded', 'later');
  assert.equal(job.result('x', 1).to, 'pending');
});

test('an attempt that ended before the clock was set back is retried after its delay all the same', async (t) => {
  const clock = join(scratch(t), 'clock');
  writeFileSync(clock, String(-86_400_000)); // what the runner writes bears the time of the kernel: a day ahead
  const place = new Place({
    env: { NODE_OPTIONS: `--import ${new URL('./moved-clock.js', import.meta.url).href}`, SOAK_CLOCK: clock },
  });
  t.after(() => place.close());
  await place.start();
  const job = place.job('etl').make({ max_parallel: 2 });
  job.drop('x', { shell: `[ "$SPOOLD_ATTEMPT" -gt 1 ]`, retry: { max: 1, delay: '10ms' } });
  await job.comesTo('succeeded', 'x');
});

const canLimit = spawnSync('prlimit', ['--nofile=64:', 'true']).status === 0;

test('arrays dropped while there are hardly any descriptors wait, and none is rejected', {
  skip: canLimit ? false : 'there is no prlimit here',
}, async (t) => {
  const place = new Place({ under: ['prlimit', '--nofile=48:'], config: 'poll_interval: 200ms\nmax_parallel: 4\n' });
  t.after(() => place.close());
  await place.start();
  const job = place.job('etl').make({ max_parallel: 4 });
  for (let n = 0; n < 12; n++) job.drop(`a${n}`, JSON.stringify([{ id: `t${n}`, command: 'true' }]));
  for (let n = 0; n < 12; n++) await job.comesTo('succeeded', `t${n}`);
  assert.deepEqual(job.names('rejected'), []);
});

test('a task that puts links and a FIFO in the place of its files has the daemon neither write elsewhere nor wait', async (t) => {
  const place = new Place();
  t.after(() => place.close());
  await place.start();
  const job = place.job('etl').make({ max_parallel: 2 });
  const victim = place.aside('victim');
  writeFileSync(victim, 'mine');
  job.drop('link', { shell: `ln -s '${victim}' "$SPOOLD_RUN_DIR/result.json"` });
  job.drop('log', { shell: `rm "$SPOOLD_RUN_DIR/output.log"; ln -s '${victim}' "$SPOOLD_RUN_DIR/output.log"` });
  job.drop('fifo', { shell: 'mkfifo "$SPOOLD_RUN_DIR/result.json"' });
  for (const id of ['link', 'log', 'fifo']) await job.comesTo('succeeded', id);
  spawnSync('mkfifo', [place.aside('environment')]);
  job.drop('env', { command: 'true', env_file: place.aside('environment') });
  await job.comesTo('failed', 'env');
  assert.equal(readText(victim), 'mine');
  for (const id of ['link', 'log', 'fifo']) assert.equal(job.result(id).reason, 'exit');
  assert.match(job.result('env').message, /cannot be read/);
});
