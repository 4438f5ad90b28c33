// cancel, retry and mark: moves between folders that say what they did.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { signalProcess } from '../../src/host/identity.ts';
import { bin, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { pretendDaemon, quietPlace } from './quiet-place.ts';

interface Event {
  task?: string;
  event: string;
  from?: string;
  to?: string;
  by?: string;
}

function events(place: Place, task: string): Event[] {
  const lines = (readText(place.at('events.ndjson')) ?? '').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Event).filter((event) => event.task === task);
}

describe('moves without a daemon', { concurrency: true }, () => {
  it('cancel of a waiting task is a move, and the events say who did it', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      const { out, status } = await place.spoold('cancel', 'a/x');
      assert.equal(status, 0);
      assert.equal(out, 'a/x is cancelled; it had not started\n');
      assert.ok(job.isIn('cancelled', 'x') && !job.isIn('pending', 'x'));
      const [event] = events(place, 'x');
      assert.deepEqual(
        [event?.event, event?.from, event?.to, event?.by],
        ['cancelled', 'pending', 'cancelled', userInfo().username],
      );
    } finally {
      await place.close();
    }
  });

  it('cancel of what has ended, or is cancelled already, says so and changes nothing', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/y.json', '{}');
      for (const folder of ['failed', 'cancelled']) mkdirSync(job.path(folder));
      job.write('failed/x.json', '{}').write('cancelled/z.json', '{}');
      assert.equal((await place.spoold('cancel', 'a/x')).out, 'a/x has ended already: it is failed\n');
      assert.equal((await place.spoold('cancel', 'a/z')).out, 'a/z is cancelled already\n');
      assert.deepEqual(job.ids('failed'), ['x']);
    } finally {
      await place.close();
    }
  });

  it('cancel of a job takes all that is unfinished, hundreds at once, and names what is held back', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/note.held', '{}');
      for (let i = 0; i < 1200; i++) writeFileSync(job.file('pending', `t${i}`), '{}');
      const { out } = await place.spoold('cancel', 'a');
      assert.match(out, /^1,200 tasks of a are cancelled; they had not started: t0, t1, t2, t3, t4 and 1195 more\n/);
      assert.match(out, /a\/note\.held is held back/);
      assert.equal(job.ids('cancelled').length, 1200);
      assert.deepEqual(job.names('pending'), ['note.held']);
      assert.equal(events(place, 't7').length, 1);
    } finally {
      await place.close();
    }
  });

  it('nothing is moved onto a file that is there already', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/x.json', '{"new":1}');
      mkdirSync(job.path('cancelled'));
      job.write('cancelled/x.json', '{"old":1}');
      const { status, err } = await place.spoold('cancel', 'a/x');
      assert.equal(status, 1);
      assert.match(err, /there is a file .*cancelled\/x\.json already/);
      assert.equal(readText(job.file('cancelled', 'x')), '{"old":1}');
      assert.equal(readText(job.file('pending', 'x')), '{"new":1}');
      const whole = await place.spoold('cancel', 'a');
      assert.equal(readText(job.file('cancelled', 'x')), '{"old":1}');
      assert.equal(whole.status, 0);
    } finally {
      await place.close();
    }
  });

  it('several addresses are each tried; the failure of one is said and is what it ends with', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      const { status, out, err } = await place.spoold('cancel', 'a/nobody', 'b', 'a/x');
      assert.equal(status, 2);
      assert.match(err, /no task nobody in the job a/);
      assert.match(err, /no job b/);
      assert.equal(out, 'a/x is cancelled; it had not started\n');
      assert.ok(job.isIn('cancelled', 'x'));
    } finally {
      await place.close();
    }
  });

  it('--json is a document that names the failures where a part was done, and nothing where nothing was', async () => {
    const place = quietPlace();
    try {
      place.job('a').drop('x', { command: ['true'] });
      for (const verb of ['cancel', 'retry']) {
        const nothing = await place.spoold(verb, '--json', 'a/nobody', 'b/x');
        assert.deepEqual([nothing.status, nothing.out], [2, '']);
        const { status, out, err } = await place.spoold(verb, '--json', 'a/nobody', 'a/x');
        assert.equal(status, 2);
        assert.match(err, /no task nobody/);
        const { moved, errors } = JSON.parse(out) as { moved: { task: string }[]; errors: { code: string }[] };
        assert.deepEqual([moved.map(({ task }) => task), errors.map(({ code }) => code)], [['x'], ['TASK_UNKNOWN']]);
      }
    } finally {
      await place.close();
    }
  });

  it('what is held back stays, with status 1 and how to release it', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/x y.held', '{}').write('pending/z.held', '{}');
      for (const words of [
        ['cancel', 'a/z'],
        ['retry', 'a/z'],
        ['mark', 'a/z', 'succeeded'],
      ]) {
        const { status, out, err } = await place.spoold(...words);
        assert.deepEqual([status, out], [1, ''], words.join(' '));
        assert.match(err, /a\/z is held back in pending\/.*\n.*mv \S+\/pending\/z\.held \S+\/pending\/z\.json\n$/);
      }
      assert.deepEqual(job.names('pending'), ['x y.held', 'z.held']);
    } finally {
      await place.close();
    }
  });

  it('cancel of a task that has succeeded takes the last one of its family, however many others there are', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/other.json', '{"ancestors":["split"],"parent":"split"}');
      for (const folder of ['running', 'succeeded']) mkdirSync(job.path(folder));
      for (let i = 0; i < 2_001; i++) writeFileSync(job.file('running', `t${i}`), '{}');
      job.write('succeeded/split.json', '{}').write('succeeded/alone.json', '{}');
      await place.spoold('cancel', 'a/split');
      assert.equal(job.folderOf('split'), 'cancelled');
      assert.match((await place.spoold('cancel', 'a/alone')).out, /has ended already: it is succeeded/);
    } finally {
      await place.close();
    }
  });

  it('cancel of a job says that it waits for an array to be spread', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/.bundle-x', '[]');
      pretendDaemon(place);
      const child = spawn(process.execPath, [bin, 'cancel', '--dir', place.dir, 'a'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let err = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      const ended = new Promise((resolve) => child.once('close', resolve));
      await waitUntil(
        'it says so',
        () => /an array of a is being made tasks of/.test(err),
        () => err,
      );
      rmSync(job.path('pending/.bundle-x'));
      assert.equal(await ended, 0);
    } finally {
      await place.close();
    }
  });

  it('of a job that was archived, the last one of just that name is named', async () => {
    const place = quietPlace();
    try {
      for (const name of ['a.20260103T000000Z', 'a.20260101T000000Z', 'a.b.20260104T000000Z', 'a.20260103T000000Z.2'])
        mkdirSync(place.at('archive', name), { recursive: true });
      assert.match((await place.spoold('cancel', 'a/x')).err, /It was archived: \S+\/a\.20260103T000000Z\.2\n/);
    } finally {
      await place.close();
    }
  });

  it('retry puts back what has ended, a job its failed and cancelled ones, and says that no daemon runs', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').write('pending/p.json', '{}');
      for (const folder of ['failed', 'cancelled', 'succeeded', 'skipped']) {
        mkdirSync(job.path(folder));
        job.write(`${folder}/${folder[0]}.json`, '{}');
      }
      const whole = await place.spoold('retry', 'a');
      assert.equal(whole.out, '2 tasks of a are pending again: f, c\n');
      assert.match(whole.err, /no daemon serves/);
      assert.equal((await place.spoold('retry', 'a/s', '--json')).status, 0);
      assert.equal((await place.spoold('retry', 'a/p')).out, 'a/p is pending already\n');
      assert.equal(
        (await place.spoold('reset', 'a')).out,
        'a has nothing to run again: no task of it is failed or cancelled\n',
      );
    } finally {
      await place.close();
    }
  });

  it('mark moves to succeeded or skipped, and nothing else; a rejected file cannot be marked', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      assert.equal((await place.spoold('mark', 'a/x', 'succeeded')).out, 'a/x is succeeded now (it was pending)\n');
      assert.equal((await place.spoold('mark', 'a/x', 'skipped')).out, 'a/x is skipped now (it was succeeded)\n');
      assert.equal((await place.spoold('mark', 'a/x', 'failed')).status, 2);
      assert.equal((await place.spoold('mark', 'a', 'succeeded')).status, 2);
      mkdirSync(job.path('rejected'));
      job.write('rejected/r.json', '[');
      const { status, err } = await place.spoold('mark', 'a/r', 'succeeded');
      assert.equal(status, 1);
      assert.match(err, /a\/r is rejected and cannot be made succeeded\.\n.*spoold retry --dir \S+ --edit a\/r/);
      assert.deepEqual(
        events(place, 'x').map(({ event, by }) => [event, by]),
        [
          ['marked', userInfo().username],
          ['marked', userInfo().username],
        ],
      );
    } finally {
      await place.close();
    }
  });
});

/** It waits two seconds for that: where the machine is too busy, it says that it is on its way. */
const HAS_ENDED = /^c\/x is cancelled; attempt 1 (has ended|is being ended.*)\n$/;

describe('moves under a daemon', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\n' });
  before(() => place.start());
  after(() => place.close());

  it('cancel of a running task waits a moment and reports that it has ended', async () => {
    const job = place.job('c').drop('x', { command: ['sleep', '1000'] });
    await job.comesTo('running', 'x');
    const { out, status } = await place.spoold('cancel', 'c/x');
    assert.match(out, HAS_ENDED);
    assert.equal(status, 0);
    await job.comesTo('cancelled', 'x');
    assert.deepEqual(place.processesOf(job.runDir('x')), []);
  });

  it('cancel of one that ignores SIGTERM says that it is being ended', async () => {
    const job = place
      .job('stubborn')
      .drop('x', { shell: "trap '' TERM; echo up; while :; do sleep 1; done", kill_after: '1h' });
    await job.says('x', 'up');
    assert.match(
      (await place.spoold('cancel', 'stubborn/x')).out,
      /^stubborn\/x is cancelled; attempt 1 is being ended/,
    );
    for (const live of place.processesOf(job.runDir('x'))) signalProcess(live, 'SIGKILL');
    await job.comesTo('cancelled', 'x');
  });

  it('cancel of a job ends what runs and starts nothing in its place', async () => {
    const job = place.job('whole').make({ max_parallel: 1 });
    for (const id of ['a', 'b', 'c']) job.drop(id, { shell: `echo ${id} >>${place.aside('whole-ran')}; sleep 1000` });
    await waitUntil('the first runs', () => place.lines('whole-ran').length > 0);
    await place.spoold('cancel', 'whole');
    for (const id of ['a', 'b', 'c']) await job.comesTo('cancelled', id);
    assert.equal(place.lines('whole-ran').length, 1);
  });

  it('retry runs it again, with a fresh budget, and brings back what was skipped because of it', async () => {
    const job = place.job('r').make({ max_parallel: 1 });
    job.drop('x', { shell: `echo ran >>${place.aside('r-ran')}; [ -e ${place.aside('r-go')} ]`, retry: 1 });
    job.drop('y', { command: ['true'], dependencies: ['x'] });
    await job.comesTo('failed', 'x');
    await job.comesTo('skipped', 'y');
    const again = await place.spoold('retry', 'r/y');
    assert.match(again.err, /r\/y was skipped because of r\/x, which is failed still/);
    await job.comesTo('skipped', 'y');
    writeFileSync(place.aside('r-go'), '');
    assert.equal((await place.spoold('retry', 'r')).out, 'r/x is pending again (it was failed)\n');
    await job.comesTo('succeeded', 'y');
    assert.equal(place.lines('r-ran').length, 3);
  });

  it('retry of a running task is not done, and says what would', async () => {
    const job = place.job('busy').drop('x', { command: ['sleep', '1000'] });
    await job.comesTo('running', 'x');
    const { status, out, err } = await place.spoold('retry', 'busy/x');
    assert.deepEqual([status, out], [1, '']);
    assert.match(err, /busy\/x runs now\.\n.*cancel it first: spoold cancel --dir \S+ busy\/x\n$/);
    await place.spoold('cancel', 'busy/x');
  });

  it('mark of a running task ends it, and what depends on it may start', async () => {
    const job = place.job('m').make({ max_parallel: 1 });
    job.drop('x', { command: ['sleep', '1000'] }).drop('y', { command: ['true'], dependencies: ['x'] });
    await job.comesTo('running', 'x');
    assert.match(
      (await place.spoold('mark', 'm/x', 'succeeded')).out,
      /^m\/x is succeeded now \(it was running\)\nm\/x: attempt 1 (has ended|is being ended)/,
    );
    await job.comesTo('succeeded', 'y');
    assert.deepEqual(place.processesOf(job.runDir('x')), []);
  });
});
