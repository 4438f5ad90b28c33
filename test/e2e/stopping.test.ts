// Jobs that stop: at a failure (`on_failure: stop`), and when their time is up (`job_timeout`).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { isThere, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

describe('a job that stops at a failure', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 8\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('cancels what has not started, with the failure as the cause, and brings back exactly that when it is retried', async () => {
    const job = place.job('stops').make({ max_parallel: 1, on_failure: 'stop' });
    const marker = place.aside('stops');
    job.drop('mine', { command: 'true', not_before: '1h' });
    await waitUntil('the daemon has made its folders', () => isThere(job.path('cancelled')));
    job.move('mine', 'pending', 'cancelled');
    job.drop('c', { command: 'true', dependencies: ['b'] }).drop('b', { command: 'true', dependencies: ['go'] });
    job.drop('after-a', { command: 'true', dependencies: ['a'] });
    job.drop('clean', { command: ['echo', 'cleaned'], dependencies: ['a'], run_if: 'always' });
    job.drop('a', { command: ['test', '-e', marker] });
    await job.comesTo('failed', 'a');
    for (const id of ['b', 'c']) await job.comesTo('cancelled', id);
    await job.comesTo('skipped', 'after-a');
    await job.comesTo('succeeded', 'clean');
    const reason = readText(job.path('cancelled/b.reason.txt')) ?? '';
    assert.match(reason, /^cause: failed\/a\.json\na is failed, and the job stops at a failure \(on_failure: stop\)\./);
    job.drop('late', { command: 'true' });
    await job.comesTo('cancelled', 'late');
    writeFileSync(marker, '');
    job.move('a', 'failed', 'pending');
    for (const id of ['a', 'after-a', 'late']) await job.comesTo('succeeded', id);
    assert.equal(job.folderOf('mine'), 'cancelled');
    await waitUntil('no reason is left', () => !isThere(job.path('cancelled/b.reason.txt')));
    assert.equal(job.folderOf('b'), 'pending');
    job.drop('go', { command: 'true' });
    await job.comesTo('succeeded', 'c');
    assert.equal(job.results('b').length, 1);
  });

  it('lets a task that was tried before have its other attempts', async () => {
    const job = place.job('goes-on').make({ max_parallel: 2, on_failure: 'stop' });
    const marker = place.aside('goes-on');
    job.drop('again', { command: ['test', '-e', marker], retry: { max: 100, delay: '200ms' } });
    await waitUntil('it has failed once', () => job.results('again').length > 0);
    job.drop('a', { command: 'false' });
    await job.comesTo('failed', 'a');
    writeFileSync(marker, '');
    await job.comesTo('succeeded', 'again');
  });
});

describe('a job that stops, over the death of the daemon', () => {
  it('knows afterwards what it had cancelled for what', async () => {
    const place = new Place({ config: 'max_parallel: 8\n' });
    try {
      await place.start();
      const job = place.job('killed').make({ max_parallel: 1, on_failure: 'stop' });
      job.drop('b', { command: 'true', dependencies: ['go'] }).drop('a', { command: 'false' });
      await job.comesTo('cancelled', 'b');
      await place.kill9();
      await place.start();
      job.move('a', 'failed', 'succeeded');
      await job.comesTo('pending', 'b');
      await waitUntil('no reason is left', () => !isThere(job.path('cancelled/b.reason.txt')));
    } finally {
      await place.close();
    }
  });

  it('ends when its time is up, counted from its first task on', async () => {
    const place = new Place({ config: 'max_parallel: 8\n' });
    try {
      await place.start();
      const job = place.job('late').make({ max_parallel: 1, job_timeout: '5s' });
      job
        .drop('long', { shell: 'echo on; sleep 1000', retry: 2 })
        .drop('next', { command: 'true', dependencies: ['long'] });
      await job.says('long', 'on');
      const started = readText(job.path('started'));
      assert.match(started ?? '', /^\d{4}-.*Z\n$/);
      await place.kill9();
      await place.start();
      assert.ok([started, undefined].includes(readText(job.path('started'))), 'it is the same, or over by now');
      await job.comesTo('failed', 'long');
      await job.comesTo('cancelled', 'next');
      assert.equal(job.result('long').reason, 'timeout');
      assert.equal(
        job.result('long').message,
        'the job ran longer than its job_timeout of 5s; it is not tried again, for the time of the job is over',
      );
      assert.equal(job.results('long').length, 1);
      assert.ok(Date.parse(job.result('long').finished_at) - Date.parse((started as string).trim()) >= 4900);
      await waitUntil('its clock has stopped', () => !isThere(job.path('started')));
      for (let n = 1; job.ids('succeeded').length === 0; n++) {
        job.drop(`anew-${n}`, { command: 'true' }); // a busy machine may take longer than job_timeout for it
        const isOver = () => !['pending', 'running', undefined].includes(job.folderOf(`anew-${n}`));
        await waitUntil('it is over', isOver, () => job.describe(`anew-${n}`));
      }
    } finally {
      await place.close();
    }
  });

  it('fails what was lost when its time is up: it is not run again', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place.job('lost').make({ job_timeout: '1h' }).drop('x', { shell: 'echo on; sleep 1000' });
      await job.says('x', 'on');
      await place.kill9();
      const { runner } = parsePidFile(readText(join(job.runDir('x'), 'pid')) ?? '');
      assert.ok(runner !== undefined && signalProcess(runner, 'SIGKILL')); // first, or it says how its command ended
      for (const live of place.processesOf(job.runDir('x'))) signalProcess(live, 'SIGKILL');
      await waitUntil('nothing of it runs', () => place.processesOf(job.runDir('x')).length === 0);
      writeFileSync(job.path('job.json'), '{"job_timeout": 0.01}');
      await place.start();
      await job.comesTo('failed', 'x');
      assert.match(job.result('x').message, /it is not run again, for the time of the job is over$/);
      assert.equal(job.result('x').reason, 'lost');
    } finally {
      await place.close();
    }
  });
});
