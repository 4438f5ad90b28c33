// What the first users were promised to see.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { type JobHands, lives, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

// The next look, and SIGKILL for what does not end by SIGTERM, would come an hour later: all is seen by hints, and ends at once.
describe('what is promised', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\npoll_interval: 1h\nkill_after: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('runs a task that was echoed into a new job, at once', async () => {
    const job = place.job('echoed');
    mkdirSync(job.path('pending'), { recursive: true });
    writeFileSync(job.file('pending', 'x'), '{"command":["sh","-c","echo hi"]}\n');
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'hi\n');
    assert.equal(job.result('x').exit_code, 0);
  });

  const trees: [string, Record<string, unknown>][] = [
    ['a plain sleep', { command: ['sleep', '1000'] }],
    ['sleep under timeout, which makes a group of its own', { command: ['timeout', '900', 'sleep', '1000'] }],
    ['sleep in a session of its own', { shell: 'setsid sleep 1000' }],
    ['sleeps in a session of their own, under a shell', { shell: 'setsid sh -c "sleep 1000 & sleep 1001" & wait' }],
    ['a sleep that was left by its parents', { shell: '(setsid sleep 1000 &) ; sleep 1001' }],
  ];
  for (const [index, [what, task]] of trees.entries()) {
    it(`ends the whole tree when a running task is moved to cancelled/: ${what}`, async () => {
      const job = place.job(`tree-${index}`).drop('x', task);
      await waitUntil(
        'the sleep runs',
        () => sleeps(place, job).length > 0,
        () => job.describe('x'),
      );
      const family = place.processesOf(job.runDir('x'));
      job.move('x', 'running', 'cancelled');
      await waitUntil(
        'all of it has ended',
        () => !family.some(lives),
        () => place.processesOf(job.runDir('x')),
      );
      await job.comesTo('cancelled', 'x');
      assert.deepEqual(place.processesOf(job.runDir('x')), []);
      const { outcome, reason, to } = job.result('x');
      assert.deepEqual({ outcome, reason, to }, { outcome: 'cancelled', reason: 'cancelled', to: 'cancelled' });
    });
  }
});

describe('what a kill -9 does not harm', { concurrency: true }, () => {
  it('the daemon killed in the middle of a task and started again: one run, one output, succeeded', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place
        .job('a')
        .drop('x', { shell: `echo began; sleep 1.5; echo done; echo "$SPOOLD_ATTEMPT" >>'${place.aside('runs')}'` });
      await job.says('x', 'began');
      await place.kill9();
      await place.start();
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x'), 'began\ndone\n');
      assert.deepEqual(place.lines('runs'), ['1']);
      assert.deepEqual(job.names('runs'), ['x.1']);
    } finally {
      await place.close();
    }
  });

  it('a runner killed: no second attempt while its command lives, then the attempt is lost and the task run again', async () => {
    const place = new Place();
    try {
      await place.start();
      const go = place.aside('go');
      const job = place.job('a').drop('x', {
        shell: `echo "begin $SPOOLD_ATTEMPT" >>'${place.aside('runs')}'; echo began
          while [ $SPOOLD_ATTEMPT = 1 ] && [ ! -e '${go}' ]; do sleep 0.1; done
          echo "end $SPOOLD_ATTEMPT" >>'${place.aside('runs')}'`,
      });
      await job.says('x', 'began');
      const { runner } = parsePidFile(readText(`${job.runDir('x')}/pid`) ?? '');
      assert.ok(runner !== undefined && signalProcess(runner, 'SIGKILL'));
      // A daemon that starts now has to find out the same from what lies there.
      await place.kill9();
      await place.start();
      place.job('other').drop('y', { command: 'true' });
      await place.job('other').comesTo('succeeded', 'y');
      assert.deepEqual(place.lines('runs'), ['begin 1']);
      writeFileSync(go, '');
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(place.lines('runs'), ['begin 1', 'end 1', 'begin 2', 'end 2']);
      assert.deepEqual(
        job.results('x').map(({ reason, to }) => `${reason} ${to}`),
        ['lost pending', 'exit succeeded'],
      );
    } finally {
      await place.close();
    }
  });
});

function sleeps(place: Place, job: JobHands): { pid: number }[] {
  return place.processesOf(job.runDir('x')).filter((live) => live.args.startsWith('sleep 1000'));
}
