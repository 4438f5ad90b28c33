// A link in the place of a job or of one of its folders: no verb writes, moves or counts what lies behind it, and none says
// that it has done what it could not.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ownFolders } from '../../src/client/own-folders.ts';
import { scratchStateDir } from '../helpers/scratch.ts';
import { type JobHands, type Place, withPlace } from '../helpers/place.ts';
import { pretendDaemon, quietPlace, script } from './quiet-place.ts';

/** All that lies outside: names and texts. */
function lookAt(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return entry.isFile() ? `${path}: ${readFileSync(path, 'utf8')}` : path;
    })
    .sort();
}

const task = '{"command":["true"]}';

/** A job with a task in every folder, and a folder outside that looks like one of its folders, or like a job. */
async function inJob(run: (place: Place, job: JobHands, outside: string) => Promise<void>): Promise<void> {
  const place = quietPlace();
  try {
    const job = place.job('q');
    for (const folder of ['pending', 'running', 'failed', 'cancelled', 'succeeded', 'skipped', 'rejected', 'runs'])
      mkdirSync(job.path(folder), { recursive: true, mode: 0o700 });
    for (const folder of ['pending', 'failed', 'cancelled', 'rejected'])
      writeFileSync(job.path(folder, `${folder}.json`), task);
    const outside = place.aside('outside');
    mkdirSync(join(outside, 'pending'), { recursive: true });
    mkdirSync(join(outside, 'failed'));
    for (const file of ['stranger.json', 'pending/stranger.json', 'failed/stranger.json'])
      writeFileSync(join(outside, file), task);
    writeFileSync(join(outside, 'paused'), '');
    await run(place, job, outside);
  } finally {
    await place.close();
  }
}

function swap(path: string, outside: string): void {
  renameSync(path, `${path}.away`);
  symlinkSync(outside, path);
}

async function refuses(place: Place, link: string, outside: string, ...args: string[]): Promise<void> {
  const before = lookAt(outside);
  const { status, out, err } = await place.spoold(...args);
  const what = `${args.join(' ')}: ${out}${err}`;
  assert.equal(status, 1, what);
  assert.equal(out, '', what);
  assert.ok(err.includes(`${link} is a link, where there has to be a folder`), what);
  assert.match(err, /\nNothing was changed\. Move it away, and put a folder there\.\n$/, what);
  assert.deepEqual(lookAt(outside), before, what);
}

describe('a link in the place of', { concurrency: true }, () => {
  it('pending/ takes no task and gives none', () =>
    inJob(async (place, job, outside) => {
      swap(job.path('pending'), outside);
      const refused = (...args: string[]) => refuses(place, job.path('pending'), outside, ...args);
      await refused('add', '-J', 'q', 'true');
      await refused('add', '-J', 'q', '--id', 'mine', 'true');
      await refused('add', '-J', 'q', 'echo', ':::', 'a', 'b');
      await refused('retry', 'q/failed');
      await refused('retry', 'q');
      await refused('cancel', 'q/stranger');
      await refused('cancel', 'q');
      await refused('mark', 'q/stranger', 'succeeded');
      await refused('edit', 'q/stranger');
      await refused('retry', '--edit', 'q/rejected');
      const { out } = await place.spoold('status', 'q');
      assert.doesNotMatch(out, /stranger/);
      assert.ok(out.includes(`${job.path('pending')} is a link`), out);
      const { counts } = JSON.parse((await place.spoold('status', 'q', '--json')).out) as { counts: object };
      assert.deepEqual(counts, {
        ...{ pending: 0, running: 0, succeeded: 0, failed: 1, cancelled: 1, skipped: 0, rejected: 1, held: 0 },
      });
    }));

  it('the folder that a task is moved to or from stops the move, and no other', () =>
    inJob(async (place, job, outside) => {
      swap(job.path('cancelled'), outside);
      await refuses(place, job.path('cancelled'), outside, 'cancel', 'q/pending');
      await refuses(place, job.path('cancelled'), outside, 'cancel', 'q');
      await refuses(place, job.path('cancelled'), outside, 'retry', 'q/stranger');
      assert.ok(job.isIn('pending', 'pending'));
      const others = await place.spoold('retry', 'q/failed');
      assert.deepEqual([others.status, job.ids('pending')], [0, ['failed', 'pending']]);
      rmSync(job.path('cancelled'));
      renameSync(job.path('cancelled.away'), job.path('cancelled'));
      swap(job.path('rejected'), outside);
      await refuses(place, job.path('rejected'), outside, 'retry', 'q/stranger');
      swap(job.path('skipped'), outside);
      await refuses(place, job.path('skipped'), outside, 'mark', 'q/pending', 'skipped');
    }));

  it('a job, or jobs/, is written to by no verb', () =>
    inJob(async (place, _, outside) => {
      const link = place.at('jobs', 'lj');
      symlinkSync(outside, link);
      const flow = place.aside('flow.yaml');
      writeFileSync(flow, 'tasks: {x: {shell: echo}}\n');
      const verbs = (name: string) => [
        ['add', '-J', name, 'true'],
        ['pause', name],
        ['resume', name],
        ['parallel', '2', name],
        ['parallel', '--unset', name],
        ['submit', flow, '--job', name],
        ['cancel', name],
        ['cancel', `${name}/stranger`],
        ['retry', name],
        ['mark', `${name}/stranger`, 'succeeded'],
        ['edit', `${name}/stranger`],
      ];
      for (const args of verbs('lj')) await refuses(place, link, outside, ...args);
      const { out } = await place.spoold('status', 'lj');
      assert.doesNotMatch(out, /stranger/);
      assert.match(out, /lj is completed: no tasks\n.*lj is left alone, so nothing of it starts: .* is a link/);
      const others = place.aside('others');
      mkdirSync(join(others, 'q', 'pending'), { recursive: true });
      writeFileSync(join(others, 'q', 'pending', 'stranger.json'), task);
      swap(place.at('jobs'), others);
      const before = lookAt(others);
      for (const args of [...verbs('q'), ['add', '-J', 'new', 'true'], ['submit', flow, '--job', 'new']]) {
        const { status, out: said, err } = await place.spoold(...args);
        assert.deepEqual([status, said], [2, ''], args.join(' '));
        assert.ok(err.includes(`${place.at('jobs')} is a link: it should be a folder`), err);
      }
      assert.deepEqual(lookAt(others), before);
    }));

  it('the folder of numbers takes none elsewhere; with an id a task is queued all the same', () =>
    inJob(async (place, job, outside) => {
      writeFileSync(join(outside, '7'), '');
      symlinkSync(outside, job.path('.next'));
      const before = lookAt(outside);
      const { status, out, err } = await place.spoold('add', '-J', 'q', 'true');
      assert.deepEqual([status, out, lookAt(outside)], [1, '', before]);
      assert.ok(err.startsWith(`spoold: ${job.path('.next')} is a link or no folder`), err);
      assert.equal((await place.spoold('add', '-J', 'q', '--id', 'mine', 'true')).out, 'q/mine\n');
    }));

  it('a folder that a finished job has is not archived with it', () =>
    inJob(async (place, job, outside) => {
      rmSync(job.file('pending', 'pending'));
      swap(job.path('succeeded'), outside);
      const flow = place.aside('flow.yaml');
      writeFileSync(flow, 'tasks: {x: {shell: echo}}\n');
      await refuses(place, job.path('succeeded'), outside, 'submit', flow, '--job', 'q');
      assert.deepEqual(readdirSync(place.at('jobs')), ['q']);
    }));

  it('a folder, made while a task is edited, gets nothing: the copy is kept', () =>
    inJob(async (place, job, outside) => {
      const hand = `echo '{"command":["false"]}' >"$1"; mv '${job.path('pending')}' '${job.path('away')}'; ln -s '${outside}' '${job.path('pending')}'`;
      process.env.EDITOR = script(place, 'editor', hand);
      const before = lookAt(outside);
      const { status, err } = await place.spoold('edit', 'q/pending');
      assert.equal(status, 1);
      assert.match(err, /pending is a link|was not made/);
      assert.deepEqual(lookAt(outside), before);
    }));
});

function pendingOf(t: TestContext) {
  const layout = scratchStateDir(t);
  const folders = ownFolders(layout, 'q', ['pending'], 'pending');
  return { layout, folders, path: layout.job('q').folder('pending') };
}

describe('a folder that is swapped while a verb is at work', { concurrency: true }, () => {
  it('is found before it says that it has done it', (t) => {
    const { layout, folders, path } = pendingOf(t);
    folders.confirm();
    mkdirSync(join(layout.root, 'elsewhere'));
    swap(path, join(layout.root, 'elsewhere'));
    assert.throws(() => folders.confirm(), { code: 'JOB_LEFT_ALONE', path, exit: 1, hint: /may lie elsewhere/ });
    rmSync(path);
    writeFileSync(path, '');
    assert.throws(() => folders.confirm(), { code: 'JOB_LEFT_ALONE', message: /is no folder, where/ });
    rmSync(path);
    mkdirSync(path);
    assert.throws(() => folders.confirm(), { code: 'JOB_TAKEN', path, exit: 1 });
    rmSync(path, { recursive: true });
    renameSync(`${path}.away`, path);
    folders.confirm();
  });

  it('is no such one where its job makes way for another: what came late moves on', (t) => {
    const { layout, folders } = pendingOf(t);
    renameSync(layout.job('q').root, join(layout.jobs, '.archived-q.20300131T090000Z'));
    folders.confirm();
    mkdirSync(layout.job('q').folder('pending'), { recursive: true });
    folders.confirm();
    mkdirSync(layout.archive);
    renameSync(join(layout.jobs, '.archived-q.20300131T090000Z'), join(layout.archive, 'q.20300131T090000Z'));
    folders.confirm();
  });
});

describe('a wait for a job that is left alone', { concurrency: true }, () => {
  it('ends at once: nothing of it starts, and what runs behind the link is not its own', async () => {
    const place = quietPlace();
    try {
      const outside = place.aside('outside');
      for (const folder of ['pending', 'running']) mkdirSync(join(outside, folder), { recursive: true });
      for (const file of ['pending/1.json', 'running/2.json']) writeFileSync(join(outside, file), task);
      symlinkSync(outside, place.at('jobs', 'lk'));
      pretendDaemon(place);
      for (const args of [['lk'], ['lk/1'], []]) {
        const { status, err } = await place.spoold('wait', ...args, '--timeout', '60s');
        assert.match(err, /wait for ever: .*jobs\/lk is left alone \(.*jobs\/lk is a link: move it away/);
        assert.equal(status, 3);
      }
    } finally {
      rmSync(place.at('daemon.json'));
      await place.close();
    }
  });

  it('ends once the daemon has said for a while that it leaves it alone, for its name or who may write to it', async () => {
    const place = quietPlace();
    try {
      place.job('ETL').drop('x', { command: ['true'] });
      mkdirSync(place.job('ETL').path('running'));
      place.job('ETL').write('running/y.json', task);
      const left_alone = { ETL: 'there is a job etl, which differs only in case' };
      pretendDaemon(place, { heartbeat_at: '2999-01-01T00:00:00Z', left_alone });
      const { status, err } = await place.spoold('wait', 'ETL', '--timeout', '60s');
      assert.match(err, /wait for ever: .*jobs\/ETL is left alone \(there is a job etl/);
      assert.equal(status, 3);
    } finally {
      rmSync(place.at('daemon.json'));
      await place.close();
    }
  });

  it('and a daemon that serves: the task that add could not queue is queued once the folder is back', async () => {
    await withPlace({}, async (place) => {
      await place.start();
      const job = place.job('q');
      await job.drop('first', { command: ['true'] }).comesTo('succeeded', 'first');
      const outside = place.aside('outside');
      mkdirSync(outside);
      swap(job.path('pending'), outside);
      await refuses(place, job.path('pending'), outside, 'add', '-J', 'q', '--id', 'x', 'true');
      rmSync(job.path('pending'));
      renameSync(job.path('pending.away'), job.path('pending'));
      assert.equal((await place.spoold('add', '-J', 'q', '--id', 'x', 'true')).status, 0);
      await job.comesTo('succeeded', 'x');
    });
  });
});
