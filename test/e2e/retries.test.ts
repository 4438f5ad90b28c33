// Attempts after the first, and tasks that are not to start yet: which failures are tried again, when, and what is kept.
import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { parseTask, type RetrySpec } from '../../src/protocol/task.ts';
import { retryDelay } from '../../src/scheduler/retry.ts';
import { Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

function policyOf(retry: unknown): RetrySpec {
  const parsed = parseTask({ command: 'true', retry }, 'x');
  assert.ok(parsed.ok);
  return parsed.spec.retry;
}

describe('a retry', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('waits for no delay any more once its task is touched, or `spoold retry` does that; a time to come says nothing', async () => {
    const shell = '[ $SPOOLD_ATTEMPT = 2 ] || exit 1';
    const job = place.job('touched').make({ max_parallel: 3 });
    for (const id of ['x', 'y', 'z']) job.drop(id, { shell, retry: { max: 3, delay: '1h' } });
    for (const id of ['x', 'y', 'z'])
      await waitUntil('it waits', () => job.hasResult(id) && job.isIn('pending', id) && !job.isClaimed(id));
    const now = Date.now() / 1000;
    utimesSync(job.file('pending', 'z'), now + 3600, now + 3600);
    utimesSync(job.file('pending', 'x'), now, now);
    await job.comesTo('succeeded', 'x');
    const { status, out } = await place.spoold('retry', 'touched/y');
    assert.deepEqual([status, out], [0, 'touched/y waits no longer for the delay before its next attempt\n']);
    await job.comesTo('succeeded', 'y');
    assert.deepEqual([job.folderOf('z'), job.results('z').length], ['pending', 1]);
    assert.match((await place.spoold('why', 'touched/z')).out, /is tried again in/);
  });

  it('comes after a delay that grows up to max_delay, lengthened by what job, task and attempt give; each attempt is kept', async () => {
    const retry = { max: 4, delay: '100ms', backoff: 'exponential', max_delay: '300ms', jitter: 0.5 };
    const job = place.job('grows').drop('x', { shell: 'echo "this is $SPOOLD_ATTEMPT"; exit 1', retry });
    await job.comesTo('failed', 'x');
    const results = job.results('x');
    assert.equal(results.length, 5);
    const plain = [100, 200, 300, 300];
    for (const [at, { retry_at = '', finished_at, to }] of results.slice(0, -1).entries()) {
      const delay = Date.parse(retry_at) - Date.parse(finished_at);
      const told = retryDelay(policyOf(retry), { attempts: at + 1, name: 'grows/x' }) * 1000;
      assert.ok(Math.abs(delay - told) <= 2, `${delay} ms, and ${told} by the rule`); // both are cut to whole ms
      assert.ok(told >= (plain[at] as number) && told <= (plain[at] as number) * 1.5);
      assert.equal(to, 'pending');
      const next = results[at + 1];
      assert.ok(next !== undefined && Date.parse(next.started_at) >= Date.parse(retry_at) - 20, JSON.stringify(next));
    }
    assert.equal(results[4]?.retry_at, undefined);
    for (let n = 1; n <= 5; n++) assert.equal(job.output('x', n), `this is ${n}\n`);
  });

  it('follows only what `on` lists: an exit status, a range of them, a time limit', async () => {
    const job = place
      .job('on')
      .make({ max_parallel: 9, defaults: { retry: { max: 1, on: ['timeout', 75, '100-110'] } } });
    const attempts: Record<string, number> = { 75: 2, 105: 2, 1: 1, 111: 1 };
    for (const status of Object.keys(attempts)) job.drop(`exit-${status}`, { shell: `exit ${status}` });
    job.drop('long', { command: ['sleep', '1000'], timeout: '200ms' }).drop('none', { command: '/no/such/program' });
    for (const [status, many] of Object.entries(attempts)) {
      await job.comesTo('failed', `exit-${status}`);
      assert.equal(job.results(`exit-${status}`).length, many, status);
    }
    for (const id of ['long', 'none']) await job.comesTo('failed', id);
    assert.deepEqual(
      job.results('long').map(({ reason }) => reason),
      ['timeout', 'timeout'],
    );
    assert.deepEqual(
      job.results('none').map(({ reason }) => reason),
      ['not_found'],
    );
  });

  it('is not made where it would begin later than max_time after the first attempt', async () => {
    const job = place.job('time').drop('x', { command: 'false', retry: { max: 5, delay: '1h', max_time: '30m' } });
    await job.comesTo('failed', 'x');
    assert.equal(job.results('x').length, 1);
  });

  it('has a fresh budget, and no delay, after `spoold retry`; status tells all attempts', async () => {
    const job = place.job('again').drop('x', { command: 'false', retry: 1 });
    await job.comesTo('failed', 'x');
    assert.equal((await place.spoold('retry', 'again/x')).status, 0);
    const isDone = () => job.results('x').length === 4 && job.isIn('failed', 'x') && !job.isClaimed('x');
    await waitUntil('four attempts', isDone, () => job.describe('x'));
    assert.deepEqual(
      job.results('x').map(({ to }) => to),
      ['pending', 'failed', 'pending', 'failed'],
    );
    const { out } = await place.spoold('status', 'again/x', '--json');
    const { attempts } = JSON.parse(out) as { attempts: { attempt: number; outcome: string }[] };
    assert.deepEqual(
      attempts.map(({ attempt, outcome }) => `${attempt} ${outcome}`),
      ['1 failed', '2 failed', '3 failed', '4 failed'],
    );
  });

  it('that is to come is told by status, with its time, and computed from nothing but the attempt', async () => {
    const retry = { max: 1, delay: '1h', jitter: true };
    const job = place.job('waits').drop('x', { command: 'false', retry });
    await waitUntil('the first attempt is settled', () => job.hasResult('x') && !job.isClaimed('x'), undefined);
    const { retry_at = '', finished_at } = job.result('x');
    const told = retryDelay(policyOf(retry), { attempts: 1, name: 'waits/x' }) * 1000;
    assert.ok(Math.abs(Date.parse(retry_at) - Date.parse(finished_at) - told) <= 2);
    const { out } = await place.spoold('status', 'waits/x', '--json');
    assert.ok(out.includes(`"until": "${retry_at}"`), out);
  });
});

describe('not_before', { concurrency: true }, () => {
  it('as a delay or a time keeps a task from starting, over a kill -9 of the daemon, until it comes or is edited away', async () => {
    const place = new Place({ config: 'max_parallel: 20\n' });
    try {
      await place.start();
      const job = place.job('later').make({ max_parallel: 'none' });
      const dropped = Date.now();
      const time = new Date(dropped + 3000).toISOString();
      job.drop('delay', { command: 'true', not_before: '3s' }).drop('time', { command: 'true', not_before: time });
      job.drop('never', { command: 'true', not_before: '2100-01-01T00:00:00Z' });
      await place.kill9();
      await place.start();
      job.drop('now', { command: 'true' });
      await job.comesTo('succeeded', 'now');
      for (const id of ['delay', 'time']) await job.comesTo('succeeded', id);
      // The clock by which files are stamped runs behind the other by some ms.
      for (const id of ['delay', 'time']) assert.ok(Date.parse(job.result(id).started_at) >= dropped + 2950, id);
      assert.ok(job.isIn('pending', 'never'));
      assert.match((await place.spoold('status', 'later/never')).out, /not_before|for its time/);
      writeFileSync(job.file('pending', 'never'), '{"command": "true"}');
      await job.comesTo('succeeded', 'never');
    } finally {
      await place.close();
    }
  });
});

describe('an attempt that is lost', { concurrency: true }, () => {
  it('is outside the budget of `retry`, and its bound begins again after `spoold retry`', async () => {
    const place = new Place({ config: 'max_parallel: 20\n' });
    try {
      await place.start();
      const gate = place.aside('mend');
      const shell = `[ -e '${gate}' ] && exit 1; kill -9 $PPID; exit 0`;
      const job = place.job('lost').drop('x', { shell, retry: 1 });
      await job.comesTo('failed', 'x');
      const ways = () => job.results('x').map(({ reason, to }) => `${reason} ${to}`);
      const bound = ['lost pending', 'lost pending', 'lost pending', 'lost failed'];
      assert.deepEqual(ways(), bound);
      assert.equal((await place.spoold('retry', 'lost/x')).status, 0);
      const isOver = (many: number) => () =>
        job.results('x').length === many && job.isIn('failed', 'x') && !job.isClaimed('x');
      await waitUntil('four more', isOver(8), () => job.describe('x'));
      assert.deepEqual(ways(), [...bound, ...bound]);
      writeFileSync(gate, '');
      assert.equal((await place.spoold('retry', 'lost/x')).status, 0);
      await waitUntil('two failures', isOver(10), () => job.describe('x'));
      assert.deepEqual(ways().slice(8), ['exit pending', 'exit failed'], 'the budget is its own');
    } finally {
      await place.close();
    }
  });
});
