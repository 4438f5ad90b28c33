// `spoold wait`: the exit status says how it went, and what would take for ever is refused.
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pty from '@lydell/node-pty';
import { bin, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { pretendDaemon, quietPlace } from './quiet-place.ts';

const kid = (id: string, task: object) =>
  `echo '${JSON.stringify(task)}' >"$SPOOLD_PENDING/.x" && mv "$SPOOLD_PENDING/.x" "$SPOOLD_PENDING/${id}.json"`;

/** `spoold wait` on a terminal: resolves once it shows that it waits; `ended` gives its exit status. */
async function waiting(place: Place, ...args: string[]): Promise<{ ended: Promise<number> }> {
  const terminal = pty.spawn(process.execPath, [bin, 'wait', '--dir', place.dir, ...args], { cols: 100, rows: 30 });
  let seen = '';
  terminal.onData((data) => (seen += data));
  const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)));
  await waitUntil(
    'it shows that it waits',
    () => /\d running, \d waiting/.test(seen),
    () => seen,
  );
  return { ended };
}

describe('the exit status of wait', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\n' });
  before(() => place.start());
  after(() => place.close());

  const statuses: [string, object, number][] = [
    ['0 for a success', { command: ['true'] }, 0],
    ["the task's own for a failure", { shell: 'exit 42' }, 42],
    ['128 + n for a signal', { shell: 'kill -KILL $$' }, 137],
    ['127 for a command that does not exist', { command: ['no-such-command-here'] }, 127],
    ['125 for a working directory that does not exist', { command: ['true'], cwd: '/no/such/folder' }, 125],
    ['that of the last attempt', { shell: 'exit $SPOOLD_ATTEMPT', retry: 2 }, 3],
  ];
  for (const [index, [what, task, expected]] of statuses.entries()) {
    it(`is ${what}`, async () => {
      place.job(`s${index}`).drop('x', task as Record<string, unknown>);
      const { status, out } = await place.spoold('wait', `s${index}/x`);
      assert.equal(status, expected);
      assert.equal(out, '');
    });
  }

  it('is 1 for a cancelled and for a skipped task, whatever the signal that ended it', async () => {
    const job = place
      .job('gone')
      .drop('x', { command: ['sleep', '1000'] })
      .drop('y', { command: ['true'], dependencies: ['z'] })
      .drop('z', { command: ['false'], dependencies: ['x'] });
    await job.comesTo('running', 'x');
    const task = await waiting(place, 'gone/x');
    job.move('x', 'running', 'cancelled');
    assert.equal(await task.ended, 1);
    assert.equal((await place.spoold('wait', 'gone/z')).status, 1);
    assert.equal(job.folderOf('z'), 'skipped');
  });

  it('is 0 or 1 for several tasks, and for a job', async () => {
    place
      .job('several')
      .drop('good', { command: ['true'] })
      .drop('bad', { shell: 'exit 9' });
    const both = await place.spoold('wait', 'several/good', 'several/bad', '--json');
    assert.equal(both.status, 1);
    const { items } = JSON.parse(both.out) as { items: { task: string; status: number }[] };
    assert.deepEqual(
      items.map(({ task, status }) => [task, status]),
      [
        ['good', 0],
        ['bad', 9],
      ],
    );
    const whole = await place.spoold('wait', 'several');
    assert.equal(whole.status, 1);
    assert.match(whole.err, /several is failed: 1 failed/);
    place.job('fine').drop('x', { command: ['true'] });
    assert.equal((await place.spoold('wait', '--job', 'fine')).status, 0);
  });

  it('waits for what the task queued, and tells of it if that failed', async () => {
    const job = place.job('family').make({ max_parallel: 1 });
    job.drop('x', { shell: kid('kid', { shell: 'sleep 0.5; exit 5' }) });
    const { status, err } = await place.spoold('wait', 'family/x');
    assert.equal(job.folderOf('kid'), 'failed');
    assert.equal(status, 1);
    assert.match(err, /kid, which it queued, is failed/);
  });

  it('is 124 at the timeout, and the task goes on', async () => {
    const job = place.job('long').drop('x', { command: ['sleep', '1000'] });
    await job.comesTo('running', 'x');
    const { status, err } = await place.spoold('wait', 'long/x', '--timeout', '0.2');
    assert.equal(status, 124);
    assert.match(err, /long\/x has not ended: running/);
    assert.equal(job.folderOf('x'), 'running');
    assert.equal((await place.spoold('wait', 'long/x', '--timeout', 'soon')).status, 2);
    job.move('x', 'running', 'cancelled');
    await job.comesTo('cancelled', 'x');
  });

  it('is 2 for what is not there', async () => {
    assert.equal((await place.spoold('wait', 'nobody')).status, 2);
    assert.equal((await place.spoold('wait', 'nobody/x')).status, 2);
  });

  it('is 1 for a task that is deleted, and for a job that is taken away', async () => {
    const job = place
      .job('deleted')
      .drop('x', { command: ['true'], dependencies: ['y'] })
      .drop('y', { command: ['sleep', '1000'] });
    await job.comesTo('running', 'y');
    const task = await waiting(place, 'deleted/x');
    const whole = await waiting(place, 'deleted');
    rmSync(job.file('pending', 'x'));
    assert.equal(await task.ended, 1);
    renameSync(job.path(), place.aside('removed'));
    assert.equal(await whole.ended, 1);
    await waitUntil('what ran in it has ended', () => place.processesOf(job.runDir('y')).length === 0);
  });

  it('inside a task refuses to wait for its own child, for its job, and for all', async () => {
    const job = place.job('inside');
    const wait = `${process.execPath} ${bin} wait`;
    job.drop('x', {
      shell: `${kid('kid', { command: ['true'] })}; set +e; ${wait} inside/kid; echo $?; ${wait} inside; echo $?; ${wait}; echo $?; ${wait} inside/after; echo $?`,
    });
    job.drop('after', { command: ['true'], dependencies: ['x'] });
    await job.comesTo('succeeded', 'x');
    const said = job.output('x');
    assert.deepEqual(said.match(/^\d+$/gm), ['3', '3', '3', '3']);
    assert.match(
      said,
      /inside\/x would wait for ever: inside\/kid can end only after it\.\nLet what comes afterwards be a task that depends on this one/,
    );
  });
});

describe('wait for a job', () => {
  it('knows it by its folder: one that is archived while we wait has ended as it ended', async () => {
    const place = quietPlace();
    try {
      pretendDaemon(place);
      const job = place.job('old').drop('x', { command: ['true'] });
      mkdirSync(job.path('running'));
      mkdirSync(job.path('succeeded'));
      job.move('x', 'pending', 'running');
      const whole = await waiting(place, 'old');
      const archived = place.at('archive', 'old.2026-01-01T00:00:00Z');
      mkdirSync(place.at('archive'));
      renameSync(job.path(), archived);
      renameSync(join(archived, 'running', 'x.json'), join(archived, 'succeeded', 'x.json'));
      assert.equal(await whole.ended, 0);
    } finally {
      await place.close();
    }
  });
});

/** Waiting is refused, with these words. */
async function refused(place: Place, words: RegExp, ...args: string[]): Promise<void> {
  const { status, err } = await place.spoold('wait', ...args);
  assert.match(err, words);
  assert.equal(status, 3);
}

describe('wait for what can never end', { concurrency: true }, () => {
  it('is refused where no daemon serves the directory', async () => {
    const place = quietPlace();
    try {
      place.job('a').drop('x', { command: ['true'] });
      await refused(place, /no daemon serves .*\nStart one: spoold start/, 'a/x');
      await refused(place, /no daemon serves/);
    } finally {
      await place.close();
    }
  });

  it('is refused where nothing is able to start: a pause, a held file, an id that nobody queued, parallel 0', async () => {
    const place = new Place();
    try {
      await place.start();
      place.job('dep').drop('x', { command: ['true'], dependencies: ['nobody'] });
      place.job('dep').drop('y', { command: ['true'], dependencies: ['x'] });
      await refused(place, /dep\/x waits for nobody, which nobody has queued/, 'dep/y');
      place.job('held').write('pending/x.held', '{"command":["true"]}');
      await refused(place, /held\/x is held back in pending\//, 'held');
      mkdirSync(place.job('stop').path(), { recursive: true });
      await place.spoold('pause', 'stop');
      place.job('stop').drop('x', { command: ['true'] });
      await refused(place, /stop is paused\.\nLet it go on: spoold resume --dir \S+ stop/, 'stop');
      await place.spoold('resume', 'stop');
      await place.spoold('parallel', '0');
      place.job('stop').drop('y', { command: ['true'] });
      await refused(place, /parallel is 0/, 'stop/y');
      await place.spoold('parallel', '--unset');
      assert.equal((await place.spoold('wait', 'stop/y')).status, 0);
    } finally {
      await place.close();
    }
  });

  it('is no reason to give up while a daemon is started again', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place.job('a').drop('x', { shell: `until [ -e ${place.aside('go')} ]; do sleep 0.02; done` });
      await job.comesTo('running', 'x');
      const task = await waiting(place, 'a/x');
      const since = performance.now();
      await place.end();
      await place.start();
      const away = performance.now() - since;
      writeFileSync(place.aside('go'), '');
      const status = await task.ended;
      assert.ok(status === 0 || away > 8_000, `${status}, after ${away} ms`); // on a busy machine it gives up for once
      await waitUntil('it has ended', () => job.folderOf('x') === 'succeeded');
    } finally {
      await place.close();
    }
  });
});
