// Dropping tasks, in every way in which a file can come into a folder. The daemon of these tests looks by itself once an
// hour: what is seen here is seen by hints.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type JobHands, lives, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const WAITS = { command: 'true', dependencies: ['never'] };

describe('dropping a task', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 50\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('the careful way: a dot name is no task until it is renamed', async () => {
    const job = place.job('careful').write('pending/.x.json', '{"command":"true"}');
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    assert.deepEqual(job.names('pending'), ['.x.json']);
    renameSync(job.path('pending/.x.json'), job.file('pending', 'x'));
    await job.comesTo('succeeded', 'x');
  });

  it('a client that links its file into place runs, though the file is seen while it has two names', async () => {
    for (let round = 1, took = Number.POSITIVE_INFINITY; took > 1900; round++) {
      const job = place.job(`linked-${round}`).write('pending/.x', '{"command":"true"}');
      const since = performance.now();
      linkSync(job.path('pending/.x'), job.file('pending', 'x'));
      await pause(100); // the client's pause, not ours; a busy machine may make it longer than is waited for
      unlinkSync(job.path('pending/.x'));
      took = performance.now() - since;
      if (took <= 1900) await job.comesTo('succeeded', 'x');
    }
  });

  it('what a client of ours had shown when it was killed runs, though it had not come to remove the other name of it', async () => {
    const job = place.job('killed-client').write('pending/.new-0123abcd-1', '{"command":"true"}');
    job.write('pending/.new-0123abcd-2', '{"command":"tr'); // its writer may be alive
    linkSync(job.path('pending/.new-0123abcd-1'), job.file('pending', 'x'));
    await job.comesTo('succeeded', 'x');
    assert.deepEqual(job.names('pending'), ['.new-0123abcd-2']);
  });

  it('a file that has a second name of a kind that is not ours is rejected after two seconds', async () => {
    const job = place.job('second-name').write('other.json', '{"command":"true"}');
    linkSync(job.path('other.json'), job.file('pending', 'x'));
    assert.match(await job.rejects('x'), /second name \(a hard link\): make a copy/);
    assert.ok(existsSync(job.path('other.json')));
  });

  it('a writer who takes his time, in pauses shorter than two seconds, loses nothing', async () => {
    let longest = 0;
    for (let round = 1; round === 1 || longest > 1900; round++) {
      const job = place.job(`slow-${round}`).write('pending/x.json', '');
      longest = 0;
      for (const part of ['{"sh', 'ell": "echo', ' whole', ' text"', '}\n']) {
        const since = performance.now();
        await pause(700); // the writer's pauses, not ours
        job.append('pending/x.json', part);
        longest = Math.max(longest, performance.now() - since); // a busy machine may have made them longer
      }
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x'), 'whole text\n');
      const events = readFileSync(place.at('events.ndjson'), 'utf8');
      const wasRejected = events.includes(`"job":"slow-${round}","task":"x","event":"rejected"`);
      assert.ok(!wasRejected || longest > 1900, `after a pause of ${longest} ms`);
    }
  });

  it('half a file is rejected after two seconds with its line, and runs once it is completed where it lies', async () => {
    const since = performance.now();
    const job = place.job('half').write('pending/x.json', '{"shell": "echo a",\n');
    const reason = await job.rejects('x');
    assert.ok(performance.now() - since >= 1990, 'it was rejected too soon');
    assert.match(reason, /pending\/x\.json:\d+/);
    job.append('rejected/x.json', '"retry": 1}\n');
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'a\n');
    assert.deepEqual(job.names('rejected'), []);
  });

  it('a rejected file that is edited into another mistake says the new reason', async () => {
    const job = place.job('again').drop('x', { command: 'true', retri: 1 });
    assert.match(await job.rejects('x'), /retri/);
    writeFileSync(job.file('rejected', 'x'), '{"command":"true","timeout":"soon"}');
    await waitUntil(
      'the new reason',
      () => job.rejection('x')?.includes('timeout'),
      () => job.rejection('x'),
    );
    writeFileSync(job.file('rejected', 'x'), '{"command":"true"}');
    await job.comesTo('succeeded', 'x');
  });

  it('a rejected file that is mended and moved back to pending/ runs', async () => {
    const job = place.job('back').drop('x', { command: 'true', needs: [] });
    assert.match(await job.rejects('x'), /dependencies/);
    writeFileSync(place.aside('mended.json'), '{"command":"true"}');
    rmSync(job.file('rejected', 'x'));
    renameSync(place.aside('mended.json'), job.file('pending', 'x'));
    await job.comesTo('succeeded', 'x');
    await waitUntil(
      'its reason is gone',
      () => job.names('rejected').length === 0,
      () => job.names('rejected'),
    );
  });

  it('a file of the same id that is rejected twice is kept twice, numbered', async () => {
    const job = place.job('numbered').drop('x', { commando: 1 });
    await job.rejects('x');
    job.drop('x', { commando: 2 });
    assert.match(await job.rejects('x.2'), /commando/);
    assert.equal(readFileSync(job.file('rejected', 'x'), 'utf8'), '{"commando":1}');
    assert.equal(readFileSync(job.file('rejected', 'x.2'), 'utf8'), '{"commando":2}');
  });

  it('a task that waits is edited in place: what is there when it starts is what runs', async () => {
    const job = place.job('edited').drop('x', { shell: 'echo first', dependencies: ['gate'] });
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    writeFileSync(job.file('pending', 'x'), '{"shell":"echo second","dependencies":["gate"]}');
    job.drop('gate', { command: 'true' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'second\n');
  });

  it('an edit takes a dependency away, and the task starts', async () => {
    const job = place.job('freed').drop('x', WAITS);
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    writeFileSync(job.file('pending', 'x'), '{"command":"true"}');
    await job.comesTo('succeeded', 'x');
  });

  it('an edit with a tool that replaces the file is seen as well', async () => {
    const job = place.job('replaced').drop('x', WAITS).drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    job.drop('x', { shell: 'echo replaced' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'replaced\n');
  });

  it('`touch pending` has every waiting task read again', async () => {
    const job = place.job('touched').drop('x', WAITS).drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    // Through another name of the file the folder is told nothing.
    linkSync(job.file('pending', 'x'), place.aside('touched-x'));
    writeFileSync(place.aside('touched-x'), '{"command":"true"}');
    rmSync(place.aside('touched-x'));
    const now = new Date();
    utimesSync(job.path('pending'), now, now);
    await job.comesTo('succeeded', 'x');
  });

  it('a task is held by any other name, and goes on when it has its own again', async () => {
    const job = place
      .job('held')
      .make({ max_parallel: 5 })
      .drop('gate', WAITS)
      .drop('x', { ...WAITS, dependencies: ['gate'] });
    renameSync(job.file('pending', 'gate'), job.path('pending/gate.held'));
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    assert.equal(job.folderOf('x'), 'pending');
    writeFileSync(job.path('pending/gate.held'), '{"command":"true"}');
    renameSync(job.path('pending/gate.held'), job.file('pending', 'gate'));
    await job.comesTo('succeeded', 'gate');
    await job.comesTo('succeeded', 'x');
  });

  it('a copy of a task beside it holds nothing back once that has run', async () => {
    const job = place.job('copied').drop('y', WAITS);
    writeFileSync(job.path('pending/y.json~'), JSON.stringify(WAITS));
    job.drop('y', { command: 'true' });
    await job.comesTo('succeeded', 'y');
    writeFileSync(job.path('pending/note'), 'has the folder read');
    job.drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    job.drop('sum', { command: 'true', dependencies: ['y'] });
    await job.comesTo('succeeded', 'sum');
  });

  it('a waiting task that is deleted is forgotten, and its id is free', async () => {
    const job = place.job('deleted').drop('x', WAITS).drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    rmSync(job.file('pending', 'x'));
    job.drop('more', { command: 'true' });
    await job.comesTo('succeeded', 'more');
    job.drop('x', { shell: 'echo new' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'new\n');
  });

  it('`rm -r` of a job ends what runs in it, and a job of the same name begins anew', async () => {
    const job = place.job('removed').drop('x', { shell: 'echo runs; setsid sleep 1000' });
    await job.says('x', 'runs');
    const runDir = job.runDir('x');
    const family = await waitUntil('the sleep', () => {
      const all = place.processesOf(runDir);
      return all.some((live) => live.args.startsWith('sleep')) && all;
    });
    // The daemon may write why it ends the task into a folder that `rm` has just emptied: then one says it again.
    await waitUntil('the job is gone', () => spawnSync('rm', ['-rf', job.path()], { stdio: 'ignore' }).status === 0);
    await waitUntil(
      'all of it has ended',
      () => !family.some(lives),
      () => place.processesOf(runDir),
    );
    job.drop('x', { shell: 'echo anew' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'anew\n');
    assert.deepEqual(job.names('runs'), ['x.1']);
  });

  it('a job that is removed and made again before the daemon looks is another, though its folder may have the same inode', async () => {
    const job = place.job('remade').drop('x', { command: 'true' });
    await job.comesTo('succeeded', 'x');
    place.daemon?.kill('SIGSTOP');
    rmSync(job.path(), { recursive: true });
    job.drop('x', { shell: 'echo anew' });
    place.daemon?.kill('SIGCONT');
    await waitUntil('it has run', () => job.isIn('succeeded', 'x') && !job.isClaimed('x'));
    assert.equal(job.output('x'), 'anew\n');
    assert.deepEqual(job.names('runs'), ['x.1']);
  });

  it('a job that is moved away while its task runs is ended, and one made in its place is another', async () => {
    const job = place.job('swapped').drop('x', { shell: 'echo runs; sleep 1000' });
    await job.says('x', 'runs');
    const family = place.processesOf(job.runDir('x'));
    renameSync(job.path(), place.aside('swapped-away'));
    job.drop('x', { shell: 'echo anew' });
    await waitUntil(
      'all of it has ended',
      () => !family.some(lives),
      () => family,
    );
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'anew\n');
  });
});

describe('the same id again', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 50\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  const ends: [string, Record<string, unknown>][] = [
    ['succeeded', { command: 'true' }],
    ['failed', { command: 'false' }],
  ];
  for (const [folder, task] of ends) {
    it(`while the first is ${folder}: rejected with the place of the first and how to run that again`, async () => {
      const job = place.job(`again-${folder}`).drop('x', task);
      await job.comesTo(folder as 'failed', 'x');
      job.drop('x', task);
      const reason = await job.rejects('x');
      assert.ok(reason.includes(job.file(folder as 'failed', 'x')), reason);
      assert.ok(reason.includes(`is ${folder}`), reason);
      assert.ok(reason.includes(`spoold retry again-${folder}/x`), reason);
      assert.equal(job.results('x').length, 1);
      assert.ok(job.isIn(folder as 'failed', 'x'));
    });
  }

  it('while the first runs: rejected, and the first is left alone', async () => {
    const job = place
      .job('again-running')
      .drop('x', { shell: `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.1; done` });
    await job.says('x', 'runs');
    job.drop('x', { command: 'true' });
    const reason = await job.rejects('x');
    assert.ok(reason.includes(job.file('running', 'x')) && reason.includes('running'), reason);
    assert.ok(job.isIn('running', 'x'));
    writeFileSync(place.aside('go'), '');
    await job.comesTo('succeeded', 'x');
    assert.equal(job.results('x').length, 1);
  });

  it('again and again: each is kept, numbered, never runs under its number, and what waits for the first is not told of it', async () => {
    const job = place.job('again-thrice').make({ max_parallel: 5 }).drop('x', { command: 'true' });
    await job.comesTo('succeeded', 'x');
    for (const name of ['x', 'x.2', 'x.3']) {
      job.drop('x', { command: 'true' });
      await job.rejects(name);
    }
    const now = new Date();
    for (const name of ['x', 'x.2', 'x.3']) utimesSync(job.file('rejected', name), now, now);
    job.drop('sum', { command: 'true', dependencies: ['x'] }).drop('bad', { comand: 'true' });
    await job.comesTo('succeeded', 'sum');
    await job.rejects('bad');
    writeFileSync(job.file('rejected', 'bad'), '{"command":"true"}');
    await job.comesTo('succeeded', 'bad');
    assert.deepEqual(job.ids('rejected').sort(), ['x', 'x.2', 'x.3']);
    assert.equal(job.results('x.2').length, 0);
    assert.equal((await place.spoold('wait', 'again-thrice/x')).status, 0, 'what was rejected was another file');
  });

  it('while the first is cancelled or skipped: rejected with its place', async () => {
    const job = place.job('again-others').make({ max_parallel: 5 });
    job.drop('bad', { command: 'false' }).drop('x', { command: 'true', dependencies: ['bad'] });
    job.drop('y', WAITS).drop('other', { command: 'true' });
    await job.comesTo('skipped', 'x');
    await job.comesTo('succeeded', 'other');
    job.move('y', 'pending', 'cancelled');
    job.drop('x', { command: 'true' });
    assert.ok((await job.rejects('x')).includes(job.file('skipped', 'x')));
    assert.ok(job.isIn('skipped', 'x'));
    job.drop('y', { command: 'true' });
    assert.ok((await job.rejects('y')).includes(job.file('cancelled', 'y')));
    assert.ok(job.isIn('cancelled', 'y'));
  });

  it('in two final folders at once, as from a restored backup: the first in order keeps it, the other is rejected', async () => {
    const job = place.job('again-twice').drop('x', { command: 'true' });
    await job.comesTo('succeeded', 'x');
    writeFileSync(job.file('failed', 'x'), '{"command":"true"}');
    const reason = await job.rejects('x');
    assert.ok(reason.includes(job.file('succeeded', 'x')), reason);
    assert.ok(job.isIn('succeeded', 'x') && !job.isIn('failed', 'x'));
  });

  it('a name that differs only in case is rejected with the name that is there', async () => {
    const job = place.job('again-case').drop('Report', WAITS).drop('first', { command: 'true' });
    await job.comesTo('succeeded', 'first'); // by then the folder has been read
    job.drop('report', { command: 'true' });
    assert.match(await job.rejects('report'), /Report.*only in case/s);
    assert.ok(job.isIn('pending', 'Report'));
  });
});

describe('dropping in bulk', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 50\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('an array of tasks in one file, with what waits for what', async () => {
    const job = place
      .job('bulk')
      .make({ max_parallel: 'none' })
      .drop(
        'all',
        JSON.stringify([
          { id: 'c', shell: 'echo c', dependencies: ['a', 'b'] },
          { id: 'a', shell: 'echo a' },
          { id: 'b', shell: 'echo b' },
        ]),
      );
    for (const id of ['a', 'b', 'c']) {
      await job.comesTo('succeeded', id);
      assert.equal(job.output(id), `${id}\n`);
    }
    await waitUntil(
      'the bundle is gone',
      () => job.names('pending').length === 0,
      () => job.names('pending'),
    );
  });

  it('one invalid element rejects all of it and names its index and id', async () => {
    const job = place.job('bulk-bad').drop(
      'all',
      JSON.stringify(
        [
          { id: 'a', shell: 'echo a' },
          { id: 'b', shell: 'echo b', retries: 3 },
        ],
        undefined,
        2,
      ),
    );
    const reason = await job.rejects('all');
    assert.match(reason, /all\.json:\d+/);
    assert.match(reason, /\b1\b/);
    assert.match(reason, /\bb\b/);
    assert.match(reason, /retries/);
    assert.deepEqual([job.folderOf('a'), job.folderOf('b')], [undefined, undefined]);
  });

  it('an id in use with equal content is left alone; with other content it alone is rejected', async () => {
    const job = place.job('bulk-again').make({ max_parallel: 'none' });
    job.drop('same', { id: 'same', shell: 'echo same' }).drop('other', { id: 'other', shell: 'echo one' });
    await job.comesTo('succeeded', 'same');
    await job.comesTo('succeeded', 'other');
    job.drop(
      'all',
      JSON.stringify([
        { id: 'same', shell: 'echo same' },
        { shell: 'echo another', id: 'other' },
        { id: 'new', shell: 'echo new' },
      ]),
    );
    await job.comesTo('succeeded', 'new');
    const reason = await job.rejects('other');
    assert.ok(reason.includes(job.file('succeeded', 'other')), reason);
    assert.equal(JSON.parse(readFileSync(job.file('rejected', 'other'), 'utf8')).shell, 'echo another');
    assert.equal(job.rejection('same'), undefined);
    assert.equal(job.results('same').length, 1);
    assert.equal(job.output('other'), 'one\n');
  });

  it('an id that is held is in use, too: an array spread again beside what is held of it makes no second one', async () => {
    const job = place.job('bulk-held').make({ max_parallel: 'none' }).drop('same', WAITS).drop('other', WAITS);
    for (const id of ['same', 'other']) renameSync(job.file('pending', id), job.path(`pending/${id}.held`));
    const tasks = [
      { id: 'same', ...WAITS },
      { id: 'other', command: 'false' },
      { id: 'new', command: 'true' },
    ];
    job.drop('all', JSON.stringify(tasks));
    await job.comesTo('succeeded', 'new');
    assert.ok((await job.rejects('other')).includes(job.path('pending/other.held')));
    job.drop('sum', { command: 'true', dependencies: ['other'] }).drop('last', { command: 'true' });
    await job.comesTo('succeeded', 'last');
    assert.equal(job.folderOf('sum'), 'pending', 'what is held is not taken for what was rejected');
    renameSync(job.file('pending', 'sum'), job.path('pending/sum.held'));
    await waitUntil(
      'what is held is all that waits',
      () => job.names('pending').sort().join() === 'other.held,same.held,sum.held',
      () => job.names('pending'),
    );
  });
});

describe('twenty thousand tasks in one file', () => {
  it('are taken in, and a more urgent one that is dropped behind them runs first', async () => {
    const place = new Place({ config: 'max_parallel: 4\npoll_interval: 1s\n' });
    try {
      await place.start();
      const job = place.job('many').make({}, { paused: '' });
      const tasks = Array.from({ length: 20_000 }, (_, n) => ({ id: `t${n}`, command: ['echo', String(n)] }));
      job.drop('all', JSON.stringify(tasks));
      const isSpread = () => job.names('pending').length === 20_000 && !job.isIn('pending', 'all');
      await waitUntil('all are there', isSpread, () => job.names('pending').length);
      job.drop('urgent', { command: 'true', priority: 'foreground' });
      // A summary is written of a job of which everything is taken in: only then is there a turn to wait for.
      const isTakenIn = () => readText(job.path('state.json'))?.includes('"pending":20001');
      await waitUntil('it is taken in', isTakenIn, () => readText(job.path('state.json')));
      rmSync(job.path('paused'));
      await job.comesTo('succeeded', 'urgent');
      const { started_at: began } = job.result('urgent');
      const earlier = job.ids('succeeded').filter((id) => job.hasResult(id) && job.result(id).started_at < began);
      assert.deepEqual(earlier, []);
      writeFileSync(job.path('paused'), '');
    } finally {
      await place.close();
    }
  });
});

describe('a folder with thousands of tasks, at a start', () => {
  const MANY = 2_600;

  it('is judged as one with a few: what is no task is rejected with a reason, all else waits', async () => {
    const place = new Place();
    try {
      const job = place.job('many').make({}, { paused: '' });
      for (let n = 0; n < MANY; n++) job.drop(`t${n}`, WAITS);
      writeFileSync(place.aside('task'), '{"command":"true"}');
      const odd: Record<string, RegExp> = {
        text: /ends in the middle/,
        kind: /commando/,
        open: /chmod o-w/,
        link: /symbolic link/,
      };
      job.drop('text', '{"command": "true"').drop('kind', { commando: 1 }).drop('open', WAITS);
      chmodSync(job.file('pending', 'open'), 0o666);
      symlinkSync(place.aside('task'), job.file('pending', 'link'));
      job.drop('array', JSON.stringify([{ id: 'one', ...WAITS }]));
      await place.start();
      for (const [id, reason] of Object.entries(odd)) assert.match(await job.rejects(id), reason);
      await waitUntil(
        'all others wait',
        () =>
          readText(job.path('state.json'))?.includes(`"pending":${MANY + 1}`) === true && job.isIn('pending', 'one'),
        () => readText(job.path('state.json')),
      );
      assert.equal(job.names('rejected').filter((name) => name.endsWith('.json')).length, 4);
    } finally {
      await place.close();
    }
  });

  it('may be changed while it is read: the graph follows', async () => {
    const place = new Place({ config: 'poll_interval: 1h\n' });
    try {
      const job = place.job('many').make({}, { paused: '' });
      for (let n = 0; n < MANY; n++) job.drop(`t${n}`, WAITS);
      for (let n = 0; n < MANY; n += 2) job.drop(`d${n}`, { command: 'true', dependencies: [`t${n}`] });
      const { said } = place.spawnDaemon();
      await waitUntil('it has begun', () => said().includes(' serves '));
      for (let n = 0; n < MANY; n += 2) job.move(`t${n}`, 'pending', 'cancelled');
      await waitUntil(
        'what depends on those that were cancelled is skipped',
        () => job.ids('skipped').length === MANY / 2,
        () => job.ids('skipped').length,
      );
      assert.equal(job.ids('pending').length, MANY / 2);
    } finally {
      await place.close();
    }
  });
});

describe('a bundle and a kill -9', () => {
  it('in the middle of spreading: after the next start every task is there, once', async () => {
    const place = new Place();
    try {
      await place.start();
      const tasks = Array.from({ length: 8000 }, (_, n) => ({ id: `t${n}`, command: ['echo', String(n)] }));
      let job: JobHands;
      let round = 0;
      do {
        if (round++ > 0) await place.start(); // the kill came too late
        job = place.job(`bulk-${round}`).make({}, { paused: '' });
        job.drop('all', JSON.stringify(tasks));
        await waitUntil('some are there', () => job.ids('pending').filter((id) => id !== 'all').length > 100);
        await place.kill9();
      } while (job.ids('pending').length === 8000);
      await place.start();
      const others = () => job.names('pending').filter((name) => !/^t\d+\.json$|^\.new-/.test(name));
      await waitUntil('all are there', () => job.ids('pending').length === 8000 && others().length === 0, others);
      assert.deepEqual(job.names('rejected'), []);
      assert.equal(JSON.parse(readFileSync(job.file('pending', 't7999'), 'utf8')).id, 't7999');
    } finally {
      await place.close();
    }
  });
});

describe('who may do what', () => {
  it('a job folder that is no job is named in the log, and another job runs', async () => {
    const place = new Place();
    try {
      mkdirSync(place.at('jobs', 'no job'), { recursive: true, mode: 0o700 });
      chmodSync(place.dir, 0o700);
      await place.start();
      place.job('fine').drop('x', { command: 'true' });
      await place.job('fine').comesTo('succeeded', 'x');
      await waitUntil('it is said', () => place.log.includes('no job'));
      assert.ok(!existsSync(place.at('jobs', 'no job', 'pending')));
    } finally {
      await place.close();
    }
  });
});
