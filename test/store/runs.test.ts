import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createExclusive, isThere } from '../../src/host/atomic.ts';
import type { JobLayout } from '../../src/protocol/layout.ts';
import type { AttemptResult } from '../../src/protocol/result.ts';
import { NO_HOLDINGS } from '../../src/protocol/resources.ts';
import {
  claimedAttempt,
  claimTask,
  closeDrops,
  createRun,
  discardRun,
  type Ending,
  findRun,
  holdingsOf,
  isVoid,
  readEnding,
  readPidFile,
  readResult,
  readTimes,
  resultsBefore,
  runsOf,
  thinRun,
  unclaimTask,
  voidRun,
  writeEnding,
  writeResult,
} from '../../src/store/runs.ts';
import { forkModule, scratch, scratchStateDir } from '../helpers/scratch.ts';

function job(t: TestContext): JobLayout {
  const layout = scratchStateDir(t).job('demo');
  for (const folder of [layout.folder('running'), layout.runs]) mkdirSync(folder, { recursive: true });
  return layout;
}

const result = (attempt: number, more: Partial<AttemptResult> = {}): AttemptResult => ({
  job: 'demo',
  task: 'x',
  attempt,
  outcome: 'failed',
  to: 'failed',
  reason: 'exit',
  message: 'exit status 1',
  exit_code: 1,
  signal: null,
  queued_at: null,
  started_at: '2026-01-01T00:00:00.000Z',
  finished_at: '2026-01-01T00:00:01.000Z',
  duration_s: 1,
  cpu_s: 0,
  max_rss_bytes: null,
  output_bytes: 0,
  host: 'here',
  ...more,
});

test('attempts are numbered from 1, each with a drop folder; a number that is taken, by whatever, is passed over', (t) => {
  const layout = job(t);
  assert.equal(createRun(layout, 'x', 1).attempt, 1);
  assert.equal(createRun(layout, 'x', 1).attempt, 2);
  writeFileSync(layout.run('x', 3).root, 'a file');
  symlinkSync('nowhere', layout.run('x', 4).root);
  const run = createRun(layout, 'x', 1);
  assert.equal(run.attempt, 5);
  assert.deepEqual(readdirSync(run.layout.root), ['pending']);
  assert.equal(createRun(layout, 'x.1', 1).layout.root, join(layout.runs, 'x.1.1'));
});

test('an attempt that was never handed over leaves nothing; one that somebody dropped something in stays', (t) => {
  const layout = job(t);
  const { layout: run } = createRun(layout, 'x', 1);
  writeFileSync(run.script, '');
  writeFileSync(run.stdin, '');
  discardRun(run);
  assert.equal(isThere(run.root), false);
  discardRun(run);
  const { layout: other } = createRun(layout, 'x', 1);
  writeFileSync(join(other.pending, 'child.json'), '{}');
  discardRun(other);
  assert.equal(readFileSync(join(other.pending, 'child.json'), 'utf8'), '{}');
});

test('a task is claimed by one attempt; the claim is a link to it that people can follow', (t) => {
  const layout = job(t);
  const run = createRun(layout, 'x', 1);
  assert.equal(claimedAttempt(layout, 'x'), undefined);
  assert.equal(claimTask(layout, 'x', 1), true);
  assert.equal(claimTask(layout, 'x', 2), false);
  assert.equal(readlinkSync(layout.claim('x')), '../runs/x.1');
  assert.ok(isThere(join(layout.claim('x'), 'pending')));
  assert.equal(claimedAttempt(layout, 'x'), 1);
  assert.equal(findRun(layout, 'x', 1)?.layout.root, run.layout.root);
  unclaimTask(layout, 'x');
  unclaimTask(layout, 'x');
  assert.equal(claimTask(layout, 'x', 2), true, 'also to an attempt that is not there');
  assert.equal(claimedAttempt(layout, 'x'), 2);
  assert.equal(findRun(layout, 'x', 2), undefined);
});

test('of many processes that claim one task at once, one gets it', async (t) => {
  const layout = job(t);
  const children = [1, 2, 3, 4].map((attempt) =>
    forkModule(t, new URL('claimer.js', import.meta.url), [layout.root, String(attempt)]),
  );
  const won = await Promise.all(
    children.map(
      (child) => new Promise<string[]>((resolve) => child.once('message', (message) => resolve(message as string[]))),
    ),
  );
  const all = won.flat();
  assert.equal(all.length, 200);
  assert.equal(new Set(all).size, 200);
  for (const [n, ids] of won.entries()) for (const id of ids) assert.equal(claimedAttempt(layout, id), n + 1);
});

test('a claim that is a file, or names another task, names no attempt', (t) => {
  const layout = job(t);
  for (const target of ['../runs/y.1', '../runs/x', '../runs/x.0', 'x', '/etc/passwd']) {
    symlinkSync(target, layout.claim('x'));
    assert.equal(claimedAttempt(layout, 'x'), undefined, target);
    unclaimTask(layout, 'x');
  }
  writeFileSync(layout.claim('x'), '');
  assert.equal(claimedAttempt(layout, 'x'), undefined);
});

test('a void attempt excludes its runner, and a runner that has begun excludes voiding', (t) => {
  const layout = job(t);
  const { layout: early } = createRun(layout, 'x', 1);
  writeFileSync(early.script, 'exec true\n');
  assert.equal(isVoid(early), false);
  assert.equal(voidRun(early), true);
  assert.equal(isVoid(early), true);
  assert.throws(() => createExclusive(early.output, ''), { code: 'EEXIST' });
  const { layout: late } = createRun(layout, 'y', 1);
  writeFileSync(late.script, 'exec true\n');
  createExclusive(late.output, '');
  assert.equal(voidRun(late), false);
  assert.equal(isVoid(late), false);
});

test('an output.log with a second name elsewhere is not void', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  writeFileSync(run.script, 'exec true\n');
  writeFileSync(run.output, 'exec true\n');
  linkSync(run.output, join(run.root, 'copy'));
  assert.equal(isVoid(run), false);
});

/** What a crash or a full disk can leave of a file: the first bytes of it. */
function everyBeginning(whole: string, check: (part: string) => void): void {
  for (let length = 0; length < whole.length; length++) check(whole.slice(0, length));
}

test('a result that was cut short anywhere counts as absent', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  assert.equal(readResult(run), undefined);
  writeResult(run, result(1));
  assert.deepEqual(readResult(run), result(1));
  const whole = readFileSync(run.result, 'utf8').trimEnd();
  everyBeginning(whole, (part) => {
    writeFileSync(run.result, part);
    assert.equal(readResult(run), undefined, part);
  });
});

test('a result that was written over a longer half is read as it is', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  writeResult(run, result(1, { message: 'long '.repeat(1000) }));
  writeResult(run, result(1));
  assert.deepEqual(readResult(run), result(1));
});

test('an ending that was cut short anywhere counts as absent', (t) => {
  const layout = job(t);
  const { layout: run } = createRun(layout, 'x', 1);
  const ending = { reason: 'timeout', message: 'it ran too long', at: 1_700_000_000_000 } as const;
  assert.equal(readEnding(run), undefined);
  assert.equal(writeEnding(run, ending), true);
  assert.deepEqual(readEnding(run), ending);
  const whole = readFileSync(run.ending, 'utf8').trimEnd();
  everyBeginning(whole, (part) => {
    writeFileSync(run.ending, part);
    assert.equal(readEnding(run), undefined, part);
  });
  const { layout: other } = createRun(layout, 'other', 1);
  mkdirSync(other.ending);
  assert.equal(writeEnding(other, ending), false, 'what cannot be written is no reason to stop');
});

test('an ending that is a link says its reason, if that is one', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  symlinkSync('timeout', run.ending);
  assert.equal(readEnding(run)?.reason, 'timeout');
  for (const other of ['toString', '../x.2/ending', 'result.json']) {
    unlinkSync(run.ending);
    symlinkSync(other, run.ending);
    assert.equal(readEnding(run), undefined, other);
  }
});

const namespace = ['-Ur', '-m', '--propagation', 'private'];

test('a disk that is full takes the reason of an ending all the same', {
  skip:
    spawnSync('unshare', [...namespace, 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
      ? false
      : 'user namespaces are not to be had here',
}, (t) => {
  const script = fileURLToPath(new URL('./full-disk.js', import.meta.url));
  const mounted = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" "$3" "$1"';
  const argv = [...namespace, 'sh', '-c', mounted, 'sh', scratch(t), process.execPath, script];
  const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
  assert.equal(stderr, '');
  const { isWritten, ending } = JSON.parse(stdout) as { isWritten: boolean; ending?: Ending };
  assert.deepEqual([isWritten, ending?.reason, ending?.message], [true, 'timeout', 'it ran longer than its timeout']);
});

test('a line of a pid file that was cut short anywhere counts as absent', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  assert.deepEqual(readPidFile(run), {});
  const one = '123 456 boot 4026531836 here 789\n';
  const two = 'exited 143 12 .\n';
  const runner = { pid: 123, startTicks: 456, boot: 'boot', pidns: '4026531836', host: 'here', inode: '789' };
  everyBeginning(one, (part) => {
    writeFileSync(run.pid, part);
    assert.deepEqual(readPidFile(run), {}, part);
  });
  everyBeginning(two, (part) => {
    writeFileSync(run.pid, one + part);
    assert.deepEqual(readPidFile(run), { runner }, part);
    writeFileSync(run.pid, `${one}${part}\n${two}`); // tried again until it fits
    assert.deepEqual(readPidFile(run), { runner, lastWord: { status: 143, cpuTicks: 12 } }, part);
  });
});

test('a drop folder is closed once: an empty one goes, one with something in it is kept aside, and nothing can be dropped any more', (t) => {
  const layout = job(t);
  const { layout: run } = createRun(layout, 'x', 1);
  assert.equal(closeDrops(run, false), false);
  assert.equal(isThere(run.pending), false);
  assert.equal(closeDrops(run, false), false);
  const { layout: full } = createRun(layout, 'y', 1);
  writeFileSync(join(full.pending, 'child.json'), '{}');
  assert.equal(closeDrops(full, false), true);
  assert.deepEqual(readdirSync(full.closed), ['child.json']);
  assert.throws(() => writeFileSync(join(full.pending, 'late.json'), '{}'), { code: 'ENOENT' });
  const { layout: lost } = createRun(layout, 'z', 1);
  assert.equal(closeDrops(lost, true), true, 'that it was never closed by its runner is still to be seen');
  assert.deepEqual([isThere(lost.pending), isThere(lost.closed)], [false, true]);
  assert.equal(closeDrops(full, false), true, 'a crash after it: what is in it is still to be taken in');
});

test('what says nothing any more is removed of a succeeded attempt, and what does is kept', (t) => {
  const layout = job(t);
  const { layout: silent } = createRun(layout, 'x', 1);
  const { layout: loud } = createRun(layout, 'y', 1);
  for (const run of [silent, loud]) {
    for (const file of [run.script, run.stdin, run.pid, run.result]) writeFileSync(file, 'x');
    writeFileSync(run.output, run === loud ? 'said\n' : '');
    const kept = { hasStdin: true, hasOutput: run === loud };
    thinRun(run, kept);
    thinRun(run, kept);
  }
  assert.deepEqual(readdirSync(silent.root).sort(), ['pending', 'pid', 'result.json']);
  assert.deepEqual(readdirSync(loud.root).sort(), ['output.log', 'pending', 'pid', 'result.json']);
});

test('earlier results are given latest first; attempts without one, or with half of one, are passed over', (t) => {
  const layout = job(t);
  let cases = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom('whole', 'half', 'none', 'pruned'), { maxLength: 12 }), (kinds) => {
      const id = `t${(cases += 1)}`;
      for (const [n, kind] of kinds.entries()) {
        const { layout: run } = createRun(layout, id, n + 1);
        if (kind === 'whole') writeResult(run, result(n + 1));
        if (kind === 'half') writeFileSync(run.result, '{"job": "demo"');
        if (kind === 'pruned') renameSync(run.root, join(layout.runs, `.${id}.${n + 1}`));
      }
      const whole = kinds.flatMap((kind, n) => (kind === 'whole' ? n + 1 : []));
      assert.deepEqual(
        [...resultsBefore(layout, id, kinds.length + 1)].map((each) => each.attempt),
        whole.toReversed(),
      );
      assert.deepEqual(
        runsOf(layout, id).map((run) => run.attempt),
        kinds.flatMap((kind, n) => (kind === 'pruned' ? [] : n + 1)),
      );
    }),
    { numRuns: 30 },
  );
});

test('an attempt began when its pid file was made and ended when that was last changed, also if there is none', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  assert.deepEqual(readTimes(run, 5000), { startedAt: 5000, finishedAt: 5000, outputBytes: 0 });
  const before = Date.now();
  writeFileSync(run.pid, 'x');
  writeFileSync(run.output, '12345');
  const times = readTimes(run, 5000);
  assert.ok(times.startedAt <= times.finishedAt && Math.abs(times.finishedAt - before) < 60_000);
  assert.equal(times.outputBytes, 5);
});

test('what an attempt holds is said at the head of its script, not by a line of its command', (t) => {
  const { layout: run } = createRun(job(t), 'x', 1);
  const rest = "cd / \nexec /bin/sh -e -c '\n# holds: gpu=0\n' sh </dev/null\n";
  writeFileSync(run.script, `#!/bin/sh\n# Attempt 1.\n# boot: b\n${rest}`);
  assert.deepEqual(holdingsOf(run), NO_HOLDINGS);
  writeFileSync(run.script, `#!/bin/sh\n# Attempt 1.\n# boot: b\n# holds: gpu=1\n${rest}`);
  assert.deepEqual([...holdingsOf(run)], [['gpu', [1]]]);
});
