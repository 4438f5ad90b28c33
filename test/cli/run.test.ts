// `spoold run` as a user runs it: what is printed, how it ends, and what is left behind.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readProcess } from '../../src/host/identity.ts';
import { bin, speak } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { Desk } from './desk.ts';

describe('spoold run, where no daemon runs', () => {
  let desk: Desk;
  before(() => {
    desk = new Desk();
  });
  after(() => desk.place.close());

  it('prints what a command prints, and nothing else, and ends with its status', async () => {
    const { status, out } = await desk.run('--', 'sh', '-c', 'echo hi; exit 7');
    assert.deepEqual({ status, out }, { status: 7, out: 'hi\n' });
  });

  it('leaves no process and, after a success, no file', async () => {
    for (const left of desk.left()) rmSync(join(desk.temporary, left), { recursive: true });
    assert.equal((await desk.run('true')).status, 0);
    assert.deepEqual(desk.left(), []);
    await waitUntil('nothing is left', () => desk.processes().length === 0, desk.processes);
    assert.equal(existsSync(join(desk.root, '.local')), false);
    assert.equal(existsSync(join(desk.root, '.spoold')), false);
  });

  it('keeps what a failure left, and names the place', async () => {
    const { status, err } = await desk.run('false');
    assert.equal(status, 1);
    const [left] = desk.left();
    assert.ok(left !== undefined && err.includes(join(desk.temporary, left)), err);
    const spoken = await speak(['status', '--dir', join(desk.temporary, left)], { cwd: desk.root });
    assert.match(spoken.out, /run +failed/);
  });

  it('ends with 128 + n where a signal ended the command', async () => {
    assert.equal((await desk.run('--', 'sh', '-c', 'kill -9 $$')).status, 137);
  });

  it('ends with 127 where there is no such command, and with 126 where it cannot be executed', async () => {
    assert.equal((await desk.run('no-such-command')).status, 127);
    assert.equal((await desk.run(desk.write('plain', 'no program'))).status, 126);
  });

  it("runs in the caller's directory, with the caller's environment and umask", async () => {
    const { out } = await speak(['run', '--shell', 'pwd; echo $COLOUR; umask'], {
      cwd: desk.root,
      env: { ...desk.env, COLOUR: 'blue' },
      under: ['sh', '-c', 'umask 027; exec "$@"', 'sh'],
    });
    assert.deepEqual(out.split('\n'), [desk.root, 'blue', '0027', '']);
  });

  it('hands on every byte of a hundred million, however slow the reader', async () => {
    const { child, end } = desk.spawn('--', 'head', '-c', '100000000', '/dev/zero');
    let bytes = 0;
    child.stdout?.removeAllListeners('data').setEncoding('latin1');
    for await (const chunk of child.stdout as AsyncIterable<string>) {
      bytes += chunk.length;
      if (bytes < 1_000_000) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(await end, 0);
    assert.equal(bytes, 100_000_000);
  });

  it('prints a workflow as job/task | line, whole lines, last ones without an end too', async () => {
    const file = desk.write(
      'flow.yaml',
      `tasks:
  a: {shell: "printf 'one\\\\ntwo'"}
  b: {command: [echo, three], dependencies: [a]}
`,
    );
    const { status, out } = await desk.run(file);
    assert.deepEqual({ status, out }, { status: 0, out: 'flow/a | one\nflow/a | two\nflow/b | three\n' });
  });

  it("runs a workflow's tasks in the file's folder, wherever the caller is", async () => {
    mkdirSync(join(desk.root, 'sub', 'deeper'), { recursive: true });
    const file = desk.write('sub/where.yaml', 'tasks: {a: {command: [pwd]}, b: {command: [pwd], cwd: deeper}}\n');
    const { out } = await desk.run(file);
    assert.deepEqual(out.split('\n').sort(), ['', `where/a | ${desk.root}/sub`, `where/b | ${desk.root}/sub/deeper`]);
  });

  it('prints what the tasks print that tasks drop, and waits for them', async () => {
    const child = `{"command":["echo","child"]}`;
    const file = desk.write('grow.yaml', `tasks:\n  a: {shell: 'echo ''${child}'' > "$SPOOLD_PENDING/late.json"'}\n`);
    assert.deepEqual((await desk.run(file)).out, 'grow/late | child\n');
  });

  it('ends with 1 and says what became of what, where a task of a workflow fails', async () => {
    const file = desk.write(
      'bad.yaml',
      "tasks: {a: {command: ['sh', '-c', 'exit 9']}, b: {command: ['true'], dependencies: [a]}}\n",
    );
    const { status, err } = await desk.run(file);
    assert.equal(status, 1);
    assert.match(err, /2 of 2 tasks did not succeed/);
    assert.match(err, /bad\/a failed: .*9/);
    assert.match(err, /bad\/b skipped: because a is failed/);
  });

  it('runs a workflow whose file has a name that is none of a job, in the temporary folder whatever else is offered', async () => {
    const file = desk.write('my flow.yaml', 'tasks: {a: {command: [echo, "hi"]}, b: {shell: exit 1}}\n');
    const { out, err } = await speak(['run', file], {
      cwd: desk.root,
      env: { ...desk.env, XDG_RUNTIME_DIR: desk.root },
    });
    assert.equal(out, 'my-flow/a | hi\n');
    assert.ok(err.includes(join(desk.temporary, 'spoold-run-')), err);
  });

  it('refuses a workflow that is not valid, with its lines, and runs nothing of it', async () => {
    const file = desk.write('wrong.yaml', 'tasks:\n  a: {command: [touch, ran], needs: [b]}\n');
    const { status, err, out } = await desk.run(file);
    assert.deepEqual({ status, out }, { status: 2, out: '' });
    assert.match(err, /wrong\.yaml:2:\d+: .*needs.*dependencies/);
    assert.equal(existsSync(join(desk.root, 'ran')), false);
  });

  it('takes a workflow with words after it for a slip, not for a command', async () => {
    const file = desk.write('flow.yaml', 'tasks:\n  a: {command: [touch, ran]}\n');
    const { status, err, out } = await desk.run(file, 'DATE=today');
    assert.deepEqual({ status, out }, { status: 2, out: '' });
    assert.match(err, /flow\.yaml is a workflow, and takes no words after it but --var NAME=VALUE: DATE=today/);
    assert.equal(existsSync(join(desk.root, 'ran')), false);
  });

  it('refuses a command written as one word, with both right forms', async () => {
    const { status, err } = await desk.run('echo hi');
    assert.equal(status, 2);
    assert.match(err, /--shell 'echo hi'/);
  });

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGQUIT', 131],
  ] as const) {
    it(`cancels all of it on ${signal}, leaves no process, and ends with ${status}`, async () => {
      const { child, out, end } = desk.spawn('--shell', 'echo begun; setsid sleep 1000 & timeout 1000 sleep 999');
      await waitUntil('the command has begun', () => out() === 'begun\n', out);
      child.kill(signal);
      assert.equal(await end, status);
      await waitUntil('nothing is left', () => desk.processes().length === 0, desk.processes);
    });
  }

  it('starts nothing more of a workflow once it is interrupted', async () => {
    const file = desk.write(
      'long.yaml',
      "tasks: {a: {command: ['sh', '-c', 'echo begun; sleep 1000']}, b: {command: [touch, after-all], run_if: always, dependencies: [a]}}\n",
    );
    const { child, out, end } = desk.spawn(file);
    await waitUntil('the first task has begun', () => out().includes('begun'), out);
    child.kill('SIGINT');
    assert.equal(await end, 130);
    assert.equal(existsSync(join(desk.root, 'after-all')), false);
  });

  it('ends, and ends the work, when nobody reads any more', async () => {
    const { child, out, end } = desk.spawn('yes');
    await waitUntil('it prints', () => out().length > 0, out);
    child.stdout?.destroy();
    assert.equal(await end, 141);
    await waitUntil('nothing is left', () => desk.processes().length === 0, desk.processes);
  });

  it('refuses inside a task, and names add', async () => {
    const { status, err } = await desk.run('--', process.execPath, bin, 'run', 'true');
    assert.equal(status, 2);
    assert.match((await desk.run('--', 'sh', '-c', `'${process.execPath}' '${bin}' run true 2>&1`)).out, /spoold add/);
    assert.match(err, /exit status 2/);
  });
});

describe('spoold run, where a daemon runs', () => {
  let desk: Desk;
  before(async () => {
    desk = new Desk();
    await desk.place.start();
  });
  after(() => desk.place.close());

  it('has that daemon do it, as a job of its own', async () => {
    const { status, out } = await desk.run('--dir', desk.place.dir, '--', 'sh', '-c', 'echo $SPOOLD_DIR; exit 4');
    assert.deepEqual({ status, out }, { status: 4, out: `${desk.place.dir}\n` });
    assert.deepEqual(desk.left(), []);
    assert.equal(readdirSync(desk.place.at('jobs')).filter((job) => job.startsWith('run-')).length, 1);
  });

  it("gives it the caller's environment, not the daemon's", async () => {
    const { out } = await speak(['run', '--dir', desk.place.dir, '--shell', 'echo $COLOUR'], {
      cwd: desk.root,
      env: { ...desk.env, COLOUR: 'green' },
    });
    assert.equal(out, 'green\n');
  });

  it('ends, though a folder was made for an attempt that never began', async () => {
    const unused = 'mkdir -p "$SPOOLD_DIR/jobs/$SPOOLD_JOB/runs/$SPOOLD_TASK.7/pending"; echo said';
    const { status, out } = await desk.run('--dir', desk.place.dir, '--shell', unused);
    assert.deepEqual({ status, out }, { status: 0, out: 'said\n' });
  });

  it('cancels it there when it is interrupted', async () => {
    const { child, out, end } = desk.spawn('--dir', desk.place.dir, '--', 'sh', '-c', 'echo $SPOOLD_JOB; sleep 1000');
    const name = (await waitUntil('it has begun', () => out().includes('\n') && out(), out)).trim();
    child.kill('SIGTERM');
    assert.equal(await end, 143);
    assert.deepEqual(desk.place.job(name).ids('cancelled'), ['sh']);
    assert.equal(desk.place.job(name).isClaimed('sh'), false);
  });

  it('ends when it is interrupted and no daemon is left, and the next daemon ends the work', async () => {
    const { child, out, err, end } = desk.spawn('--dir', desk.place.dir, '--shell', 'echo $SPOOLD_JOB; sleep 1000');
    const name = (await waitUntil('it has begun', () => out().includes('\n') && out(), out)).trim();
    await desk.place.kill9();
    child.kill('SIGINT');
    assert.equal(await end, 3);
    assert.match(err(), new RegExp(`so what runs of ${name} runs on`));
    await desk.place.start();
    const job = desk.place.job(name);
    await job.comesTo('cancelled', 'sh');
    assert.equal(existsSync(job.path('paused')), false, 'a retry of it would start');
  });

  it('ends when it is interrupted and the daemon is frozen, which ends the work once it is woken', async () => {
    const { child, out, err, end } = desk.spawn('--dir', desk.place.dir, '--shell', 'echo $SPOOLD_JOB; sleep 1000');
    const name = (await waitUntil('it has begun', () => out().includes('\n') && out(), out)).trim();
    const { daemon } = desk.place;
    daemon?.kill('SIGSTOP');
    try {
      await waitUntil('it is frozen', () => readProcess(daemon?.pid ?? 0)?.state === 'T');
      child.kill('SIGINT');
      assert.equal(await end, 3);
    } finally {
      daemon?.kill('SIGCONT');
    }
    assert.match(err(), new RegExp(`is frozen, so what runs of ${name} runs on.*\n.*kill -CONT`));
    await desk.place.job(name).comesTo('cancelled', 'sh');
  });

  it('does not wait for ever in a paused place, and leaves nothing that would start later', async () => {
    await desk.place.spoold('pause');
    const { status, err } = await desk.run('--dir', desk.place.dir, 'true');
    await desk.place.spoold('resume');
    assert.equal(status, 3);
    assert.match(err, /paused/);
    const jobs = readdirSync(desk.place.at('jobs')).map((name) => desk.place.job(name));
    assert.deepEqual(
      jobs.flatMap((job) => job.ids('pending')),
      [],
    );
  });
});
