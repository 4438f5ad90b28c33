// `spoold status` at its three depths, as a user reads it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import pty from '@lydell/node-pty';
import { VERSION } from '../../src/version.ts';
import { bin, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { pretendDaemon, quietPlace } from './quiet-place.ts';

interface StatusDocument {
  daemon: { running: boolean; frozen: boolean; pid: number | null; version: string | null; started_at: string | null };
  paused: boolean;
  jobs: { name: string; state: string; paused: boolean; counts: Record<string, number>; updated_at: string }[];
}

it('a file in jobs/, or in the place of a folder, keeps no verb from saying what else there is', async () => {
  const place = quietPlace();
  try {
    place.job('etl').drop('a', { command: ['true'] });
    writeFileSync(place.at('jobs', 'x.json'), '{"command":["true"]}');
    for (const path of ['failed', 'runs']) writeFileSync(place.job('etl').path(path), '');
    const odd = place.job('odd').drop('a', { command: ['true'] });
    mkdirSync(odd.path('runs'));
    writeFileSync(odd.path('runs', 'a.1'), '');
    const calls = [
      'status',
      'status --json',
      'status etl',
      'status odd',
      'status odd/a',
      'why etl',
      'why odd/a',
      'parallel',
    ];
    for (const call of calls) {
      const { status, err } = await place.spoold(...call.split(' '));
      assert.deepEqual({ call, status, err }, { call, status: 0, err: '' });
    }
    const { jobs } = JSON.parse((await place.spoold('status', '--json')).out) as StatusDocument;
    assert.deepEqual(
      jobs.map(({ name }) => name),
      ['etl', 'odd'],
    );
    for (const call of ['why nosuch', 'status x.json', 'pause x.json']) {
      const { status, err } = await place.spoold(...call.split(' '));
      assert.match(err, /There is no job/);
      assert.equal(status, 2, call);
    }
    assert.match((await place.spoold('doctor')).out, /jobs\/x\.json\n {2}a job is a folder, and this is none\./);
    assert.match((await place.spoold('wait')).err, /no daemon serves/);
    assert.equal((await place.spoold('resume')).status, 0);
  } finally {
    await place.close();
  }
});

describe('status without a daemon', { concurrency: true }, () => {
  let place: Place;
  before(() => {
    place = quietPlace();
    place.job('etl').drop('a', { command: ['true'] });
    place.job('etl').drop('b', { command: ['true'], dependencies: ['a', 'nobody'] });
    place.job('etl').write('pending/c.held', '{"command":["true"]}');
  });
  after(() => place.close());

  const first = async (...args: string[]) => (await place.spoold('status', ...args)).out.split('\n')[0] ?? '';

  it('says so in the first line, and what to type next', async () => {
    const { out, status } = await place.spoold('status');
    assert.match(out.split('\n')[0] ?? '', /no daemon serves .*: nothing starts until: spoold start/);
    assert.match(out, /Next: spoold start/);
    assert.equal(status, 0);
  });

  it('counts files that are held back in the first line, and names them', async () => {
    assert.match(await first(), /1 file held back/);
    assert.match((await place.spoold('status')).out, /jobs\/etl\/pending\/c\.held/);
  });

  it('gives one document of the documented form as JSON', async () => {
    const { out } = await place.spoold('status', '--json');
    const document = JSON.parse(out) as StatusDocument;
    assert.deepEqual(document.daemon, { running: false, frozen: false, pid: null, version: null, started_at: null });
    assert.equal(document.paused, false);
    const job = document.jobs.find(({ name }) => name === 'etl');
    assert.deepEqual(Object.keys(job ?? {}).sort(), ['counts', 'name', 'paused', 'state', 'trouble', 'updated_at']);
    const counts = { pending: 2, running: 0, succeeded: 0, failed: 0, skipped: 0, cancelled: 0, rejected: 0, held: 1 };
    assert.deepEqual(job?.counts, counts);
    assert.equal(job?.state, 'waiting');
  });

  it('says what a waiting task waits for, all of it', async () => {
    const { out } = await place.spoold('status', 'etl/b');
    assert.match(
      out,
      /etl\/b waits because no daemon serves the directory; and it waits for 2 tasks: a \(is ready to start\)/,
    );
    assert.match(out, /nobody \(has not been queued by anybody yet\)/);
  });

  it('says of each waiting task of a job until when a delay keeps it', async () => {
    place.job('timed').drop('by-date', { command: ['true'], not_before: '2999-01-01T00:00:00Z' });
    place.job('timed').drop('by-delay', { command: ['true'], not_before: '2h' });
    place.job('timed').drop('past', { command: ['true'], not_before: '2001-01-01T00:00:00Z' });
    const { out } = await place.spoold('status', 'timed');
    assert.match(out, /by-date +waits for its time, which comes in \d+d\d\dh/);
    assert.match(out, /by-delay +waits for its time, which comes in (2h00m|1h\d\dm)/);
    assert.doesNotMatch(out, /past +waits for its time/);
  });

  it('says who queued a task, and what became of those that it queued itself, the worst first', async () => {
    const job = place.job('lineage');
    const command = ['true'];
    job.drop('top', { command });
    for (const folder of ['succeeded', 'failed']) mkdirSync(job.path(folder), { recursive: true });
    job.write('succeeded/mid.json', JSON.stringify({ command, parent: 'top', ancestors: ['top'] }));
    const kid = JSON.stringify({ command, parent: 'mid', ancestors: ['mid', 'top'] });
    for (const id of ['k1', 'k2', 'k10', 'k11']) job.write(`pending/${id}.json`, kid);
    job.write('failed/bad.json', kid);
    job.write('succeeded/good.json', kid);
    const { out } = await place.spoold('status', 'lineage/mid');
    assert.match(out, /queued by +top\n/);
    assert.match(
      out,
      /queued +1 failed \(bad\), 4 waiting \(k1, k2, k10 and 1 more\); what has succeeded is not counted\n/,
    );
    assert.match((await place.spoold('status', 'lineage/k1')).out, /queued by +mid ← top\n/);
    assert.doesNotMatch(
      (await place.spoold('status', 'lineage/top')).out,
      /queued {2}/,
      'its only child has succeeded',
    );
    const documentOf = async (id: string) =>
      JSON.parse((await place.spoold('status', '--json', `lineage/${id}`)).out) as Record<string, unknown>;
    const { parent, ancestors, children, children_partial } = await documentOf('mid');
    assert.deepEqual(
      { parent, ancestors, children, children_partial },
      { parent: 'top', ancestors: ['top'], children: { failed: 1, pending: 4 }, children_partial: false },
    );
    assert.equal((await documentOf('top'))['parent'], null);
    assert.deepEqual((await documentOf('top'))['children'], {});
  });

  it('takes --job for the first half of an address', async () => {
    assert.match((await place.spoold('status', '--job', 'etl', 'b')).out, /etl\/b waits/);
  });

  it('says how to let a held task run', async () => {
    const { out } = await place.spoold('status', 'etl/c');
    assert.match(out, /etl\/c is held back.*\n(.*\n)*Next: to let it run: mv .*c\.held .*c\.json/);
  });

  it('suggests the task, or the job, that was meant', async () => {
    const job = await place.spoold('status', 'elt');
    assert.equal(job.status, 2);
    assert.match(job.err, /There is no job elt in .*\nDid you mean etl\?/);
    assert.match((await place.spoold('status', 'c')).err, /There is no job c in .*\nspoold status --dir \S+ lists/);
    assert.match((await place.spoold('status', 'b')).err, /There is no job b in .*\nDid you mean etl\/b\?/);
    place.job('words').drop('transform', { command: ['true'] });
    assert.match(
      (await place.spoold('status', 'words/transfrom')).err,
      /no task transfrom.*\nDid you mean words\/transform\?/,
    );
    const letter = await place.spoold('status', 'etl/q');
    assert.match(
      letter.err,
      /no task q in the job etl.*\nspoold status --dir \S+ etl lists its tasks/,
      'no letter is a slip of another',
    );
  });

  it('says a wrong address in words on standard error with --json too, and prints no half a document', async () => {
    for (const address of ['elt', 'etl/nothing', 'a/b/c']) {
      const { status, out, err } = await place.spoold('status', '--json', address);
      assert.deepEqual([status, out], [2, '']);
      assert.match(err, /^spoold: (There is no|"a\/b\/c" is no address)/);
    }
  });

  it('refuses what is no address, with the usage status', async () => {
    const { status, err } = await place.spoold('status', 'a/b/c');
    assert.equal(status, 2);
    assert.match(err, /"a\/b\/c" is no address/);
  });
});

describe('what the first line of status says', { concurrency: true }, () => {
  it('a pause, with who and since when, and how to end it', async () => {
    const place = quietPlace();
    try {
      await place.spoold('pause');
      assert.match((await place.spoold('status')).out.split('\n')[0] ?? '', /paused by \S+ .*: spoold resume/);
    } finally {
      await place.close();
    }
  });

  it('a pause that somebody made with touch', async () => {
    const place = quietPlace();
    try {
      writeFileSync(place.at('paused'), '');
      assert.match((await place.spoold('status')).out.split('\n')[0] ?? '', /paused .*: spoold resume/);
    } finally {
      await place.close();
    }
  });

  it('a daemon of another version, and one that holds back', async () => {
    const place = quietPlace();
    try {
      const spared = '6 of 8 slots are used, to spare the host: its load is 13 on 8 cores';
      const facts = { version: '0.0.1', holding: 'the disk is nearly full', held_back: spared };
      const t = pretendDaemon(place, facts);
      const line = (await place.spoold('status')).out.split('\n')[0] ?? '';
      assert.ok(line.includes(`it is version 0.0.1, and this is ${VERSION}: spoold restart`), line);
      assert.match(line, /nothing new is started: the disk is nearly full/);
      assert.ok(line.includes(spared), line);
      const document = JSON.parse((await place.spoold('status', '--json')).out) as StatusDocument;
      assert.deepEqual(document.daemon, {
        running: true,
        frozen: false,
        pid: process.pid,
        version: '0.0.1',
        started_at: t,
      });
    } finally {
      await place.close();
    }
  });
});

describe('status of large and of strange places', { concurrency: true }, () => {
  it('believes a count in state.json while its folder has not changed, and reads the folder when it has', async () => {
    const place = quietPlace();
    try {
      const job = place.job('big').drop('x', { command: ['true'] });
      mkdirSync(job.path('succeeded'));
      utimesSync(job.path('succeeded'), 1e9, 1e9);
      const counted = { succeeded: String(statSync(job.path('succeeded'), { bigint: true }).mtimeNs) };
      const counts = {
        pending: 0,
        running: 0,
        succeeded: 4321,
        failed: 0,
        skipped: 0,
        cancelled: 0,
        rejected: 0,
        held: 0,
      };
      writeFileSync(job.path('state.json'), JSON.stringify({ counts, counted, updated_at: new Date().toISOString() }));
      assert.match((await place.spoold('status')).out, /1 waiting, 4,321 succeeded/);
      job.write('succeeded/one.json', '{}');
      assert.match((await place.spoold('status')).out, /1 waiting, 1 succeeded/);
    } finally {
      await place.close();
    }
  });

  it('cuts long lists and says how many more there are', async () => {
    const place = quietPlace();
    try {
      const job = place.job('many');
      for (let i = 0; i < 25; i++) job.drop(`t${i}`, { command: ['true'] });
      const { out } = await place.spoold('status', 'many');
      assert.match(out, /Waiting \(25\)/);
      assert.match(out, /\n {2}t9\n {2}… and 15 more/);
      const document = JSON.parse((await place.spoold('status', 'many', '--json')).out) as { tasks: unknown[] };
      assert.equal(document.tasks.length, 25);
    } finally {
      await place.close();
    }
  });

  it('neither waits for a FIFO nor follows a link in pending/', async () => {
    const place = quietPlace();
    try {
      const job = place.job('odd').drop('x', { command: ['true'], dependencies: ['fifo'] });
      execFileSync('mkfifo', [job.file('pending', 'fifo')]);
      execFileSync('ln', ['-s', '/etc/passwd', job.file('pending', 'link')]);
      const { out, status } = await place.spoold('status', 'odd');
      assert.match(out, /fifo +does not read: it is a FIFO/);
      assert.match(out, /link +does not read: it is a symbolic link/);
      assert.equal(status, 0);
      assert.equal((await place.spoold('status', 'odd/fifo')).status, 0);
    } finally {
      await place.close();
    }
  });

  it('says that a job whose job.json does not read starts nothing', async () => {
    const place = quietPlace();
    try {
      place
        .job('j')
        .drop('x', { command: ['true'] })
        .write('job.json', '{"max_parallel": ');
      assert.match((await place.spoold('status')).out, /job\.json does not read, so its job starts nothing/);
      assert.match((await place.spoold('status', 'j')).out, /j\/job\.json does not read/);
      assert.match((await place.spoold('status', 'j/x')).out, /because its job\.json does not read/);
    } finally {
      await place.close();
    }
  });
});

describe('status under a daemon', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\n' });
  before(() => place.start());
  after(() => place.close());

  it('names what failed lately with the reason and the end of its output, without what a terminal obeys', async () => {
    const job = place.job('fail').drop('x', { shell: "echo one; printf 'two\\033[31m red\\n'; exit 7" });
    await job.comesTo('failed', 'x');
    const { out } = await place.spoold('status');
    assert.match(out, /Failed lately\n(.*\n)*? {2}fail\/x {2}.*: exit status 7\n {4}\| one\n {4}\| two red/);
    assert.ok(!out.includes('\u001b'));
    assert.match((await place.spoold('status', 'fail')).out, /fail is failed: 1 failed/);
  });

  it('shows of a running task its command, its processes and its output, and its identity as JSON', async () => {
    const job = place.job('run').drop('x', { command: ['sh', '-c', 'echo up; sleep 1000'], cwd: '/' });
    await job.says('x', 'up');
    const sleeps = () => place.processesOf(job.runDir('x')).some(({ args }) => args.startsWith('sleep'));
    await waitUntil('the sleep', sleeps, () => job.describe('x'));
    const { out } = await place.spoold('status', 'run/x');
    assert.match(out, /run\/x runs for /);
    assert.match(out, /command +sh -c 'echo up; sleep 1000'\n +in +\/\n/);
    assert.match(out, /sleep 1000\n/);
    assert.match(out, /Output .*output\.log\)\n {2}\| up/);
    const document = JSON.parse((await place.spoold('status', 'run/x', '--json')).out) as {
      state: string;
      spec: unknown;
      attempts: { run_dir: string; attempt: number; identity: { pid: number } }[];
    };
    assert.equal(document.state, 'running');
    assert.deepEqual(document.spec, { command: ['sh', '-c', 'echo up; sleep 1000'], cwd: '/' });
    assert.equal(document.attempts[0]?.run_dir, job.runDir('x'));
    assert.ok((document.attempts[0]?.identity.pid ?? 0) > 1);
    assert.match((await place.spoold('status')).out, /Running\n(.*\n)*? {2}run\/x {2}for /);
    job.move('x', 'running', 'cancelled');
    await job.comesTo('cancelled', 'x');
    assert.match((await place.spoold('status', 'run/x')).out, /run\/x was cancelled .*its file was moved to cancelled/);
  });

  it('gives the result of each attempt as JSON, with its run directory', async () => {
    const job = place.job('twice').drop('x', { command: ['false'], retry: 1 });
    await job.comesTo('failed', 'x');
    const { attempts } = JSON.parse((await place.spoold('status', 'twice/x', '--json')).out) as {
      attempts: Record<string, unknown>[];
    };
    assert.deepEqual(
      attempts.map(({ attempt, to, exit_code, run_dir }) => [attempt, to, exit_code, run_dir]),
      [
        [1, 'pending', 1, job.runDir('x', 1)],
        [2, 'failed', 1, job.runDir('x', 2)],
      ],
    );
  });

  it('says why a task was skipped, and what was rejected and why', async () => {
    const job = place.job('mixed');
    job.drop('bad', { command: ['false'] }).drop('next', { command: ['true'], dependencies: ['bad'] });
    job.drop('typo', { comand: ['true'] });
    await job.comesTo('skipped', 'next');
    await job.rejects('typo');
    const { out } = await place.spoold('status', 'mixed');
    assert.match(out, /next +because bad is failed/);
    assert.match(out, /typo +typo\.json:1:\d+: comand: there is no such key; did you mean "command"\?/);
    assert.match(
      (await place.spoold('status', 'mixed/next')).out,
      /was skipped .*because bad failed .*: exit status 1/,
    );
    assert.match(
      (await place.spoold('status', 'mixed/typo')).out,
      /was rejected .*comand.*\n(.*\n)*Next: spoold retry .*--edit mixed\/typo/,
    );
  });

  it('says when a task is tried again', async () => {
    const job = place.job('later').drop('x', { command: ['false'], retry: { max: 1, delay: '1h' } });
    await waitUntil(
      'it waits',
      () => job.hasResult('x') && job.isIn('pending', 'x') && !job.isClaimed('x'),
      () => job.describe('x'),
    );
    assert.match(
      (await place.spoold('status', 'later/x')).out,
      /later\/x is tried again in (1h00m|59m\d\ds), as attempt 2/,
    );
    assert.match((await place.spoold('status', 'later')).out, /x +is tried again in (1h00m|59m\d\ds)/);
  });

  it('says that a task waits for what another one queued, though that one has succeeded', async () => {
    const job = place.job('family').make({ max_parallel: 2 });
    job.drop('child-of', { shell: 'echo \'{"command":["sleep","1000"]}\' >"$SPOOLD_PENDING/kid.json"' });
    job.drop('after', { command: ['true'], dependencies: ['child-of'] });
    await job.comesTo('succeeded', 'child-of');
    await job.comesTo('running', 'kid');
    assert.match(
      (await place.spoold('status', 'family/after')).out,
      /waits for child-of, which has succeeded itself, but not yet a task that it queued: kid/,
    );
    assert.match((await place.spoold('status', 'family/kid')).out, /queued by +child-of/);
    assert.match((await place.spoold('status', 'family/child-of')).out, /queued +1 running \(kid\)/);
    job.move('kid', 'running', 'cancelled');
    await job.comesTo('cancelled', 'kid');
  });

  it('--watch fills a terminal, follows what happens, and gives the screen back at q', async () => {
    const job = place.job('watched').drop('x', { command: ['sleep', '1000'] });
    await job.comesTo('running', 'x');
    const terminal = pty.spawn(process.execPath, [bin, 'status', '--watch', '--dir', place.dir, 'watched'], {
      cols: 100,
      rows: 30,
    });
    let seen = '';
    terminal.onData((data) => (seen += data));
    const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)));
    await waitUntil(
      'it shows the job',
      () => seen.includes('watched') && /Running \(1\)/.test(seen),
      () => seen,
    );
    renameSync(job.file('running', 'x'), job.path('succeeded', 'x.json'));
    await waitUntil(
      'it shows the change',
      () => /Succeeded \(1\)/.test(seen),
      () => seen,
    );
    terminal.write('q');
    assert.equal(await ended, 0);
    const isGivenBack = () => seen.startsWith('\u001b[?1049h') && seen.endsWith('\u001b[?1049l');
    await waitUntil('the screen is given back', isGivenBack, () => seen);
  });

  it('--watch with --json is refused', async () => {
    assert.equal((await place.spoold('status', '--watch', '--json')).status, 2);
  });
});
