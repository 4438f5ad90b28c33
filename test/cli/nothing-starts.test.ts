// Where nothing starts though a daemon is there: a job of which it makes nothing, one that is frozen, one that goes away.
// `status`, `why` and `wait` say so, and `start` takes no such daemon for one that serves.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readProcess } from '../../src/host/identity.ts';
import { isThere, type Place, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { pretendDaemon, quietPlace } from './quiet-place.ts';

const task = { command: ['true'] };
const running = (pid: number | undefined) => ({ running: true, pid, version: '', started_at: '' });

/** Waits until `spoold` says what is expected with these arguments. */
async function says(place: Place, words: RegExp, ...args: string[]): Promise<void> {
  let last = '';
  await waitUntil(
    `spoold ${args.join(' ')} says ${words}`,
    async () => words.test((last = (await place.spoold(...args)).out)),
    () => last,
  );
}

interface Trouble {
  cause: string;
  path: string;
  reason: string;
}

/** `status --json`, of everything and of the job, has the trouble as `why --json` has it. */
async function saysInJson(place: Place, name: string, trouble: Omit<Trouble, 'reason'>, reason: RegExp): Promise<void> {
  const read = async (...args: string[]) => JSON.parse((await place.spoold(...args, '--json')).out) as unknown;
  const { jobs } = (await read('status')) as { jobs: { name: string; trouble: Trouble | null }[] };
  const whole = jobs.find((job) => job.name === name)?.trouble;
  const one = ((await read('status', name)) as { trouble: Trouble | null }).trouble;
  const { causes } = (await read('why', name)) as { causes: Trouble[] };
  assert.match(whole?.reason ?? '', reason);
  assert.deepEqual(whole, { ...trouble, reason: whole?.reason });
  assert.deepEqual([one, causes.find(({ cause }) => cause === trouble.cause)], [whole, whole]);
}

describe('a job of which the daemon starts nothing', { concurrency: true }, () => {
  it('is named in the first line of status with the reason below, and why says it, until it is mended', async () => {
    await withPlace({}, async (place) => {
      await place.start();
      const wrong = place.job('wrong').make({ max_paralel: 4 }).drop('x', task);
      await says(place, /^daemon .* · nothing is started of wrong: see below\n/, 'status');
      await says(
        place,
        /wrong\/job\.json does not read, so its job starts nothing: 1:2: max_paralel: .*max_parallel/,
        'status',
      );
      await says(place, /^daemon .* · nothing is started of wrong: see below\n/, 'status', 'wrong');
      await saysInJson(place, 'wrong', { cause: 'job_unreadable', path: wrong.path('job.json') }, /max_paralel/);
      await says(place, /^wrong\/x waits because its job\.json does not read, .*max_paralel/, 'why', 'wrong/x');
      writeFileSync(wrong.path('job.json'), '{"max_parallel": 4}');
      await wrong.comesTo('succeeded', 'x');
      await says(place, /^daemon [^·]*\n/, 'status');
    });
  });

  it('is one with a link in the place of a folder, and the second of two whose names differ only in case', async () => {
    await withPlace({}, async (place) => {
      const linked = place.job('linked').drop('x', task);
      mkdirSync(place.aside('elsewhere'));
      symlinkSync(place.aside('elsewhere'), linked.path('failed'));
      await place.start();
      await place.job('etl').drop('x', task).comesTo('succeeded', 'x');
      place.job('ETL').drop('x', task);
      await says(place, /nothing is started of ETL, linked: see below/, 'status');
      await says(
        place,
        /^linked\/x waits because the daemon leaves its job alone: .*failed is a link/,
        'why',
        'linked/x',
      );
      await saysInJson(place, 'linked', { cause: 'job_left_alone', path: linked.path() }, /failed is a link/);
      await saysInJson(place, 'ETL', { cause: 'job_left_alone', path: place.job('ETL').path() }, /only in case/);
      await says(place, /ETL is left alone, .*: there is a job etl, which differs only in case/, 'status', 'ETL');
      rmSync(linked.path('failed'));
      renameSync(place.job('ETL').path(), place.job('etl-2').path());
      for (const name of ['linked', 'etl-2']) await place.job(name).comesTo('succeeded', 'x');
      await says(place, /^daemon [^·]*\n/, 'status');
    });
  });

  it('is not waited for, once the daemon has said so for a while; nor is a resource that it never has', async () => {
    const place = quietPlace();
    try {
      place.job('wrong').drop('x', task);
      place.job('much').drop('x', { ...task, resources: { gpu: 3 } });
      const heartbeat_at = '2999-01-01T00:00:00Z';
      pretendDaemon(place, { heartbeat_at, damaged: { wrong: 'max_paralel: no such key' }, resources: { gpu: 2 } });
      const wrong = await place.spoold('wait', 'wrong');
      assert.match(wrong.err, /wait for ever: .*wrong\/job\.json does not read \(max_paralel: no such key\)/);
      assert.equal(wrong.status, 3);
      const much = await place.spoold('wait', 'much/x');
      assert.match(much.err, /wait for ever: much\/x asks for more gpu than there is in all/);
      assert.equal(much.status, 3);
      place.job('much').drop('y', { ...task, resources: { gpu: 2 } });
      assert.equal((await place.spoold('wait', 'much', '--timeout', '2s')).status, 124);
    } finally {
      rmSync(place.at('daemon.json'));
      await place.close();
    }
  });

  it('a file in jobs/ is said to be in no job', async () => {
    const place = quietPlace();
    try {
      writeFileSync(place.at('jobs', 'x.json'), '{}');
      assert.match(
        (await place.spoold('status')).out,
        /jobs\/x\.json is in no job: tasks go into jobs\/NAME\/pending\//,
      );
    } finally {
      await place.close();
    }
  });
});

describe('a daemon that is there and does not serve', { concurrency: true }, () => {
  it('is named where it is frozen, and started again, stopped or waited for it is not', async () => {
    await withPlace({}, async (place) => {
      const { pid } = await place.start();
      process.kill(pid as number, 'SIGSTOP');
      try {
        await waitUntil('it is frozen', () => readProcess(pid as number)?.state === 'T');
        place.job('j').drop('x', task);
        assert.match((await place.spoold('status')).out, new RegExp(`^daemon .* it is frozen, .*: kill -CONT ${pid}`));
        assert.match((await place.spoold('why', 'j/x')).out, new RegExp(`is frozen, (.*\n)*Next: kill -CONT ${pid}\n`));
        const { daemon } = JSON.parse((await place.spoold('status', '--json')).out) as { daemon: object };
        assert.deepEqual({ ...daemon, version: '', started_at: '' }, { ...running(pid), frozen: true });
        for (const [status, ...args] of [
          [1, 'start'],
          [3, 'wait'],
          [3, 'run', 'touch', place.aside('ran')],
          [1, 'stop'],
          [1, 'stop', '--kill'],
          [1, 'stop', '--drain'],
          [1, 'restart'],
        ] as const) {
          const spoken = await place.spoold(...args);
          assert.match(spoken.err, new RegExp(`is frozen, (.*\n)*.*Wake it: kill -CONT ${pid}`));
          assert.deepEqual([spoken.status, spoken.out], [status, '']);
        }
        assert.deepEqual([place.job('j').ids('pending'), isThere(place.aside('ran'))], [['x'], false]);
      } finally {
        process.kill(pid as number, 'SIGCONT'); // it was not asked to stop, and goes on
      }
      await place.job('j').comesTo('succeeded', 'x');
      await place.job('j').drop('y', task).comesTo('succeeded', 'y');
      const { daemon } = JSON.parse((await place.spoold('status', '--json')).out) as { daemon: object };
      assert.deepEqual({ ...daemon, version: '', started_at: '' }, { ...running(pid), frozen: false });
    });
  });

  it('is no daemon to start where it drains: restart has another one serve, and what runs goes on', async () => {
    await withPlace({}, async (place) => {
      try {
        await place.spoold('start');
        const job = place.job('j').drop('x', { shell: 'echo begun; sleep 1000' });
        await job.says('x', 'begun');
        assert.equal((await place.spoold('stop', '--drain', '--timeout', '100ms')).status, 124);
        const { status, err } = await place.spoold('start');
        assert.match(err, /is draining: .*\n.*spoold restart --dir /);
        assert.equal(status, 1);
        assert.equal((await place.spoold('restart')).status, 0);
        assert.match((await place.spoold('start')).out, /already\n$/);
        assert.deepEqual([job.ids('running'), job.names('runs')], [['x'], ['x.1']]);
      } finally {
        await place.spoold('stop', '--kill');
      }
    });
  });

  it('is no daemon to start either where it has given the directory back, and its process does other things yet', async () => {
    const place = quietPlace();
    try {
      pretendDaemon(place, { stopping: 'now' }); // this very process, as doctor --fix is one for a moment
      const { status, out } = await place.spoold('start');
      const record = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { identity: { pid: number } };
      assert.equal(out, `spoold ${record.identity.pid} serves ${place.dir}\n`);
      assert.notEqual(record.identity.pid, process.pid);
      assert.equal(status, 0);
    } finally {
      await place.spoold('stop');
      await place.close();
    }
  });
});
