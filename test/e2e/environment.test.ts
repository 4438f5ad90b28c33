// What a command finds: environment, working directory, standard input, umask, niceness.
import assert from 'node:assert/strict';
import { findIdleIo } from '../../src/host/idle-io.ts';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';
import { KINDS } from '../runner/attempts.ts';

const ENV = { A: 'daemon', B: 'daemon', C: 'daemon', D: 'daemon', E: 'daemon' };

describe('the environment of a command', { concurrency: true }, () => {
  const place = new Place({
    config: 'max_parallel: 60\npoll_interval: 1h\nenv: {B: config, C: config, D: config, E: config}\n',
    env: ENV,
  });
  before(() => place.start());
  after(() => place.close());

  const shows = { shell: 'echo "$A $B $C $D $E"' };

  it('is in layers: inherited, config, job, env_file and task, each over the one before', async () => {
    writeFileSync(place.aside('layers.env'), 'D=file\nE=file\n# a comment\n');
    const job = place.job('layers').make({ defaults: { env: { C: 'job' } } });
    job.drop('x', { ...shows, env_file: place.aside('layers.env'), env: { E: 'task' } });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'daemon config job file task\n');
  });

  it('keeps every character of a value', async () => {
    const value = ' a\'b"c$d`e\\f\ng\té€ ';
    const job = place.job('characters').drop('x', {
      command: [process.execPath, '-e', 'console.log(JSON.stringify(process.env.V))'],
      env: { V: value },
    });
    await job.comesTo('succeeded', 'x');
    assert.equal(JSON.parse(job.output('x')), value);
  });

  it('has what spoold tells an attempt about itself', async () => {
    const job = place.job('itself').drop('x', {
      shell: 'echo "$SPOOLD_DIR $SPOOLD_JOB $SPOOLD_TASK $SPOOLD_ATTEMPT $SPOOLD_RUN_DIR $SPOOLD_PENDING"',
    });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), `${place.dir} itself x 1 ${job.runDir('x')} ${job.runDir('x')}/pending\n`);
  });

  it('with inherit_env: false is what config and task say, and PATH', async () => {
    const job = place
      .job('bare')
      .drop('x', { shell: 'echo "[$A] $B $V $HOME"; ls / >/dev/null', inherit_env: false, env: { V: 'v' } });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), '[] config v \n');
  });

  it('with a list in inherit_env has those variables', async () => {
    const job = place.job('listed').drop('x', { shell: 'echo "$A [$TEST_PLACE]"', inherit_env: ['A'] });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'daemon []\n');
  });

  it('with env_from is the captured one, instead of the inherited', async () => {
    const text = JSON.stringify({ A: 'captured', PATH: process.env.PATH });
    const sha256 = createHash('sha256').update(text).digest('hex');
    mkdirSync(place.at('env'), { recursive: true });
    writeFileSync(place.at('env', sha256), text);
    const job = place.job('captured').drop('x', { shell: 'echo "$A $B [$TEST_PLACE]"', env_from: sha256 });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), 'captured config []\n');
    for (const [id, inherit_env, said] of [
      ['bare', false, '[] []'],
      ['listed', ['A'], '[captured] []'],
    ] as const) {
      job.drop(id, { shell: 'echo "[$A] [$TEST_PLACE]"; ls / >/dev/null', env_from: sha256, inherit_env });
      await job.comesTo('succeeded', id);
      assert.equal(job.output(id), `${said}\n`);
    }
  });

  it('with an env_file that holds a replacement character has it', async () => {
    writeFileSync(place.aside('sound.env'), 'A=\uFFFD\n');
    const job = place.job('sound').drop('x', { shell: 'echo "$A"', cwd: place.root, env_file: 'sound.env' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), '\uFFFD\n');
  });

  const missing: [string, Record<string, unknown>, string, RegExp][] = [
    ['a captured environment that is not there', { env_from: '0'.repeat(64) }, 'env', /0{64}.*is not there/],
    ['a captured environment that is damaged', { env_from: '1'.repeat(64) }, 'env', /1{64}.*damaged/],
    ['an env_file with a line that is none', { env_file: 'bad.env' }, 'env', /bad\.env:2: expected NAME=value/],
    ['an env_file that is not UTF-8', { env_file: 'latin1.env' }, 'env', /latin1\.env is not valid UTF-8/],
    [
      'an env_file that is a FIFO nobody writes to',
      { env_file: 'fifo.env' },
      'env',
      /fifo\.env cannot be read: .*no file/,
    ],
    ['an env_file that is not there', { env_file: '/no/such/file' }, 'env', /\/no\/such\/file/],
    ['a working directory that does not exist', { cwd: '/no/such/folder' }, 'cwd', /\/no\/such\/folder does not exist/],
    ['a working directory that is a file', { cwd: '/etc/passwd' }, 'cwd', /\/etc\/passwd is no folder/],
    [
      'a file for standard input that is not there',
      { stdin: { file: '/no/such/input' } },
      'stdin',
      /\/no\/such\/input, does not exist: make it, or change stdin/,
    ],
  ];
  for (const [index, [what, keys, reason, words]] of missing.entries()) {
    it(`fails the attempt with a sentence: ${what}`, async () => {
      mkdirSync(place.at('env'), { recursive: true });
      writeFileSync(place.at('env', '1'.repeat(64)), '{}');
      writeFileSync(place.aside('bad.env'), 'A=1\nexport B\n');
      writeFileSync(place.aside('latin1.env'), 'A=\xe9\n', 'latin1');
      spawnSync('mkfifo', [place.aside('fifo.env')]);
      const job = place.job(`missing-${index}`).drop('x', { shell: 'echo ran', cwd: place.root, ...keys });
      await job.comesTo('failed', 'x');
      assert.equal(job.result('x').reason, reason);
      assert.match(job.result('x').message, words);
      assert.equal(job.output('x'), '');
      job.drop('good', { command: 'true' });
      await job.comesTo('succeeded', 'good');
    });
  }
});

describe('a variable that no shell can set', () => {
  /** By bash: dash hands on no variable that it could not set. */
  const withoutEnv = ['unshare', '-Ur', '-m', 'bash', '-c', 'mount --bind /dev/null /usr/bin/env && exec "$@"', 'bash'];
  const canBeWithout = spawnSync(withoutEnv[0] as string, [...withoutEnv.slice(1), 'true']).status === 0;

  it('is set by the native runner itself, not by env(1), among whose arguments everybody could see it', {
    skip: canBeWithout && KINDS.includes('native') ? false : 'no user namespaces, or no native launcher, here',
  }, async () => {
    const place = new Place({ under: withoutEnv, env: { 'in.herited': 'seen' } });
    try {
      await place.start();
      const job = place.job('a');
      job.drop('x', { command: ['printenv', 'with.dot', 'IFS', 'in.herited'], env: { 'with.dot': '1', IFS: ':' } });
      job.drop('y', { command: ['printenv', 'in.herited'], inherit_env: false });
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x'), '1\n:\nseen\n');
      await job.comesTo('failed', 'y');
      assert.deepEqual([job.output('y'), job.result('y').exit_code], ['', 1]);
    } finally {
      await place.close();
    }
  });
});

describe('where a command runs, and what it reads', { concurrency: true }, () => {
  const place = new Place({
    config: 'max_parallel: 60\npoll_interval: 1h\n',
    under: ['sh', '-c', 'umask 027; exec "$@"', 'sh'],
  });
  before(() => place.start());
  after(() => place.close());

  it('in $HOME where the state directory is no .spoold', async () => {
    const job = place.job('home').drop('x', { command: 'pwd' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), `${process.env.HOME ?? homedir()}\n`);
  });

  it('in the folder that holds .spoold/, or in the cwd that it names from there', async () => {
    const own = new Place({});
    const dir = own.aside('project', '.spoold');
    mkdirSync(own.aside('project', 'sub'), { recursive: true });
    mkdirSync(dir, { mode: 0o700 });
    Object.assign(own, { dir });
    try {
      await own.start();
      const job = own.job('a').drop('x', { command: 'pwd' }).drop('y', { command: 'pwd', cwd: 'sub' });
      await job.comesTo('succeeded', 'x');
      await job.comesTo('succeeded', 'y');
      assert.equal(job.output('x'), `${own.aside('project')}\n`);
      assert.equal(job.output('y'), `${own.aside('project', 'sub')}\n`);
    } finally {
      await own.close();
    }
  });

  it('reads the text of stdin, a file relative to its cwd, or nothing', async () => {
    writeFileSync(place.aside('input.txt'), 'from a file\n');
    const job = place.job('stdin').drop('text', { command: 'cat', stdin: "it's\ntext" });
    job
      .drop('file', { command: 'cat', stdin: { file: 'input.txt' }, cwd: place.root })
      .drop('nothing', { command: 'cat' });
    for (const id of ['text', 'file', 'nothing']) await job.comesTo('succeeded', id);
    assert.deepEqual(
      [job.output('text'), job.output('file'), job.output('nothing')],
      ["it's\ntext", 'from a file\n', ''],
    );
  });

  it('has the umask that the daemon was started with, while the state directory stays private', async () => {
    const job = place
      .job('umask')
      .drop('x', { shell: 'umask; stat -c %a "$SPOOLD_RUN_DIR" "$SPOOLD_RUN_DIR/output.log"' });
    await job.comesTo('succeeded', 'x');
    assert.equal(job.output('x'), '0027\n700\n600\n');
  });

  it('runs at nice 19 as best_effort, and with idle I/O where the host has ionice; as anything else it does not', async () => {
    const shell = 'nice; ionice 2>/dev/null || :';
    const ours = spawnSync('sh', ['-c', shell], { encoding: 'utf8' }).stdout;
    const job = place.job('nice').drop('x', { shell, priority: 'best_effort' }).drop('y', { shell });
    await job.comesTo('succeeded', 'x');
    await job.comesTo('succeeded', 'y');
    const idle = findIdleIo(process.env.PATH).length > 0;
    assert.match(job.output('x'), idle ? /^19\n(idle|none: prio \d)\n$/ : /^19\n/);
    assert.equal(job.output('y').split(' ')[0], ours.split(' ')[0], 'as the daemon, which is as we are');
  });

  const commands: [string, string, string, number][] = [
    ['does not exist', '/no/such/program', 'not_found', 127],
    ['is not on PATH', 'no-such-program-anywhere', 'not_found', 127],
    ['is not executable', 'plain.txt', 'not_executable', 126],
    ['is a folder', '.', 'not_executable', 126],
  ];
  for (const [index, [what, program, reason, status]] of commands.entries()) {
    it(`a command that ${what} is a failed attempt that says so`, async () => {
      const path = program === 'plain.txt' ? join(place.root, program) : program === '.' ? place.root : program;
      if (program === 'plain.txt') {
        writeFileSync(path, 'no program\n');
        chmodSync(path, 0o644);
      }
      const job = place.job(`command-${index}`).drop('x', { command: [path] });
      await job.comesTo('failed', 'x');
      const result = job.result('x');
      assert.deepEqual([result.reason, result.exit_code], [reason, status]);
      assert.match(result.message, status === 127 ? /not found/ : /cannot be executed/);
      assert.ok(job.output('x').includes(path), job.output('x'));
    });
  }
});
