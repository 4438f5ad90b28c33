// start, stop, restart, init, unit: the life of a daemon as a user leads it.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { bin, Place, speak } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const pidIn = (text: string) => Number(/spoold (\d+) serves/.exec(text)?.[1]);

describe('the daemon in the background', () => {
  let place: Place;
  beforeEach(() => {
    place = new Place();
  });
  afterEach(async () => {
    await place.spoold('stop', '--kill');
    await place.close();
  });

  it('serves when start returns, and start prints one line with its PID and the directory', async () => {
    const { status, out } = await place.spoold('start');
    assert.equal(status, 0);
    assert.equal(out, `spoold ${pidIn(out)} serves ${place.dir}\n`);
    const record = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8'));
    assert.equal(record.serving, true);
    assert.equal(record.identity.pid, pidIn(out));
  });

  it('outlives its starter, and works', async () => {
    await place.spoold('start');
    place.job('a').drop('x', { command: ['echo', 'hi'] });
    await place.job('a').comesTo('succeeded', 'x');
    assert.equal(place.job('a').output('x'), 'hi\n');
  });

  it('is one, of three that are started at once, and all three starts succeed', async () => {
    const all = await Promise.all([place.spoold('start'), place.spoold('start'), place.spoold('start')]);
    assert.deepEqual(
      all.map(({ status }) => status),
      [0, 0, 0],
      JSON.stringify(all),
    );
    assert.equal(new Set(all.map(({ out }) => pidIn(out))).size, 1);
  });

  it('is started again at once after a kill -9', async () => {
    const first = pidIn((await place.spoold('start')).out);
    process.kill(first, 'SIGKILL');
    const never = Date.now() / 1000 + 1e6;
    utimesSync(place.at('daemon.lock'), never, never); // what waits for that to grow old waits for days
    const { out, status } = await place.spoold('start');
    assert.equal(status, 0);
    assert.notEqual(pidIn(out), first);
  });

  it('knows nothing of a task that it was started from', async () => {
    await speak(['start', '--dir', place.dir], {
      cwd: place.root,
      env: { SPOOLD_JOB: 'other', SPOOLD_TASK: 'x', SPOOLD_RUN_DIR: '/nowhere', TEST_PLACE: place.root },
    });
    place.job('a').drop('x', { command: ['true'] });
    await place.job('a').comesTo('succeeded', 'x');
    const { pid } = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')).identity;
    assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /SPOOLD_/);
  });

  it('is not started on a config with a typo, and start says the line and ends with 2', async () => {
    mkdirSync(place.dir, { mode: 0o700 });
    writeFileSync(place.at('config.yaml'), '# mine\npol_interval: 3\n');
    const { status, err } = await place.spoold('start');
    assert.equal(status, 2);
    assert.match(err, /config\.yaml:2:\d+: pol_interval: .*poll_interval/);
    assert.doesNotMatch(err, /spoold: spoold:/);
  });

  it('stop leaves running tasks running and says which; the next daemon adopts them', async () => {
    await place.spoold('start');
    place.job('a').drop('x', { shell: 'echo begun; while [ ! -e go ]; do sleep 0.02; done', cwd: place.root });
    await place.job('a').says('x', 'begun');
    const stopped = await place.spoold('stop');
    assert.equal(stopped.status, 0);
    assert.match(stopped.out, /spoold \d+ has stopped/);
    assert.match(stopped.err, /a\/x/);
    await place.spoold('start');
    writeFileSync(join(place.root, 'go'), '');
    await place.job('a').comesTo('succeeded', 'x');
    assert.deepEqual(place.job('a').names('runs'), ['x.1']);
  });

  it('stop --drain waits for what runs and starts nothing new', async () => {
    await place.spoold('start');
    const job = place.job('a').make({ max_parallel: 1 });
    job.drop('x', { shell: 'echo begun; while [ ! -e go ]; do sleep 0.02; done', cwd: place.root });
    await job.says('x', 'begun');
    job.drop('y', { command: ['true'] });
    const drained = place.spoold('stop', '--drain');
    await waitUntil('the daemon drains', () => readFileSync(place.at('daemon.json'), 'utf8').includes('"drain"'));
    writeFileSync(join(place.root, 'go'), '');
    assert.equal((await drained).status, 0);
    assert.deepEqual([job.ids('succeeded'), job.ids('pending')], [['x'], ['y']]);
  });

  it('stop --drain --timeout ends with 124 and leaves it draining; a stop then ends it', async () => {
    await place.spoold('start');
    place.job('a').drop('x', { command: ['sleep', '1000'] });
    await place.job('a').comesTo('running', 'x');
    const { status, err } = await place.spoold('stop', '--drain', '--timeout', '200ms');
    assert.equal(status, 124);
    assert.match(err, /a\/x/);
    assert.match((await place.spoold('stop')).out, /has stopped/);
  });

  it('stop --drain --timeout at a terminal says that it has not stopped in place of what it waits for', {
    skip: spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0 ? false : 'there is no script(1) here',
  }, async () => {
    await place.spoold('start');
    place.job('a').drop('x', { command: ['sleep', '1000'] });
    await place.job('a').comesTo('running', 'x');
    const stop = `'${process.execPath}' '${bin}' stop --drain --timeout 3s --dir '${place.dir}'`;
    const { status, stdout } = spawnSync('script', ['-qec', stop, '/dev/null'], { encoding: 'utf8' });
    assert.equal(status, 124, stdout);
    assert.ok(stdout.includes('waiting for 1 running: a/x\r\u001B[Kspoold: '), JSON.stringify(stdout));
  });

  it('stop --drain goes on where one that was given up had begun to wait, and a stop --kill then ends what runs', async () => {
    await place.spoold('start');
    place.job('a').drop('x', { shell: 'echo begun; sleep 1000' });
    await place.job('a').says('x', 'begun');
    for (let round = 0; round < 2; round++)
      assert.equal((await place.spoold('stop', '--drain', '--timeout', '200ms')).status, 124);
    assert.equal((await place.spoold('stop', '--kill')).status, 0);
    assert.deepEqual(place.job('a').ids('pending'), ['x']);
  });

  it('stop --kill ends what runs, which goes back to pending', async () => {
    await place.spoold('start');
    place.job('a').drop('x', { shell: 'echo begun; sleep 1000' });
    await place.job('a').says('x', 'begun');
    assert.equal((await place.spoold('stop', '--kill')).status, 0);
    assert.deepEqual(place.job('a').ids('pending'), ['x']);
    await waitUntil('nothing is left', () => place.processes().length === 0);
  });

  it('stopping a stopped one is no error', async () => {
    assert.deepEqual((await place.spoold('stop')).status, 0);
    await place.spoold('start');
    await place.spoold('stop');
    const again = await place.spoold('stop');
    assert.equal(again.status, 0);
    assert.match(again.out, /No daemon was running/);
  });

  it('restart changes the process and keeps what runs', async () => {
    const first = pidIn((await place.spoold('start')).out);
    place.job('a').drop('x', { shell: 'echo begun; sleep 1000' });
    await place.job('a').says('x', 'begun');
    const { out, status } = await place.spoold('restart');
    assert.equal(status, 0);
    assert.notEqual(pidIn(out), first);
    assert.equal(place.job('a').isIn('running', 'x'), true);
    assert.deepEqual(place.job('a').names('runs'), ['x.1']);
  });
});

describe('init and unit', () => {
  let place: Place;
  beforeEach(() => {
    place = new Place();
  });
  afterEach(() => place.close());

  it('init makes a .spoold that only its owner can look into, with every setting as a comment', async () => {
    const { out } = await speak(['init'], { cwd: place.root });
    const dir = join(place.root, '.spoold');
    assert.match(out, /Made .*\.spoold/);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    const config = readFileSync(join(dir, 'config.yaml'), 'utf8');
    assert.match(config, /^# ?poll_interval/m);
    assert.deepEqual(
      config.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#')),
      [],
    );
  });

  it('init again changes nothing', async () => {
    await speak(['init'], { cwd: place.root });
    const config = join(place.root, '.spoold', 'config.yaml');
    writeFileSync(config, 'max_parallel: 3\n');
    const { status, out } = await speak(['init'], { cwd: place.root });
    assert.equal(status, 0);
    assert.match(out, /already/);
    assert.equal(readFileSync(config, 'utf8'), 'max_parallel: 3\n');
  });

  it('what init says to do next means the directory that it made, and so do the hints of other verbs', async () => {
    const root = place.aside('my work');
    mkdirSync(root);
    const dir = join(root, '.spoold');
    const next = ` --dir '${dir}'`;
    assert.equal(
      (await speak(['init', 'my work'], { cwd: place.root })).out,
      `Made ${dir}. Next: spoold start${next}\n`,
    );
    rmSync(dir, { recursive: true });
    assert.equal((await speak(['init'], { cwd: root })).out, `Made ${dir}. Next: spoold start\n`);
    const add = (cwd: string) => speak(['add', '--dir', dir, 'true'], { cwd });
    assert.match((await add(place.root)).err, /: spoold start --dir '.*'\n$/);
    assert.match((await add(root)).err, /: spoold start\n$/);
    const hints: [string[], string][] = [
      [['status'], `spoold start${next}`],
      [['why', 'default/1'], `spoold start${next}`],
      [['logs', 'default/1'], `spoold why${next} default/1`],
      [['cancel', 'default/nobody'], `spoold status${next} default lists`],
      [['pause', 'default'], `spoold resume${next} default`],
      [['add', '--id', '1', 'true'], `spoold edit${next} default/1`],
    ];
    for (const [[verb = '', ...rest], hint] of hints) {
      const { out, err } = await speak([verb, '--dir', dir, ...rest], { cwd: place.root });
      assert.ok((out + err).includes(hint), out + err);
    }
  });

  it('init DIR makes it there, and verbs below find it', async () => {
    mkdirSync(join(place.root, 'project', 'deep'), { recursive: true });
    await speak(['init', 'project'], { cwd: place.root });
    await speak(['add', 'true'], { cwd: join(place.root, 'project', 'deep') });
    assert.equal(existsSync(join(place.root, 'project', '.spoold', 'jobs', 'default', 'pending', '1.json')), true);
  });

  it('unit prints a unit that leaves tasks alone, and quotes what systemd would read otherwise', async () => {
    const { out } = await speak(['unit', '--dir', '/tmp/a b/100%'], { cwd: place.root });
    assert.match(out, /^KillMode=process$/m);
    assert.match(out, /^OOMPolicy=continue$/m);
    assert.match(out, /enable-linger/);
    assert.match(out, /^ExecStart=\S+ \S+ start --foreground --dir "\/tmp\/a b\/100%%"$/m);
  });
});

describe('the command line itself', () => {
  it('names the verb that was meant, on standard error, with status 2', async () => {
    const { status, out, err } = await speak(['statsu']);
    assert.deepEqual({ status, out }, { status: 2, out: '' });
    assert.match(err, /Did you mean: spoold status/);
  });

  it('says unknown options on standard error, with status 2', async () => {
    const { status, out, err } = await speak(['stop', '--gently']);
    assert.deepEqual({ status, out }, { status: 2, out: '' });
    assert.match(err, /--gently/);
  });

  it('lists every verb without an argument, and tells of one with --help', async () => {
    const { out, status } = await speak([]);
    assert.equal(status, 0);
    for (const verb of ['run', 'add', 'submit', 'status', 'logs', 'wait', 'cancel', 'retry', 'completion'])
      assert.match(out, new RegExp(`^  ${verb} `, 'm'));
    assert.match((await speak(['stop', '--help'])).out, /--drain/);
    assert.match((await speak(['help', 'stop'])).out, /--drain/);
  });

  it('ends quietly when its reader has seen enough', () => {
    const out = execFileSync('sh', ['-c', `'${process.execPath}' '${bin}' schema workflow | head -n 1`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.equal(out, '{\n');
  });
});
