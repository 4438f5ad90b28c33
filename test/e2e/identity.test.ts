// Who is who: no process is taken for another and no directory for another, after kills, reboots, copies, moves, backups
// and upgrades. What a living stranger is taken for, it would be signalled for.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ownIdentity, readProcess, signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { type JobHands, lives, looksAgain, type Place, readText, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { projectRoot } from '../protocol/root.ts';

const inPlace = (run: (place: Place) => Promise<void>, config = 'max_parallel: 4\n') => withPlace({ config }, run);

/** Tells the file `account` when it begins and ends, and ends once there is a file `go`. */
function untilGo(place: Place): { shell: string } {
  const account = place.aside('account');
  const wait = `until [ -e '${place.aside('go')}' ]; do sleep 0.05; done`;
  return { shell: `echo "begin $SPOOLD_ATTEMPT" >>'${account}'; ${wait}; echo "end $SPOOLD_ATTEMPT" >>'${account}'` };
}

const letGo = (place: Place): void => writeFileSync(place.aside('go'), '');
const begins = (place: Place): Promise<unknown> => waitUntil('it begins', () => place.lines('account').length > 0);

const runnerOf = (job: JobHands, id: string) =>
  parsePidFile(readText(join(job.runDir(id), 'pid')) ?? '').runner ?? assert.fail('no runner');
const reasonsOf = (job: JobHands, id: string): string[] => job.results(id).map(({ reason }) => reason);

describe('a runner that is killed alone', () => {
  test('has its task run again only when its command, and what that started elsewhere, is over', () =>
    inPlace(async (place) => {
      await place.start();
      const later = `setsid sh -c "until [ -e '${place.aside('later')}' ]; do sleep 0.05; done"`;
      const { shell } = untilGo(place);
      const job = place
        .job('a')
        .drop('x', { shell: `${later} & timeout 1000 sh -c '${shell.replaceAll("'", `'\\''`)}'` });
      await begins(place);
      assert.ok(signalProcess(runnerOf(job, 'x'), 'SIGKILL'));
      await looksAgain(place);
      await place.kill9();
      await place.start();
      await looksAgain(place);
      assert.deepEqual([job.isClaimed('x'), place.lines('account')], [true, ['begin 1']]);
      letGo(place);
      await waitUntil('its command is over', () => place.lines('account').length === 2);
      await looksAgain(place);
      assert.deepEqual([job.isClaimed('x'), place.lines('account')], [true, ['begin 1', 'end 1']]);
      writeFileSync(place.aside('later'), '');
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(place.lines('account'), ['begin 1', 'end 1', 'begin 2', 'end 2']);
      assert.deepEqual(reasonsOf(job, 'x'), ['lost', 'exit']);
    }));

  test('is seen to have left its command, though that has cleared its environment', () =>
    inPlace(async (place) => {
      await place.start();
      const work = `
        const { appendFileSync, existsSync } = require('fs');
        const account = (word) => appendFileSync('${place.aside('account')}', word + ' ' + process.argv[1] + '\\n');
        account('begin');
        const wait = setInterval(() => {
          if (!existsSync('${place.aside('go')}')) return;
          account('end');
          clearInterval(wait);
        }, 50);`;
      const job = place.job('a').drop('x', {
        shell: `exec env -i X=1 '${process.execPath}' -e "$WORK" "$SPOOLD_ATTEMPT"`,
        env: { WORK: work },
      });
      await begins(place);
      assert.ok(signalProcess(runnerOf(job, 'x'), 'SIGKILL'));
      await looksAgain(place);
      assert.deepEqual([job.isClaimed('x'), place.lines('account')], [true, ['begin 1']]);
      letGo(place);
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(place.lines('account'), ['begin 1', 'end 1', 'begin 2', 'end 2']);
    }));

  test('between its fork and the exec of its command: that comes to its end before another attempt begins', (t) =>
    inPlace(async (place) => {
      const daemon = await place.start();
      const [launcher] = readText(`/proc/${daemon.pid}/task/${daemon.pid}/children`)?.trim().split(' ') ?? [];
      if (readProcess(Number(launcher))?.comm !== 'spoold-launcher') return t.skip('no native launcher here');
      const tracer = await slowForks(String(launcher));
      if (tracer === undefined) return t.skip('no strace here that may trace');
      try {
        const job = place.job('a').drop('x', untilGo(place));
        await waitUntil('the runner has begun', () => readText(join(job.runDir('x'), 'pid'))?.endsWith('\n'));
        const runner = runnerOf(job, 'x');
        await waitUntil('it has forked', () => readText(`/proc/${runner.pid}/task/${runner.pid}/children`) !== '');
        assert.ok(signalProcess(runner, 'SIGKILL'));
        await begins(place);
        tracer.kill('SIGKILL');
        await looksAgain(place);
        letGo(place);
        await job.comesTo('succeeded', 'x');
        assert.deepEqual(place.lines('account'), ['begin 1', 'end 1', 'begin 2', 'end 2']);
      } finally {
        tracer.kill('SIGKILL');
      }
    }));
});

/** Has each child of a runner wait for two seconds before it leaves the runner's group, which is the first that it does. */
async function slowForks(launcher: string): Promise<ChildProcess | undefined> {
  const delay = ['-e', 'trace=setpgid', '-e', 'inject=setpgid:delay_enter=2s'];
  const tracer = spawn('strace', ['-f', '-qq', '-o', '/dev/null', ...delay, '-p', launcher], { stdio: 'ignore' });
  const ended = new Promise<true>((resolve) => {
    tracer.once('exit', () => resolve(true));
    tracer.once('error', () => resolve(true));
  });
  let isOver = false;
  void ended.then(() => (isOver = true));
  const isTraced = () => !/^TracerPid:\t0$/m.test(readText(`/proc/${launcher}/status`) ?? '');
  await waitUntil('it is traced', () => isOver || isTraced());
  return isOver ? undefined : tracer;
}

/** A living process that has nothing to do with us, and a child of it. */
async function aStranger(): Promise<{ pid: number; startTicks: number; lives: () => boolean; end: () => void }> {
  const stranger = spawn('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000'], { detached: true });
  const [text] = (await once(stranger.stdout, 'data')) as [Buffer];
  const both = [stranger.pid ?? 0, Number(text)].map((pid) => readProcess(pid) ?? assert.fail('no stranger'));
  return {
    pid: both[0]?.pid as number,
    startTicks: both[0]?.startTicks as number,
    lives: () => both.every(lives),
    end: () => both.forEach((one) => signalProcess(one, 'SIGKILL')),
  };
}

/** An attempt x.1 that was handed over and has begun, by what its files say; `line` is the first of `pid`. */
function leaveAttempt(job: JobHands, id: string, line: (inode: string) => string, boot = ownIdentity().boot): void {
  const run = job.runDir(id);
  mkdirSync(join(run, 'pending'), { recursive: true });
  mkdirSync(job.path('running'), { recursive: true });
  writeFileSync(join(run, 'run'), `#!/bin/sh\n# boot: ${boot}\nexec true </dev/null\n`);
  writeFileSync(join(run, 'pid'), `${line(String(statSync(run).ino))}\n`);
  writeFileSync(join(run, 'output.log'), '');
  symlinkSync(`../runs/${id}.1`, job.path('running', `${id}.run`));
  writeFileSync(job.file('running', id), JSON.stringify({ shell: `echo again >>'${job.place.aside('account')}'` }));
}

/** Who serves, or served, by daemon.json. */
function identityIn(place: Place): { pid: number } {
  return (JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { identity: { pid: number } }).identity;
}

/** Has daemon.json name another. */
function rename(place: Place, change: object): void {
  const record = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { identity: object };
  writeFileSync(place.at('daemon.json'), JSON.stringify({ ...record, identity: { ...record.identity, ...change } }));
}

describe('a PID file that names a living stranger', () => {
  test('by a number that was used again, or in a directory that was copied, is nobody to signal or to wait for', () =>
    inPlace(async (place) => {
      const stranger = await aStranger();
      try {
        const { boot, pidns, host } = ownIdentity();
        const { pid, startTicks } = stranger;
        const lines: Record<string, (inode: string) => string> = {
          reused: (inode) => `${pid} ${startTicks + 1} ${boot} ${pidns} ${host} ${inode}`,
          copied: (inode) => `${pid} ${startTicks} ${boot} ${pidns} ${host} ${Number(inode) + 1}`,
          rebooted: (inode) => `${pid} ${startTicks} another-boot ${pidns} ${host} ${inode}`,
        };
        const job = place.job('a');
        const all = Object.entries(lines).flatMap(([name, line]) =>
          ['runs', 'ending', 'cancelled'].map((how) => ({ id: `${name}-${how}`, line, how })),
        );
        for (const { id, line, how } of all) {
          leaveAttempt(job, id, line);
          if (how === 'runs') continue;
          const ending = { reason: 'timeout', message: 'it ran too long', at: 1 };
          if (how === 'ending') writeFileSync(join(job.runDir(id), 'ending'), JSON.stringify(ending));
          mkdirSync(job.path('cancelled'), { recursive: true });
          if (how === 'cancelled') renameSync(job.file('running', id), job.file('cancelled', id));
        }
        await place.start();
        for (const { id, how } of all)
          await job.comesTo(
            ({ runs: 'succeeded', ending: 'failed', cancelled: 'cancelled' } as const)[how as 'runs'],
            id,
          );
        assert.ok(stranger.lives(), 'it was signalled');
        assert.deepEqual(place.lines('account'), ['again', 'again', 'again']);
        for (const { id, how } of all) if (how === 'runs') assert.deepEqual(reasonsOf(job, id), ['lost', 'exit']);
      } finally {
        stranger.end();
      }
    }, 'max_parallel: 4\nkill_after: 100ms\n'));

  test('of a daemon is no daemon: another starts at once', () =>
    inPlace(async (place) => {
      await place.start();
      await place.kill9();
      const stranger = await aStranger();
      try {
        rename(place, { pid: stranger.pid });
        const stopped = await place.spoold('stop', '--kill');
        assert.match(stopped.out + stopped.err, /No daemon was running/);
        await place.start();
        assert.ok(stranger.lives());
      } finally {
        stranger.end();
      }
    }));
});

describe('after a reboot', () => {
  test('each running task is lost, whoever has its number now, and none is adopted', () =>
    inPlace(async (place) => {
      const stranger = await aStranger();
      try {
        await place.start();
        await place.kill9();
        const { pidns, host } = ownIdentity();
        rename(place, { boot: 'the-boot-before' });
        const job = place.job('a');
        const line = (inode: string) =>
          `${stranger.pid} ${stranger.startTicks} the-boot-before ${pidns} ${host} ${inode}`;
        for (const id of ['x', 'y', 'z']) leaveAttempt(job, id, line, 'the-boot-before');
        await place.start();
        for (const id of ['x', 'y', 'z']) await job.comesTo('succeeded', id);
        for (const id of ['x', 'y', 'z']) assert.deepEqual(reasonsOf(job, id), ['lost', 'exit']);
        assert.ok(stranger.lives());
      } finally {
        stranger.end();
      }
    }));

  test('an attempt of which the disk tells nothing is lost, though the daemon that found so died, or had many children to take in', () =>
    inPlace(async (place) => {
      await place.start();
      await place.kill9();
      rename(place, { boot: 'the-boot-before' });
      const job = place.job('a');
      for (const id of ['voided', 'parent']) {
        leaveAttempt(job, id, () => '', 'the-boot-before');
        for (const name of ['pid', 'output.log']) rmSync(join(job.runDir(id), name));
      }
      linkSync(join(job.runDir('voided'), 'run'), join(job.runDir('voided'), 'output.log'));
      const children = [{ id: 'child', command: ['true'] }];
      writeFileSync(join(job.runDir('parent'), 'pending', 'many.json'), JSON.stringify(children));
      await place.start();
      for (const id of ['voided', 'parent', 'child']) await job.comesTo('succeeded', id);
      for (const id of ['voided', 'parent']) assert.deepEqual(reasonsOf(job, id), ['lost', 'exit']);
    }));
});

describe('a state directory', () => {
  test('that was copied under running work leaves that work to the original, and runs its own', () =>
    inPlace(async (place) => {
      await place.start();
      const job = place.job('a').drop('x', untilGo(place));
      await begins(place);
      const runner = runnerOf(job, 'x');
      await inPlace(async (copy) => {
        spawnSync('cp', ['-a', `${place.dir}/.`, copy.dir]);
        await copy.start();
        await waitUntil(
          'the copy has called its own attempt lost, and begun another',
          () => place.lines('account').includes('begin 2'),
          () => copy.job('a').describe('x'),
        );
        assert.deepEqual(reasonsOf(copy.job('a'), 'x'), ['lost']);
        assert.ok(lives(runner), 'the work of the original was ended');
        letGo(place);
        await copy.job('a').comesTo('succeeded', 'x');
      });
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(reasonsOf(job, 'x'), ['exit']);
      assert.deepEqual(place.lines('account').sort(), ['begin 1', 'begin 2', 'end 1', 'end 2']);
    }));

  test('that was moved while no daemon served it takes its running work along', () =>
    inPlace(async (place) => {
      await place.start();
      place.job('a').drop('x', untilGo(place));
      await begins(place);
      await place.end();
      await inPlace(async (moved) => {
        renameSync(moved.dir, `${moved.dir}.empty`);
        renameSync(place.dir, moved.dir);
        await moved.start();
        await looksAgain(moved);
        assert.ok(moved.job('a').isClaimed('x'));
        letGo(place);
        await moved.job('a').comesTo('succeeded', 'x');
        assert.deepEqual(reasonsOf(moved.job('a'), 'x'), ['exit']);
      });
      assert.deepEqual(place.lines('account'), ['begin 1', 'end 1']);
    }));

  test('over which a backup is laid runs nothing again: what has gone on stands, and the copies are set aside', () =>
    inPlace(async (place) => {
      await place.start();
      const job = place.job('a').drop('runs', untilGo(place));
      job.drop('waits', { shell: `echo waited >>'${place.aside('account')}'`, dependencies: ['runs'] });
      await begins(place);
      await place.kill9();
      spawnSync('cp', ['-a', place.dir, place.aside('backup')]);
      await place.start();
      letGo(place);
      await job.comesTo('succeeded', 'waits');
      await place.end();
      const before = place.lines('account');
      spawnSync('cp', ['-a', `${place.aside('backup')}/.`, place.dir]);
      assert.deepEqual(job.ids('running'), ['runs']);
      await place.start();
      assert.match(await job.rejects('waits'), /succeeded/);
      await job.comesTo('succeeded', 'runs');
      await looksAgain(place);
      assert.deepEqual(place.lines('account'), before);
      assert.deepEqual(job.ids('succeeded'), ['runs', 'waits']);
      assert.deepEqual([job.ids('pending'), job.ids('running')], [[], []]);
    }));

  test('of a newer format is left alone by every verb', () =>
    inPlace(async (place) => {
      await place.start();
      await place.job('a').drop('x', { command: 'false' }).comesTo('failed', 'x');
      await place.end();
      writeFileSync(place.at('VERSION'), '2\n');
      for (const args of [['add', '--', 'true'], ['retry', 'a/x'], ['start', '--foreground'], ['status']]) {
        const { status, err } = await place.spoold(...args);
        assert.notEqual(status, 0, args.join(' '));
        assert.match(err, /format 2; this spoold knows format 1/, args.join(' '));
      }
      const job = place.job('a');
      assert.deepEqual([job.names('pending'), job.ids('failed')], [[], ['x']]);
      assert.ok(!existsSync(place.at('daemon.lock')));
      writeFileSync(place.at('VERSION'), '1\n');
    }));
});

describe('an upgrade', () => {
  test('in place under running work: it goes on, its end is told to the new daemon, and new work runs', () =>
    inPlace(async (place) => {
      const project = projectRoot();
      const installed = place.aside('installed');
      for (const part of ['bin', 'dist', 'package.json'])
        cpSync(join(project, part), join(installed, part), { recursive: true });
      const spoold = (...args: string[]) =>
        spawnSync(process.execPath, [join(installed, 'bin', 'spoold'), ...args, '--dir', place.dir], {
          encoding: 'utf8',
          env: { ...process.env, TEST_PLACE: place.root },
        });
      assert.equal(spoold('start').status, 0);
      const old = identityIn(place).pid;
      const x = place.job('a').drop('x', untilGo(place));
      await begins(place);
      renameSync(join(installed, 'dist'), join(installed, 'dist.old'));
      cpSync(join(project, 'dist'), join(installed, 'dist'), { recursive: true });
      spawnSync('rm', ['-rf', join(installed, 'dist.old')]);
      const restarted = spoold('restart');
      assert.equal(restarted.status, 0, restarted.stderr);
      assert.notEqual(identityIn(place).pid, old);
      await place.job('b').drop('y', { command: 'true' }).comesTo('succeeded', 'y');
      assert.ok(x.isClaimed('x'));
      letGo(place);
      await x.comesTo('succeeded', 'x');
      assert.deepEqual([reasonsOf(x, 'x'), place.lines('account')], [['exit'], ['begin 1', 'end 1']]);
      assert.equal(spoold('stop').status, 0);
    }));
});
