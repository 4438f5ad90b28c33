import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { unless } from '../../src/errors.ts';
import { livenessOf, lookAtProcesses, readProcess, signalProcess } from '../../src/host/identity.ts';
import { membersOf, RUN_DIR_VARIABLE, signalMembers } from '../../src/runner/ending.ts';
import { launcherEnvironment, startLauncher } from '../../src/runner/launcher.ts';
import { shellArgv } from '../../src/runner/script.ts';
import { scratch } from '../helpers/scratch.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { type Attempt, KINDS, MISSING_KINDS, Served, program } from './attempts.ts';

for (const kind of MISSING_KINDS) test(`attempts by the ${kind} launcher`, { skip: 'this machine has none' });

/** Runs `check` in a state directory of its own, once with each kind of launcher. */
function withEach(sentence: string, check: (served: Served) => Promise<void>): void {
  for (const kind of KINDS) {
    test(`${sentence} (${kind})`, async (context) => {
      const served = new Served(kind);
      context.after(() => served.end());
      await check(served);
    });
  }
}

function hasEnded(pid: number): boolean {
  return ['Z', 'X'].includes(readProcess(pid)?.state ?? 'X');
}

async function untilEnded(pid: number): Promise<void> {
  const look = () => hasEnded(pid);
  await waitUntil(`the end of process ${pid}`, look, () => readProcess(pid));
}

/** The runner of an attempt whose command has begun, as something that can be signalled. On a busy machine a short one may be over. */
async function runnerOf(attempt: Attempt): Promise<{ pid: number; startTicks: number }> {
  const isReady = () => waitsForItsChild(attempt.runner?.pid) || attempt.lastWord !== undefined;
  const look = () => (attempt.log !== '' && isReady() ? attempt.runner : undefined);
  return await waitUntil('a runner that waits for its command, which has written', look, () => attempt.read('pid'));
}

/**
 * True if a shell has gone to sleep until a child ends. A signal that comes a moment before, while it is on its way into
 * `wait`, is noted and acted on only when something else wakes it: bash and dash look for signals first, then sleep.
 */
function waitsForItsChild(pid: number | undefined): boolean {
  const where =
    pid === undefined ? undefined : unless(['ENOENT', 'ESRCH'], () => readFileSync(`/proc/${pid}/wchan`, 'latin1'));
  return where !== undefined && /^(do_wait|sigsuspend|0$)/.test(where); // 0: the kernel does not tell
}

/** A command that says `ready` and stays for a minute. */
const READY = ['sh', '-c', 'echo ready; exec sleep 60'];

withEach('the exit status of a command is its last word', async (served) => {
  for (const status of [0, 7, 255]) {
    assert.equal(await served.start([program('exit-with'), String(status)]).status(), status);
  }
  assert.equal(await served.start(['/no/such/program']).status(), 127);
  assert.equal(await served.start(['/etc/passwd']).status(), 126);
});

withEach('the log says that a program is not found, and has no word of a shell on those that die', async (served) => {
  const missing = served.start(['no-such-program-here']);
  const killed = served.start(shellArgv('kill -9 $$'));
  assert.equal(await missing.status(), 127);
  assert.match(missing.log, /no-such-program-here.*not found/);
  assert.equal(await killed.status(), 137);
  assert.equal(killed.log, '');
});

withEach('the first line of pid is the identity of the runner', async (served) => {
  const attempt = served.start(READY);
  const runner = await runnerOf(attempt);
  const fields = attempt.read('pid').split('\n')[0]?.split(' ') ?? [];
  assert.equal(fields.length, 6);
  assert.equal(fields[5], String(statSync(attempt.runDir).ino));
  const identity = attempt.runner;
  assert.ok(identity);
  assert.equal(livenessOf(identity), 'alive');
  signalProcess(runner, 'SIGTERM');
  await untilEnded(runner.pid);
  assert.equal(livenessOf(identity), 'dead');
});

withEach('a command that kills its own group, or hangs it up, is recorded', async (served) => {
  const signals = ['KILL', 'TERM', 'HUP', 'INT'];
  const attempts = signals.map((signal) => served.start([program('kill-own-group'), signal]));
  assert.deepEqual(await Promise.all(attempts.map((attempt) => attempt.status())), [137, 143, 129, 130]);
});

withEach('TERM to the runner ends the whole group of its command, and is recorded as 143', async (served) => {
  const attempt = served.start(shellArgv('sleep 60 & echo "$!"; wait'));
  const child = Number(await attempt.line());
  signalProcess(await runnerOf(attempt), 'SIGTERM');
  assert.equal(await attempt.status(), 143);
  await untilEnded(child);
});

withEach('signals to the runner do not hide the true status of a command that survives them', async (served) => {
  const handling = served.start(['sh', '-c', "trap 'echo caught' TERM; sleep 60 & echo ready; wait; exit 9"]);
  signalProcess(await runnerOf(handling), 'SIGTERM');
  assert.equal(await handling.status(), 9);
  assert.match(handling.log, /caught/);

  const stubborn = served.start([program('ignore-term')]);
  const runner = await runnerOf(stubborn);
  for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGPIPE'] as const) signalProcess(runner, signal);
  await served.start(['true']).status();
  assert.equal(stubborn.lastWord, undefined);
  const command = readFileSync(`/proc/${runner.pid}/task/${runner.pid}/children`, 'latin1').trim();
  process.kill(Number(command), 'SIGKILL');
  assert.equal(await stubborn.status(), 137);
});

withEach(
  'signals to the runner at the moment its command ends neither hang it nor make up a success',
  async (served) => {
    const script = 'trap : TERM; echo ready; sleep 0.01; exit 9';
    for (let round = 0; round < 20; round++) {
      const attempt = served.start(['sh', '-c', script]);
      const runner = await runnerOf(attempt);
      const hasEndedUnderFire = () => {
        signalProcess(runner, 'SIGTERM');
        return served.done.includes(attempt.dir);
      };
      await waitUntil('the end of a runner under fire', hasEndedUnderFire, () => attempt.read('pid'));
      assert.ok([9, 143].includes(attempt.lastWord?.status ?? 0), attempt.read('pid'));
    }
  },
);

withEach('a command that is stopped and continued has not ended', async (served) => {
  const attempt = served.start(shellArgv('echo $$; kill -STOP $$; exit 5'));
  const pid = Number(await attempt.line());
  const isStopped = () => readProcess(pid)?.state === 'T';
  await waitUntil('a stopped command', isStopped, () => readProcess(pid));
  await served.start(['true']).status();
  assert.equal(attempt.lastWord, undefined);
  process.kill(pid, 'SIGCONT');
  assert.equal(await attempt.status(), 5);
});

withEach('what a command leaves in its group has ended before its last word', async (served) => {
  const attempt = served.start([program('fork-child')]);
  assert.equal(await attempt.status(), 0);
  assert.ok(hasEnded(Number(attempt.log)));
});

test('what is left of the group of an attempt that is being ended has the time that the daemon gives it', async (context) => {
  await Promise.all(
    KINDS.map(async (kind) => {
      const served = new Served(kind);
      context.after(() => served.end());
      const saving =
        "trap 'echo asked; n=0; until [ $n -ge 30 ]; do sleep 0.1; n=$((n+1)); done; echo saved; exit' TERM";
      const attempt = served.start(
        shellArgv(`(${saving}; echo ready; while :; do sleep 0.1; done) 2>/dev/null & wait`),
      );
      await attempt.line();
      symlinkSync('cancelled', attempt.path('ending')); // as on a full disk
      const { runner } = attempt;
      signalMembers(
        membersOf(lookAtProcesses(RUN_DIR_VARIABLE), { runDir: attempt.runDir, ...(runner && { runner }) }),
        'SIGTERM',
      );
      assert.equal(await attempt.status(), 143, kind);
      assert.equal(attempt.log, 'ready\nasked\nsaved\n', kind);
    }),
  );
});

withEach('what a command leaves in a session of its own goes on and delays nothing', async (served) => {
  const attempt = served.start([program('own-session')]);
  assert.equal(await attempt.status(), 0);
  assert.ok(process.kill(Number(attempt.log), 'SIGKILL'));
});

withEach('a hundred megabytes of output arrive', async (served) => {
  const attempt = served.start([program('write-much'), '100']);
  assert.equal(await attempt.status(), 0);
  assert.equal(statSync(attempt.path('output.log')).size, 100 * 1024 * 1024);
});

withEach('a second runner for the same attempt runs nothing', async (served) => {
  const attempt = served.start(['echo', 'once']);
  await attempt.status();
  const before = attempt.read('pid');
  served.handOver(attempt, attempt);
  const look = () => served.done.length === 3;
  await waitUntil('three ends', look, () => served.done);
  assert.equal(attempt.read('pid'), before);
  assert.equal(attempt.log, 'once\n');
});

withEach('an attempt voided by a link from run to output.log runs nothing', async (served) => {
  const attempt = served.prepare(['echo', 'ran']);
  linkSync(attempt.path('run'), attempt.path('output.log'));
  const before = attempt.read('run');
  served.handOver(attempt);
  await served.untilDone(attempt);
  assert.equal(attempt.lastWord, undefined);
  assert.equal(attempt.log, before);
});

withEach('a run directory that is gone is told as done', async (served) => {
  const dir = 'jobs/demo/runs/none.1';
  served.launcher.handOver(dir);
  await waitUntil('done', () => served.done.includes(dir));
});

withEach('runners outlive a launcher that is killed, and are still heard of', async (served) => {
  const attempt = served.start(['sh', '-c', 'echo ready; sleep 0.2; exit 6']);
  await attempt.line();
  process.kill(served.launcher.pid, 'SIGKILL');
  assert.equal(await served.untilExit(), 'SIGKILL');
  await assert.rejects(served.launcher.sync(), { code: 'LAUNCHER_GONE' });
  assert.equal(await attempt.status(), 6);
  await served.untilDone(attempt);
});

test('a runner that is stopped while its launcher is killed is not hung up, and its command goes on (native)', {
  skip: KINDS.includes('native') ? false : 'this machine has no native launcher',
}, async (context) => {
  const served = new Served('native');
  context.after(() => served.end());
  const attempt = served.start(shellArgv('echo ready; until [ -e "$SPOOLD_RUN_DIR/go" ]; do sleep 0.02; done'));
  const runner = await runnerOf(attempt);
  signalProcess(runner, 'SIGSTOP');
  await waitUntil('the runner is stopped', () => readProcess(runner.pid)?.state === 'T');
  process.kill(served.launcher.pid, 'SIGKILL');
  await untilEnded(served.launcher.pid);
  signalProcess(runner, 'SIGCONT');
  writeFileSync(attempt.path('go'), '');
  assert.equal(await attempt.status(), 0);
});

withEach('runners outlive the end of the daemon', async (served) => {
  const attempt = served.start(['sh', '-c', 'echo ready; sleep 0.2; exit 6']);
  await attempt.line();
  served.launcher.end();
  assert.equal(await served.untilExit(), 'exit status 0');
  assert.equal(await attempt.status(), 6);
});

withEach(
  'a command begins with no signal ignored or blocked, and without the pipes of the launcher',
  async (served) => {
    const attempt = served.start(['sh', '-c', 'grep -E "^Sig(Ign|Blk)" /proc/self/status; readlink /proc/self/fd/*']);
    await attempt.status();
    const zeros = '0000000000000000';
    assert.match(attempt.log, new RegExp(`^SigBlk:\\s${zeros}\nSigIgn:\\s${zeros}\n/dev/null\n`));
    for (const descriptor of [1, 3]) {
      const pipe = readlinkSync(`/proc/${served.launcher.pid}/fd/${descriptor}`);
      assert.match(pipe, /socket|pipe/);
      assert.ok(!attempt.log.includes(pipe));
    }
  },
);

withEach('five hundred commands leave no zombies', async (served) => {
  const attempts = Array.from({ length: 500 }, () => served.prepare(['true']));
  const waiting = [...attempts];
  served.refill = (ended) => served.handOver(...waiting.splice(0, ended));
  served.refill(4);
  const look = () => served.done.length === attempts.length;
  await waitUntil('500 ends', look, () => served.done.length, 600_000);
  assert.ok(attempts.every((attempt) => attempt.lastWord?.status === 0));
  await served.launcher.sync(); // in the posix dialect, they go with the next order
  const zombies = () => zombiesOf(served.launcher.pid);
  await waitUntil('at most the one that answered', () => zombies() <= 1, zombies);
});

function zombiesOf(parent: number): number {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const infos = all.map((name) => readProcess(Number(name)));
  return infos.filter((info) => info?.ppid === parent && info.state === 'Z').length;
}

withEach('sync answers all who ask, while commands run', async (served) => {
  const attempt = served.start(READY);
  await Promise.all([served.launcher.sync(), served.launcher.sync()]);
  signalProcess(await runnerOf(attempt), 'SIGTERM');
  assert.equal(await attempt.status(), 143);
});

withEach('the files of an attempt are private, and the command has the mask that its task asks for', async (served) => {
  const attempt = served.start(['sh', '-c', 'umask'], { umask: 0o027 });
  assert.equal(await attempt.status(), 0);
  assert.equal(attempt.log.trim(), '0027');
  for (const name of ['pid', 'output.log']) assert.equal(statSync(attempt.path(name)).mode & 0o777, 0o600);
});

test('an exported function neither disturbs the launcher nor is lost', {
  skip: KINDS.includes('bash') ? false : 'this machine has no bash 5',
}, async (context) => {
  const odd = { 'BASH_FUNC_printf%%': '() { echo mine; }', TMOUT: '1', CDPATH: '/', BASH_ENV: '/no/such/file' };
  const served = new Served('bash', { ...process.env, ...odd });
  context.after(() => served.end());
  const attempt = served.start(['bash', '-c', 'printf x']);
  assert.equal(await attempt.status(), 0);
  assert.equal(attempt.log, 'mine\n');
});

test('no variable of a command is overwritten by one of the launcher', async (context) => {
  const names =
    readFileSync(new URL('../../src/runner/launcher.sh', import.meta.url), 'utf8').match(/[a-z_]+(?==)/g) ?? [];
  const odd = Object.fromEntries(
    [...names, ...'pid start times user system order argument inode stat host'.split(' ')]
      .filter((name) => !name.startsWith('sp_'))
      .map((name) => [name, `my ${name}`]),
  );
  for (const kind of KINDS) {
    const served = new Served(kind, { ...process.env, ...odd });
    context.after(() => served.end());
    const attempt = served.start(['env']);
    assert.equal(await attempt.status(), 0);
    const lines = new Set(attempt.log.split('\n'));
    assert.deepEqual(
      Object.entries(odd).filter(([name, value]) => !lines.has(`${name}=${value}`)),
      [],
      kind,
    );
  }
});

test('commands inherit the environment without what names another attempt or steers a shell', () => {
  const env = {
    PATH: '/bin',
    SPOOLD_RUN_DIR: '/x',
    SPOOLD_DIR: '/y',
    BASH_ENV: '/z',
    SHELLOPTS: 'xtrace',
    GONE: undefined,
  };
  assert.deepEqual(launcherEnvironment(env), { PATH: '/bin' });
});

test('a launcher that cannot be executed just now is missing, whichever way the system says so', (t) => {
  const dir = scratch(t);
  for (const name of ['sh', 'setsid']) copyFileSync('/bin/sh', join(dir, name));
  const writer = openSync(join(dir, 'sh'), 'r+'); // ETXTBSY
  t.after(() => closeSync(writer));
  const events = { onDone() {}, onExit() {} };
  assert.throws(() => startLauncher({ dir, umask: 0o077, kind: 'posix', env: { PATH: dir }, ...events }), {
    code: 'LAUNCHER_MISSING',
  });
});

test('the posix launcher is missing where there is no setsid', (t) => {
  const dir = scratch(t);
  copyFileSync('/bin/sh', join(dir, 'sh'));
  const events = { onDone() {}, onExit() {} };
  assert.throws(() => startLauncher({ dir, umask: 0o077, kind: 'posix', env: { PATH: dir }, ...events }), {
    code: 'LAUNCHER_MISSING',
  });
});
