// add and submit: what they write, what they refuse, and that nothing is lost where many do it at once.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { bin, Place, speak } from '../helpers/place.ts';
import { script } from './quiet-place.ts';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const taskIn = (job: string, id: string) =>
  JSON.parse(readFileSync(place.at('jobs', job, 'pending', `${id}.json`), 'utf8'));

describe('add', () => {
  it('prints job/task, and says that nobody serves the place', async () => {
    const { status, out, err } = await place.spoold('add', 'echo', 'hi');
    assert.deepEqual({ status, out }, { status: 0, out: 'default/1\n' });
    assert.match(err, /no daemon serves .*spoold start/);
    assert.deepEqual(taskIn('default', '1').command, ['echo', 'hi']);
  });

  it("takes the caller's directory and environment, without what belongs to the terminal", async () => {
    await speak(['add', '--dir', place.dir, 'true'], {
      cwd: place.root,
      env: { COLOUR: 'blue', TERM: 'xterm', SSH_TTY: '/dev/x', SPOOLD_JOB: 'x', SHLVL: '3' },
    });
    const task = taskIn('default', '1');
    assert.equal(task.cwd, place.root);
    const file = place.at('env', task.env_from);
    const env = JSON.parse(readFileSync(file, 'utf8'));
    assert.equal(env.COLOUR, 'blue');
    assert.deepEqual(
      Object.keys(env).filter((name) => /^(TERM|SSH_|SPOOLD_|SHLVL|_$)/.test(name)),
      [],
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it('keeps one environment once, however many tasks have it', async () => {
    for (let i = 0; i < 3; i++) await place.spoold('add', 'true');
    assert.equal(readdirSync(place.at('env')).length, 1);
    assert.deepEqual(place.job('default').ids('pending'), ['1', '2', '3']);
  });

  it('has every option arrive in the task file', async () => {
    const options = [
      '-J',
      'etl',
      '--id',
      'load',
      '-a',
      'a,b',
      '--after',
      'c',
      '--priority',
      'foreground',
      '--retry',
      '2',
      '--timeout',
      '5m',
      '--env',
      'A=1=2',
      '--no-env',
    ];
    const sets = [
      '--set',
      'retry.delay=10s',
      '--set',
      'x-owner=me',
      '--set',
      'on_lost=fail',
      '--set',
      'inherit_env=[PATH, HOME]',
    ];
    const { out, err } = await place.spoold(
      'add',
      ...options.slice(0, 10),
      ...options.slice(12),
      '--set',
      'retry={"max": 2}',
      ...sets,
      'sh',
      '-c',
      'exit',
      '--id',
    );
    assert.equal(out, 'etl/load\n', err);
    assert.deepEqual(taskIn('etl', 'load'), {
      command: ['sh', '-c', 'exit', '--id'],
      dependencies: ['a', 'b', 'c'],
      priority: 'foreground',
      timeout: '5m',
      env: { A: '1=2' },
      retry: { max: 2, delay: '10s' },
      'x-owner': 'me',
      on_lost: 'fail',
      inherit_env: ['PATH', 'HOME'],
      cwd: place.root,
    });
  });

  it('takes -- for the end of its options, and hands on every word after the first', async () => {
    await place.spoold('add', '--', '-odd', '--json', '--', 'x');
    assert.deepEqual(taskIn('default', '1').command, ['-odd', '--json', '--', 'x']);
  });

  it('makes a script of its words with --shell', async () => {
    await place.spoold('add', '--shell', 'echo $HOME | wc -c');
    assert.equal(taskIn('default', '1').shell, 'echo $HOME | wc -c');
  });

  it('refuses what is no valid task, and writes nothing', async () => {
    const wrong = [
      [['--retry', 'three', 'true'], /retry/],
      [['--set', 'needs=a', 'true'], /needs.*dependencies/],
      [['--set', 'retry={"max": 1, "max": 2}', 'true'], /max.*(twice|unique)/],
      [['--set', 'retry={', 'true'], /^spoold: --set retry \{: this is neither JSON nor YAML \(--set retry:1:/],
      [['--retry', '-1', 'true'], /--retry\.\nA value that begins with "-" is joined to its option: --retry=-1\n/],
      [['--retry=-1', 'true'], /retry: .*0/],
      [['--dir', '', 'true'], /--dir is empty: it should name a state directory/],
      [['--id', 'a b', 'true'], /a space/],
      [['--id', 'x.json', 'true'], /without \.json; .*\nWrite --id x\n/],
      [['-J', '../x', 'true'], /cannot be the name of a job/],
      [['--env', 'NOT_SET_ANYWHERE', 'true'], /no such variable/],
      [['echo hi'], /--shell 'echo hi'/],
      [['--id', 'x', '-a', 'x', 'true'], /depends on itself/],
    ] as const;
    for (const [args, words] of wrong) {
      const { status, out, err } = await place.spoold('add', ...args);
      assert.deepEqual({ status, out }, { status: 2, out: '' }, args.join(' '));
      assert.match(err, words);
    }
    assert.equal(existsSync(place.at('jobs', 'default')), false);
  });

  it('refuses an argument that is not UTF-8, which would name another file than was meant', async () => {
    const under = ['sh', '-c', 'exec "$@" "$(printf \'caf\\351\')"', 'sh'];
    const { status, out, err } = await speak(['add', '--dir', place.dir, '--', 'ls'], { under });
    assert.deepEqual({ status, out }, { status: 2, out: '' });
    assert.match(err, /The argument "caf\uFFFD" is not valid UTF-8/);
    assert.equal((await place.spoold('add', '--', 'ls', '\uFFFD')).status, 0);
    rmSync(place.at('jobs', 'default'), { recursive: true });
  });

  it('refuses an id that is in use, says where it lies and how to run it again', async () => {
    place.job('a').drop('x', { command: ['true'] });
    await place.start();
    await place.job('a').comesTo('succeeded', 'x');
    const { status, err } = await place.spoold('add', '-J', 'a', '--id', 'x', 'true');
    assert.equal(status, 2);
    assert.match(err, /a\/x is there already: it is succeeded/);
    writeFileSync(place.job('a').path('pending/y.held'), '{"command":"true"}');
    const held = await place.spoold('add', '-J', 'a', '--id', 'y', 'true');
    assert.equal(held.status, 2);
    assert.match(held.err, /a\/y is there already: it is held[^]*pending\/y\.held/);
    assert.match(err, /spoold retry --dir \S+ a\/x/);
  });

  it('gives eight adders at once a number each, while their tasks run, and none twice', async () => {
    await place.start();
    const adders = Array.from({ length: 8 }, async () => {
      const mine: string[] = [];
      for (let i = 0; i < 5; i++) mine.push((await place.spoold('add', 'true')).out.trim());
      return mine;
    });
    const all = (await Promise.all(adders)).flat();
    assert.deepEqual(
      all.sort((a, b) => Number(a.slice(8)) - Number(b.slice(8))),
      Array.from({ length: 40 }, (_, i) => `default/${i + 1}`),
    );
    for (let i = 1; i <= 40; i++) await place.job('default').comesTo('succeeded', `${i}`);
    assert.deepEqual(place.job('default').names('rejected'), []);
  });

  it('passes over numbers that were given by hand', async () => {
    await place.spoold('add', '--id', '1', 'true');
    await place.spoold('add', '--id', '3', 'true');
    assert.deepEqual(
      [(await place.spoold('add', 'true')).out, (await place.spoold('add', 'true')).out],
      ['default/2\n', 'default/4\n'],
    );
  });

  it('makes children inside a task, numbered from 1 in each attempt', async () => {
    await place.start();
    const add = `'${process.execPath}' '${bin}' add`;
    place.job('a').drop('p', {
      shell: `${add} echo one; ${add} echo two; ${add} -J other echo three; [ "$SPOOLD_ATTEMPT" = 2 ]`,
      retry: 1,
    });
    await place.job('a').comesTo('succeeded', 'p.2');
    await place.job('a').comesTo('succeeded', 'p');
    await place.job('other').comesTo('succeeded', '1');
    assert.deepEqual(new Set(place.job('a').ids('succeeded')), new Set(['p', 'p.1', 'p.2']));
    assert.deepEqual(
      [place.job('a').output('p'), place.job('a').output('p', 2)],
      ['a/p.1\na/p.2\nother/1\n', 'a/p.1\na/p.2\nother/2\n'],
    );
    assert.deepEqual(JSON.parse(readFileSync(place.job('a').file('succeeded', 'p.1'), 'utf8')).ancestors, ['p']);
  });
});

describe('submit', () => {
  const flow = 'max_parallel: 2\ntasks:\n  a: {command: [pwd]}\n  b: {command: [echo, b], dependencies: [a]}\n';

  it('makes a job of a workflow, named by the file, in one rename', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    const { status, out } = await place.spoold('submit', 'flow.yaml');
    assert.deepEqual({ status, out }, { status: 0, out: 'flow\n' });
    assert.deepEqual(readdirSync(place.at('jobs')), ['flow']);
    assert.deepEqual(place.job('flow').ids('pending'), ['a', 'b']);
    assert.equal(JSON.parse(readFileSync(place.job('flow').path('job.json'), 'utf8')).max_parallel, 2);
  });

  it('runs it, in the folder of the file', async () => {
    await place.start();
    writeFileSync(place.aside('flow.yaml'), flow);
    await speak(['submit', '--dir', place.dir, place.aside('flow.yaml')], { cwd: '/' });
    await place.job('flow').comesTo('succeeded', 'b');
    assert.equal(place.job('flow').output('a'), `${place.root}\n`);
  });

  it('names cycles and unknown ids, with status 2, and writes nothing', async () => {
    writeFileSync(
      place.aside('flow.yaml'),
      'tasks:\n  a: {command: [a], dependencies: [b]}\n  b: {command: [b], dependencies: [a, c]}\n',
    );
    const { status, err } = await place.spoold('submit', 'flow.yaml');
    assert.equal(status, 2);
    assert.match(err, /a → b → a/);
    assert.match(err, /flow\.yaml:3:\d+: .*no task "c"/);
    assert.equal(existsSync(place.dir), false);
  });

  it('refuses the name of a job that is not finished, and says what to do', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    const { status, err } = await place.spoold('submit', 'flow.yaml');
    assert.equal(status, 2);
    assert.match(err, /not finished/);
    assert.match(err, /--job/);
    assert.equal((await place.spoold('submit', 'flow.yaml', '--job', 'again')).out, 'again\n');
  });

  it('moves a finished job of that name to archive/', async () => {
    await place.start();
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    await place.job('flow').comesTo('succeeded', 'b');
    const { status, err } = await place.spoold('submit', 'flow.yaml');
    assert.equal(status, 0);
    const [archived] = readdirSync(place.at('archive'));
    assert.match(archived ?? '', /^flow\.\d{8}T\d{6}Z$/);
    assert.ok(err.includes(place.at('archive', archived as string)));
    assert.deepEqual(readdirSync(place.at('archive', archived as string, 'succeeded')).sort(), ['a.json', 'b.json']);
    await place.job('flow').comesTo('succeeded', 'b');
  });

  it('leaves alone what somebody else has submitted under that name since it looked', async () => {
    await place.start();
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    await place.job('flow').comesTo('succeeded', 'b');
    await place.end();
    writeFileSync(place.aside('other.yaml'), 'tasks: {other: {command: [true-name]}}');
    await place.spoold('submit', 'other.yaml');
    const exchange = 'command -p mv state/jobs/flow old && command -p mv state/jobs/other state/jobs/flow';
    mkdirSync(place.aside('bin'));
    script(place, 'bin/mv', `[ -e old ] || { ${exchange}; }\ncommand -p mv "$@"`);
    const { status, err } = await speak(['submit', '--dir', place.dir, 'flow.yaml'], {
      cwd: place.root,
      env: { PATH: `${place.aside('bin')}:${process.env.PATH}` },
    });
    assert.equal(status, 2);
    assert.match(err, /Somebody has just made or moved a job flow/);
    assert.deepEqual(place.job('flow').ids('pending'), ['other']);
    assert.deepEqual(readdirSync(place.at('jobs')), ['flow']);
  });

  it('gives its name back to one that is not finished, whose submit died half way', async () => {
    await place.spoold('init');
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    renameSync(place.at('jobs', 'flow'), place.at('jobs', '.archived-flow.20300101T000000Z'));
    const { status, err } = await place.spoold('submit', 'flow.yaml');
    assert.equal(status, 2);
    assert.match(err, /The job flow is there and not finished/);
    await place.start();
    await place.job('flow').comesTo('succeeded', 'b');
    assert.equal(existsSync(place.job('flow').path('job.json')), true);
  });

  const elsewhere = '/dev/shm';
  const isOtherDisk = existsSync(elsewhere) && statSync(elsewhere).dev !== statSync(tmpdir()).dev;
  it('is done although the finished one cannot go to archive/, and says so', { skip: !isOtherDisk }, async (t) => {
    const archive = mkdtempSync(join(elsewhere, 'spoold-test-'));
    t.after(() => rmSync(archive, { recursive: true }));
    await place.start();
    symlinkSync(archive, place.at('archive'));
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    for (let i = 0; i < 2; i++) {
      await place.job('flow').comesTo('succeeded', 'b');
      const { status, err } = await place.spoold('submit', 'flow.yaml');
      assert.equal(status, 0, err);
      assert.match(err, /the finished job flow went to .*jobs\/\.archived-flow.*\n.*cannot go to archive\/.*EXDEV/);
    }
    await place.job('flow').comesTo('succeeded', 'b');
  });

  it('refuses a name that differs from that of a job only in case, for nobody would serve it', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    await place.spoold('submit', 'flow.yaml');
    for (const words of [
      ['submit', 'flow.yaml', '--job', 'Flow'],
      ['add', '--job', 'Flow', 'true'],
      ['add', '--job', 'Flow', 'echo', ':::', 'a', 'b'],
    ]) {
      const { status, err } = await place.spoold(...words);
      assert.equal(status, 2);
      assert.match(err, /There is a job flow, and Flow differs from it only in case/);
    }
    assert.deepEqual(readdirSync(place.at('jobs')), ['flow']);
  });

  it('takes thousands of tasks at once', async () => {
    const tasks = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`t${i}`, { command: ['true'] }]));
    writeFileSync(place.aside('many.json'), JSON.stringify({ tasks }));
    assert.equal((await place.spoold('submit', 'many.json')).status, 0);
    assert.equal(place.job('many').ids('pending').length, 3000);
    assert.deepEqual(readdirSync(join(place.dir, 'jobs')), ['many']);
  });
});
