// Running a task: what it finds, what it leaves, how it is ended, tried again, and in which order tasks go.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isZombie, ownIdentity, readProcess, signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import {
  isLauncher,
  isThere,
  type JobHands,
  lives,
  looksAgain,
  Place,
  programs,
  readText,
  type Task,
  withPlace,
} from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const CONFIG = 'max_parallel: 60\npoll_interval: 1h\n';

describe('an attempt', { concurrency: true }, () => {
  const place = new Place({ config: CONFIG });
  before(() => place.start());
  after(() => place.close());

  it('leaves in its run directory what was run, by whom, what it printed and how it ended', async () => {
    const job = place.job('leaves').drop('x', { shell: 'echo out; echo err >&2; exit 3' });
    await job.comesTo('failed', 'x');
    assert.equal(job.output('x'), 'out\nerr\n');
    const { runner, lastWord } = parsePidFile(readText(join(job.runDir('x'), 'pid')) ?? '');
    assert.ok(runner !== undefined && runner.inode === String(statSync(job.runDir('x')).ino));
    assert.equal(lastWord?.status, 3);
    const result = job.result('x');
    assert.deepEqual(
      [result.outcome, result.to, result.reason, result.exit_code, result.signal],
      ['failed', 'failed', 'exit', 3, null],
    );
    assert.ok(result.queued_at <= result.started_at && result.started_at <= result.finished_at, JSON.stringify(result));
  });

  it('is repeated by hand with `sh run`, in the same directory and environment', async () => {
    const job = place
      .job('repeat')
      .drop('x', { shell: 'echo "$SPOOLD_TASK $WORD $PWD"; exit 4', env: { WORD: "it's" }, cwd: place.root });
    await job.comesTo('failed', 'x');
    const again = spawnSync('sh', ['run'], { cwd: job.runDir('x'), encoding: 'utf8', env: { PATH: process.env.PATH } });
    assert.equal(again.stdout, job.output('x'));
    assert.equal(again.stdout, `x it's ${place.root}\n`);
    assert.equal(again.status, 4);
  });

  it('that was killed by a signal says which', async () => {
    const job = place.job('signal').drop('x', { command: [join(programs, 'kill-own-group'), 'KILL'] });
    await job.comesTo('failed', 'x');
    const { reason, signal, exit_code } = job.result('x');
    assert.deepEqual({ reason, signal, exit_code }, { reason: 'signal', signal: 'SIGKILL', exit_code: 137 });
  });

  it('that leaves a child behind in its group has it ended before the end is told', async () => {
    const file = place.aside('left');
    const job = place.job('left').drop('x', { command: [join(programs, 'fork-child'), file] });
    await job.comesTo('succeeded', 'x');
    assert.deepEqual(place.processesOf(job.runDir('x')), []);
  });

  it('that writes 100 MB is kept whole', async () => {
    const job = place.job('much').drop('x', { command: [join(programs, 'write-much'), '100'] });
    await job.comesTo('succeeded', 'x');
    assert.equal(statSync(join(job.runDir('x'), 'output.log')).size, 100 * 1024 * 1024);
    rmSync(join(job.runDir('x'), 'output.log'));
  });
});

describe('a time limit', { concurrency: true }, () => {
  const place = new Place({ config: `${CONFIG}task_timeout: 700ms\nkill_after: 300ms\n` });
  before(() => place.start());
  after(() => place.close());

  /** A task that had come as far as to say a word when its time was up: a busy machine may need more of it. */
  async function timedOut(name: string, task: (timeout: string) => Task, word: string): Promise<JobHands> {
    for (const timeout of ['300ms', '3s', '30s']) {
      const job = place.job(`${name}-${timeout}`).drop('x', task(timeout));
      await job.comesTo('failed', 'x');
      assert.equal(job.result('x').reason, 'timeout');
      if (job.output('x').includes(word)) return job;
    }
    return assert.fail(`${name} never said ${word}`);
  }

  it('of the task ends it by TERM, and the attempt failed with timeout', async () => {
    const shell = 'trap "echo asked; exit 9" TERM; echo runs; sleep 1000 & wait';
    const job = await timedOut('term', (timeout) => ({ shell, timeout, kill_after: '1h' }), 'runs');
    assert.match(job.output('x'), /asked/);
  });

  it('of a pipeline leaves its programs all of kill_after, though the shell that waits for them dies at once', async () => {
    const saves = "trap 'echo asked; sleep 3; echo saved; exit' TERM; echo runs; while :; do sleep 0.1; done";
    const task = { shell: `sh -c "${saves}" >&2 2>/dev/null | cat`, kill_after: '1h' };
    const job = await timedOut('pipeline', (timeout) => ({ ...task, timeout }), 'runs');
    assert.equal(job.output('x'), 'runs\nasked\nsaved\n');
  });

  it('of one that ignores TERM ends it by KILL, kill_after later', async () => {
    const command = [join(programs, 'ignore-term')];
    const job = await timedOut('kill', (timeout) => ({ command, timeout, kill_after: '500ms' }), 'ready');
    const { signal, started_at, finished_at } = job.result('x');
    assert.equal(signal, 'SIGKILL');
    assert.ok(Date.parse(finished_at) - Date.parse(started_at) >= 600, `${started_at} ${finished_at}`);
  });

  it('leaves nothing of the group, though its leader dies and the rest has no environment, prints elsewhere and ignores TERM', async (context) => {
    if (!place.log.includes('"launcher":"native"'))
      return context.skip('only a native runner has a session of its own');
    const [file, script] = [place.aside('deaf'), place.aside('deaf.sh')];
    writeFileSync(script, `trap '' TERM; echo $$ >'${file}'; exec >/dev/null 2>&1; while :; do sleep 0.1; done\n`);
    const shell = `env -i sh '${script}' & until [ -s '${file}' ]; do sleep 0.05; done; echo runs; wait`;
    await timedOut('deaf', (timeout) => ({ shell, timeout }), 'runs');
    const left = readProcess(Number(readFileSync(file, 'utf8')));
    assert.ok(left === undefined || isZombie(left), `${left?.pid} is left`);
  });

  it('of the config holds for a task that does not say, and `none` frees a task of it', async () => {
    const job = place.job('config').make({ max_parallel: 2 });
    job.drop('x', { command: ['sleep', '1000'] }).drop('y', { command: ['sleep', '1.2'], timeout: 'none' });
    await job.comesTo('failed', 'x');
    assert.equal(job.result('x').reason, 'timeout');
    await job.comesTo('succeeded', 'y');
  });

  it('is a failure that a retry may follow', async () => {
    const task = { shell: '[ $SPOOLD_ATTEMPT -ge 2 ] || exec sleep 1000', timeout: '300ms', retry: 20 };
    const job = place.job('retried').drop('x', task);
    await job.comesTo('succeeded', 'x');
    const reasons = job.results('x').map(({ reason }) => reason);
    assert.deepEqual([reasons[0], reasons.at(-1)], ['timeout', 'exit'], reasons.join()); // a busy machine may need a third
  });

  it('goes on counting over a kill -9 of the daemon', async () => {
    const own = new Place({ config: 'kill_after: 300ms\n' });
    try {
      await own.start();
      const job = own.job('a').drop('x', { shell: 'echo runs; exec sleep 1000', timeout: '2500ms' });
      await job.says('x', 'runs');
      // Were it to begin anew with each daemon, it would come to no end.
      for (let daemons = 1; !job.isIn('failed', 'x'); daemons++) {
        assert.ok(daemons < 100, job.describe('x'));
        await own.kill9();
        await own.start();
        await waitUntil('it has failed', () => job.isIn('failed', 'x'), undefined, 500).catch(() => undefined);
      }
      await job.comesTo('failed', 'x');
      const { reason, started_at, finished_at } = job.result('x');
      assert.equal(reason, 'timeout');
      const took = Date.parse(finished_at) - Date.parse(started_at);
      assert.ok(took >= 2400, `it took ${took} ms`);
    } finally {
      await own.close();
    }
  });
});

describe('an ending', () => {
  it('that comes while the runner has not started its command yet asks it all the same', async () => {
    await withPlace({ config: CONFIG }, async (place) => {
      // A runner that has written line 1 of its PID file, and starts the command when told to.
      const job = place.job('early').make({}, {});
      const runDir = job.runDir('x');
      mkdirSync(runDir, { recursive: true });
      const command = `SPOOLD_RUN_DIR='${runDir}' sh -c 'trap "echo asked; exit" TERM; echo runs; while :; do sleep 0.1; done'`;
      const runner = spawn('sh', [
        '-c',
        `read go; ${command} >'${runDir}/output.log'; echo "exited 0 0 ." >>'${runDir}/pid'`,
      ]);
      const { startTicks } = readProcess(runner.pid ?? 0) ?? {};
      const { boot, pidns, host } = ownIdentity();
      writeFileSync(join(runDir, 'run'), `#!/bin/sh\n# boot: ${boot}\n`);
      writeFileSync(
        join(runDir, 'pid'),
        `${runner.pid} ${startTicks} ${boot} ${pidns} ${host} ${statSync(runDir).ino}\n`,
      );
      writeFileSync(
        join(runDir, 'ending'),
        JSON.stringify({ reason: 'cancelled', message: 'it was cancelled', at: 1 }),
      );
      mkdirSync(job.path('running'));
      writeFileSync(job.file('running', 'x'), JSON.stringify({ shell: command, kill_after: '1h' }));
      symlinkSync('../runs/x.1', job.path('running', 'x.run'));
      await place.start();
      await looksAgain(place); // and finds nobody to ask
      place.daemon?.kill('SIGSTOP'); // or it might ask before the trap is set
      runner.stdin.end('go\n');
      await waitUntil('the command runs', () => job.output('x') === 'runs\n');
      place.daemon?.kill('SIGCONT');
      await job.comesTo('cancelled', 'x');
      assert.equal(job.output('x'), 'runs\nasked\n');
    });
  });
});

describe('another attempt', { concurrency: true }, () => {
  const place = new Place({ config: CONFIG });
  before(() => place.start());
  after(() => place.close());

  it('follows a failure as often as `retry` says, and no more', async () => {
    const job = place.job('budget').drop('x', { shell: 'echo "attempt $SPOOLD_ATTEMPT"; exit 1', retry: 2 });
    await job.comesTo('failed', 'x');
    assert.deepEqual(
      job.results('x').map(({ to }) => to),
      ['pending', 'pending', 'failed'],
    );
    assert.equal(job.output('x', 3), 'attempt 3\n');
    assert.match(job.result('x', 3).message, /last of 3/);
  });

  it('has a fresh budget after a move by hand', async () => {
    const job = place.job('fresh').drop('x', { command: 'false', retry: 1 });
    await job.comesTo('failed', 'x');
    job.move('x', 'failed', 'pending');
    await waitUntil(
      'four attempts',
      () => job.results('x').length === 4 && job.isIn('failed', 'x'),
      () => job.describe('x'),
    );
    assert.deepEqual(
      job.results('x').map(({ to }) => to),
      ['pending', 'failed', 'pending', 'failed'],
    );
  });

  it('waits for the delay, also across a kill -9 of the daemon, and meanwhile others run', async () => {
    const own = new Place();
    try {
      await own.start();
      const job = own.job('a').drop('x', { shell: '[ $SPOOLD_ATTEMPT = 2 ]', retry: { max: 1, delay: '2s' } });
      job.drop('long', { command: 'false', retry: { max: 1, delay: '1h' } });
      for (const id of ['x', 'long']) {
        const hasFailed = () => job.hasResult(id) && !job.isClaimed(id);
        await waitUntil('the first attempt ends', hasFailed, () => job.describe(id));
      }
      await own.kill9();
      await own.start();
      job.drop('y', { command: 'true' });
      await job.comesTo('succeeded', 'y');
      assert.equal(job.folderOf('long'), 'pending');
      await job.comesTo('succeeded', 'x');
      const [first, second] = job.results('x');
      const waited = Date.parse(second?.started_at ?? '') - Date.parse(first?.finished_at ?? '');
      assert.ok(waited >= 1950, `it waited ${waited} ms`);
    } finally {
      await own.close();
    }
  });

  it('follows a lost one at no cost, at most three times in a row', async () => {
    const job = place.job('lost').drop('x', { shell: 'kill -9 $PPID; exit 0' });
    await job.comesTo('failed', 'x');
    assert.deepEqual(
      job.results('x').map(({ reason, to }) => `${reason} ${to}`),
      ['lost pending', 'lost pending', 'lost pending', 'lost failed'],
    );
  });

  it('does not follow a lost one where on_lost is fail', async () => {
    const job = place.job('lost-fail').drop('x', { shell: 'kill -9 $PPID; exit 0', on_lost: 'fail', retry: 3 });
    await job.comesTo('failed', 'x');
    assert.deepEqual(
      job.results('x').map(({ reason, to }) => `${reason} ${to}`),
      ['lost failed'],
    );
  });
});

/** A summary is written of a job of which everything is taken in: only then do its tasks wait for a turn. */
const isTakenIn = (job: JobHands, many: number): boolean =>
  readText(job.path('state.json'))?.includes(`"pending":${many},`) ?? false;

/** Tells a file that is called like its job. */
const says = (job: JobHands): Task => ({ shell: `echo "$SPOOLD_TASK" >>'${job.place.aside(job.name)}'` });

describe('the order in which tasks go', { concurrency: true }, () => {
  const place = new Place({ config: CONFIG });
  before(() => place.start());
  after(() => place.close());

  it('is priority first, then age', async () => {
    const own = new Place({ config: 'poll_interval: 100ms\n' });
    try {
      await own.start();
      const job = own.job('order').make({}, { paused: '' });
      job.drop('late', { ...says(job), priority: 'best_effort' });
      for (const id of ['b', 'a', 'c']) {
        job.drop(id, says(job));
        await waitUntil('a later moment', () => Date.now() > statSync(job.file('pending', id)).mtimeMs + 20);
      }
      job.drop('seven', { ...says(job), priority: 7 }).drop('first', { ...says(job), priority: 'foreground' });
      await waitUntil('all is taken in', () => isTakenIn(job, 6));
      rmSync(job.path('paused'));
      await job.comesTo('succeeded', 'late');
      assert.deepEqual(own.lines('order'), ['first', 'seven', 'b', 'a', 'c', 'late']);
    } finally {
      await own.close();
    }
  });

  it('is one at a time in a job that one drops into', async () => {
    const job = place.job('one');
    const shell = `echo begin >>'${place.aside('one')}'; sleep 0.1; echo end >>'${place.aside('one')}'`;
    for (const id of ['a', 'b', 'c', 'd']) job.drop(id, { shell });
    for (const id of ['a', 'b', 'c', 'd']) await job.comesTo('succeeded', id);
    assert.deepEqual(place.lines('one'), ['begin', 'end', 'begin', 'end', 'begin', 'end', 'begin', 'end']);
  });

  it('is as many at a time as max_parallel of job.json says', async () => {
    const job = place.job('three').make({ max_parallel: 3 });
    const account = place.aside('three');
    const gate = `until [ -e '${place.aside('three-go')}' ]; do sleep 0.05; done`;
    for (let n = 0; n < 9; n++) job.drop(`t${n}`, { shell: `echo + >>'${account}'; ${gate}; echo - >>'${account}'` });
    await waitUntil('three run', () => place.lines('three').length === 3);
    writeFileSync(place.aside('three-go'), '');
    for (let n = 0; n < 9; n++) await job.comesTo('succeeded', `t${n}`);
    assert.equal(most(place.lines('three')), 3);
  });

  it('is changed by the file `parallel`, and stopped by the file `paused`', async () => {
    const job = place.job('files').make({}, { parallel: '2\n', paused: '' });
    const shell = `echo "$SPOOLD_TASK"; until [ -e '${place.aside('files-go')}' ]; do sleep 0.05; done`;
    for (const id of ['a', 'b', 'c']) job.drop(id, { shell });
    place.job('files-other').drop('x', { command: 'true' });
    await place.job('files-other').comesTo('succeeded', 'x');
    assert.deepEqual(job.ids('running'), []);
    rmSync(job.path('paused'));
    const running = () => ['a', 'b', 'c'].filter((id) => job.output(id).includes(id));
    await waitUntil('two run', () => running().length === 2);
    assert.equal(job.ids('pending').length, 1);
    writeFileSync(job.path('parallel'), '3');
    await waitUntil('all run', () => running().length === 3);
    writeFileSync(place.aside('files-go'), '');
    for (const id of ['a', 'b', 'c']) await job.comesTo('succeeded', id);
  });

  it('waits for one of the slots of the whole directory, in fair turns between jobs; `paused` and `parallel` there hold for all', async () => {
    const own = new Place({ config: 'max_parallel: 2\npoll_interval: 100ms\n' });
    try {
      await own.start();
      writeFileSync(own.at('paused'), '');
      const account = own.aside('account');
      const jobs = ['a', 'b', 'c'].map((name) => own.job(name).make({ max_parallel: 'none' }));
      const gate = `until [ -e '${own.aside('go')}' ]; do sleep 0.05; done`;
      const shell = `echo "+ $SPOOLD_JOB" >>'${account}'; ${gate}; echo - >>'${account}'`;
      for (const job of jobs) for (let n = 0; n < 4; n++) job.drop(`t${n}`, { shell });
      const waiting = () =>
        jobs.every((job) => job.names('running').length === 0 && job.names('succeeded').length === 0);
      await waitUntil('all is taken in', () => jobs.every((job) => isTakenIn(job, 4)));
      assert.ok(waiting());
      rmSync(own.at('paused'));
      await waitUntil('two run', () => own.lines('account').length === 2);
      writeFileSync(own.aside('go'), '');
      for (const job of jobs) for (let n = 0; n < 4; n++) await job.comesTo('succeeded', `t${n}`);
      assert.equal(most(own.lines('account')), 2);
      // As they were started: their shells may get a processor in any order.
      const events = own.lines('state/events.ndjson').map((line) => JSON.parse(line) as { event: string; job: string });
      const started = events.filter(({ event }) => event === 'started').map(({ job }) => job);
      assert.deepEqual(started.slice(0, 3).sort(), ['a', 'b', 'c']);
      writeFileSync(own.at('parallel'), '1');
      jobs[0]?.drop('late', { command: 'true' });
      await jobs[0]?.comesTo('succeeded', 'late');
      rmSync(account);
      for (const job of jobs) job.drop('more', { shell });
      for (const job of jobs) await job.comesTo('succeeded', 'more');
      assert.equal(most(own.lines('account')), 1);
    } finally {
      await own.close();
    }
  });
});

describe('killed or removed under a running task', { concurrency: true }, () => {
  it('launcher that had not begun it: it waits a second before another begins it', async () => {
    await withPlace({ config: CONFIG }, async (place) => {
      await place.start();
      const launcher = place.processes().find((live) => isLauncher(live.args));
      assert.ok(launcher && signalProcess(launcher, 'SIGSTOP'));
      const job = place.job('a').drop('x', { command: 'true' });
      await waitUntil('it was handed over', () => isThere(job.path('runs', 'x.1', 'run')));
      signalProcess(launcher, 'SIGKILL');
      await job.comesTo('succeeded', 'x');
      const told = (readText(place.at('events.ndjson')) ?? '')
        .split('\n')
        .filter((line) => line.includes('"task":"x"'));
      const at = (event: string): number[] =>
        told.filter((line) => line.includes(`"event":"${event}"`)).map((line) => Date.parse(JSON.parse(line).t));
      const [[given = 0], starts] = [at('given_back'), at('started')];
      assert.ok((starts.at(-1) ?? 0) - given >= 900, told.join('\n'));
    });
  });

  it('launcher: what runs goes on and is recorded, and another launcher runs what comes', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place.job('a').make({ max_parallel: 3 });
      job.drop('x', {
        shell: `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done; echo done; exit 5`,
      });
      await job.says('x', 'runs');
      const launchers = place
        .processes()
        .filter((live) => isLauncher(live.args) && parentOf(live.pid) === place.daemon?.pid);
      assert.equal(launchers.length, 1);
      assert.ok(launchers.every((live) => signalProcess(live, 'SIGKILL')));
      job.drop('y', { shell: 'echo y' });
      await job.comesTo('succeeded', 'y');
      assert.ok(job.isClaimed('x'));
      writeFileSync(place.aside('go'), '');
      await job.comesTo('failed', 'x');
      assert.equal(job.output('x'), 'runs\ndone\n');
      assert.equal(job.result('x').exit_code, 5);
      assert.match(place.log, /launcher/);
    } finally {
      await place.close();
    }
  });

  it('run directory, removed by hand under a running task: no second attempt while its command lives', async () => {
    const place = new Place();
    try {
      await place.start();
      const account = place.aside('account');
      const job = place.job('a').drop('x', {
        shell: `echo begin >>'${account}'; echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done; echo end >>'${account}'`,
      });
      await job.says('x', 'runs');
      place.job('b').drop('y', { command: ['sleep', '0.3'] }); // by then the daemon has seen that x has begun
      await place.job('b').comesTo('succeeded', 'y');
      rmSync(job.runDir('x'), { recursive: true });
      place.job('b').drop('z', { command: ['sleep', '0.6'] });
      await place.job('b').comesTo('succeeded', 'z');
      assert.deepEqual(place.lines('account'), ['begin']);
      writeFileSync(place.aside('go'), '');
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(place.lines('account'), ['begin', 'end', 'begin', 'end']);
    } finally {
      await place.close();
    }
  });

  it('runner, with nothing of its command left: lost, and run again', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place.job('a').drop('x', { shell: 'echo runs; [ $SPOOLD_ATTEMPT = 2 ] || exec sleep 1000' });
      await job.says('x', 'runs');
      const { runner } = parsePidFile(readFileSync(join(job.runDir('x'), 'pid'), 'utf8'));
      const family = place.processesOf(job.runDir('x'));
      assert.ok(runner !== undefined && signalProcess(runner, 'SIGKILL'));
      for (const live of family) signalProcess(live, 'SIGKILL');
      await job.comesTo('succeeded', 'x');
      assert.ok(!family.some(lives));
      assert.deepEqual(
        job.results('x').map(({ reason }) => reason),
        ['lost', 'exit'],
      );
    } finally {
      await place.close();
    }
  });
});

/** The most that were between + and - at one time. */
function most(lines: readonly string[]): number {
  let now = 0;
  return lines.reduce((highest, line) => Math.max(highest, (now += line.startsWith('+') ? 1 : -1)), 0);
}

function parentOf(pid: number): number {
  return Number(/\) \S+ (\d+)/.exec(readText(`/proc/${pid}/stat`) ?? '')?.[1]);
}
