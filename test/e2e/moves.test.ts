// Every move that a person may want is a move: `mv` between any two folders of states, seen by a hint at once, and by the
// next look where the hint was lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type Folder, type JobHands, type Live, lives, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const WAITS = { command: 'true', dependencies: ['never'] };

/** Brings a task into a state, by what it does or by hand. */
async function bring(job: JobHands, id: string, to: Folder): Promise<void> {
  const marker = job.place.aside(`${job.name}-${id}-marker`);
  const again = `[ ! -e '${marker}' ] || { echo again; exit 0; }; touch '${marker}'`;
  switch (to) {
    case 'pending':
      job.drop(id, WAITS).drop(`${id}-other`, { command: 'true' });
      return job.comesTo('succeeded', `${id}-other`);
    case 'running':
      job.drop(id, { shell: `${again}; echo runs; exec sleep 1000` });
      await job.says(id, 'runs');
      return;
    case 'succeeded':
      job.drop(id, { shell: again });
      return job.comesTo('succeeded', id);
    case 'failed':
      job.drop(id, { shell: `${again}; exit 3` });
      return job.comesTo('failed', id);
    case 'cancelled':
      await bring(job, id, 'running');
      job.move(id, 'running', 'cancelled');
      return job.comesTo('cancelled', id);
    case 'skipped':
      job.drop(`${id}-bad`, { command: 'false' }).drop(id, { command: 'true', dependencies: [`${id}-bad`] });
      return job.comesTo('skipped', id);
    default:
      job.drop(id, { commando: 1 });
      await job.rejects(id);
  }
}

/** The attempt of x is over. */
async function isOver(job: JobHands, family: readonly Live[]): Promise<void> {
  await waitUntil(
    'its processes have ended',
    () => !family.some(lives),
    () => family,
  );
  await waitUntil(
    'its claim is given up',
    () => !job.isClaimed('x'),
    () => job.describe('x'),
  );
}

const FINAL: Folder[] = ['succeeded', 'failed', 'cancelled', 'skipped'];

describe('a task moved by hand', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 60\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  for (const from of ['succeeded', 'failed', 'cancelled'] as const) {
    it(`from ${from}/ to pending/ runs again, as a new attempt`, async () => {
      const job = place.job(`again-${from}`);
      await bring(job, 'x', from);
      job.move('x', from, 'pending');
      await waitUntil(
        'attempt 2 has ended',
        () => job.hasResult('x', 2),
        () => job.describe('x'),
      );
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x', 2), 'again\n');
      assert.deepEqual(
        job.results('x').map(({ to }) => to),
        [from, 'succeeded'],
      );
    });
  }

  it('from skipped/ to pending/ is judged afresh: skipped again while its cause is there', async () => {
    const job = place.job('again-skipped');
    await bring(job, 'x', 'skipped');
    job.move('x', 'skipped', 'pending');
    await job.comesTo('skipped', 'x');
    await waitUntil(
      'it says why',
      () => job.names('skipped').includes('x.reason.txt'),
      () => job.names('skipped'),
    );
    assert.equal(job.results('x').length, 0);
  });

  for (const from of ['pending', ...FINAL] as const) {
    for (const to of FINAL) {
      if (from === to) continue;
      it(`from ${from}/ to ${to}/ stays there, and is what its dependents see`, async () => {
        const job = place.job(`${from}-${to}`).make({ max_parallel: 5 });
        await bring(job, 'x', from);
        const attempts = job.results('x').length;
        job.move('x', from, to);
        job.drop('after', { command: 'true', dependencies: ['x'] });
        await job.comesTo(to === 'succeeded' ? 'succeeded' : 'skipped', 'after');
        assert.equal(job.folderOf('x'), to);
        assert.equal(job.results('x').length, attempts);
      });
    }
  }

  for (const to of FINAL) {
    it(`from running/ to ${to}/ is ended, stays there, and its attempt says so`, async () => {
      const job = place.job(`running-${to}`).make({ max_parallel: 5 });
      await bring(job, 'x', 'running');
      const family = place.processesOf(job.runDir('x'));
      assert.ok(family.length > 0);
      job.move('x', 'running', to);
      await isOver(job, family);
      assert.equal(job.folderOf('x'), to);
      const { outcome, reason } = job.result('x');
      assert.deepEqual(
        { outcome, reason },
        { outcome: 'cancelled', reason: to === 'cancelled' ? 'cancelled' : 'moved' },
      );
      job.drop('after', { command: 'true', dependencies: ['x'] });
      await job.comesTo(to === 'succeeded' ? 'succeeded' : 'skipped', 'after');
    });
  }

  it('from running/ to pending/ is ended and run again', async () => {
    const job = place.job('running-pending');
    await bring(job, 'x', 'running');
    const family = place.processesOf(job.runDir('x'));
    job.move('x', 'running', 'pending');
    await job.comesTo('succeeded', 'x');
    assert.ok(!family.some(lives));
    assert.equal(job.output('x', 2), 'again\n');
  });

  it('deleted while it runs is ended and forgotten, and its id is free', async () => {
    const job = place.job('running-deleted');
    await bring(job, 'x', 'running');
    const family = place.processesOf(job.runDir('x'));
    rmSync(job.file('running', 'x'));
    await isOver(job, family);
    assert.equal(job.result('x').reason, 'deleted');
    job.drop('x', { shell: 'echo new' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x', 2), 'new\n');
  });

  for (const from of ['pending', 'failed', 'succeeded', 'cancelled'] as const) {
    it(`from ${from}/ to running/ goes back to pending/ and is run as any other`, async () => {
      const job = place.job(`${from}-running`);
      if (from === 'pending') {
        job.make({}, { paused: '' }).drop('x', { shell: 'echo again' });
        await waitUntil('the folder is there', () => job.names('').includes('running'));
      } else await bring(job, 'x', from);
      const earlier = job.results('x').length;
      job.move('x', from, 'running');
      if (from === 'pending') rmSync(job.path('paused'));
      await waitUntil(
        'another attempt',
        () => job.hasResult('x', earlier + 1),
        () => job.describe('x'),
      );
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x', earlier + 1), 'again\n');
    });
  }

  it('to rejected/ without a reason stays there, and runs once it is moved back', async () => {
    const job = place.job('by-hand-rejected');
    await bring(job, 'x', 'failed');
    job.move('x', 'failed', 'rejected');
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    assert.equal(job.folderOf('x'), 'rejected');
    job.move('x', 'rejected', 'pending');
    await job.comesTo('succeeded', 'x');
  });

  it('a cancelled parent takes its family along: the waiting and the running', async () => {
    const job = place
      .job('family')
      .make({ max_parallel: 5 })
      .drop('p', {
        shell: `
        printf '%s' '{"shell":"echo child runs; exec sleep 1000"}' >"$SPOOLD_PENDING/.a"; mv "$SPOOLD_PENDING/.a" "$SPOOLD_PENDING/a.json"
        printf '%s' '{"command":"true","dependencies":["a"]}' >"$SPOOLD_PENDING/.b"; mv "$SPOOLD_PENDING/.b" "$SPOOLD_PENDING/b.json"
        echo dropped; exec sleep 1000`,
      });
    await job.says('a', 'child runs');
    await waitUntil(
      'the other child waits',
      () => job.isIn('pending', 'b'),
      () => job.describe('b'),
    );
    job.move('p', 'running', 'cancelled');
    for (const id of ['p', 'a', 'b']) await job.comesTo('cancelled', id);
    assert.equal(job.result('a').reason, 'cancelled');
    assert.equal(job.results('b').length, 0);
  });

  it('a retry brings back exactly what its failure had cost', async () => {
    const job = place.job('cost').make({ max_parallel: 5 });
    const marker = place.aside('cost-marker');
    job.drop('bad', { shell: `[ -e '${marker}' ]` }).drop('worse', { command: 'false' });
    job.drop('one', { command: 'true', dependencies: ['bad'] }).drop('two', { command: 'true', dependencies: ['one'] });
    job.drop('other', { command: 'true', dependencies: ['worse'] });
    for (const id of ['one', 'two', 'other']) await job.comesTo('skipped', id);
    writeFileSync(marker, '');
    job.move('bad', 'failed', 'pending');
    for (const id of ['bad', 'one', 'two']) await job.comesTo('succeeded', id);
    assert.equal(job.folderOf('other'), 'skipped');
    assert.deepEqual(job.names('skipped'), ['other.json', 'other.reason.txt']);
  });
});

describe('what a hint has not told', () => {
  /** No inotify watch can be had in here: a limit of user namespaces that their root may lower. */
  const deaf = ['unshare', '-Ur', 'sh', '-c', 'echo 0 >/proc/sys/user/max_inotify_watches; exec "$@"', 'sh'];
  const canBeDeaf =
    spawnSync('unshare', ['-Ur', 'sh', '-c', 'echo 0 >/proc/sys/user/max_inotify_watches']).status === 0;

  it('drops, moves, deletions, settings and ends are found by the next look', {
    skip: canBeDeaf ? false : 'user namespaces are not to be had here',
  }, async () => {
    const place = new Place({ config: 'poll_interval: 200ms\nmax_parallel: 5\n', under: deaf });
    try {
      await place.start();
      const job = place.job('a').make({ max_parallel: 3 });
      await bring(job, 'fails', 'failed');
      job.move('fails', 'failed', 'pending');
      await job.comesTo('succeeded', 'fails');
      await bring(job, 'runs', 'running');
      job.move('runs', 'running', 'cancelled');
      await job.comesTo('cancelled', 'runs');
      await bring(job, 'gone', 'running');
      const family = place.processesOf(job.runDir('gone'));
      rmSync(job.file('running', 'gone'));
      await waitUntil(
        'its processes have ended',
        () => !family.some(lives),
        () => family,
      );
      writeFileSync(place.at('parallel'), '0');
      writeFileSync(job.path('job.json'), '{"max_parallel": 2, "defaults": {"env": {"WORD": "later"}}}');
      job.drop('between', { command: 'true' });
      rmSync(place.at('parallel'));
      await job.comesTo('succeeded', 'between');
      job.drop('said', { shell: 'echo $WORD' });
      await job.comesTo('succeeded', 'said');
      assert.equal(job.output('said'), 'later\n');
      assert.match(place.log, /cannot be watched/);
      await bring(job, 'adopted', 'running');
      await place.kill9();
      await place.start();
      job.move('adopted', 'running', 'cancelled');
      await job.comesTo('cancelled', 'adopted');
    } finally {
      await place.close();
    }
  });

  it('a folder that was swapped for another by rename is watched again', async () => {
    const place = new Place({ config: 'poll_interval: 1h\n' });
    try {
      await place.start();
      const job = place.job('a').drop('first', { command: 'true' });
      await job.comesTo('succeeded', 'first');
      renameSync(job.path('pending'), job.path('pending.old'));
      mkdirSync(job.path('pending'));
      writeFileSync(job.file('pending', 'x'), '{"command":"true"}');
      await job.comesTo('succeeded', 'x');
      writeFileSync(job.file('pending', 'y'), '{"command":"true"}');
      await job.comesTo('succeeded', 'y');
    } finally {
      await place.close();
    }
  });
});
