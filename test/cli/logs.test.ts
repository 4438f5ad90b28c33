// `spoold logs`: what was printed, as it was printed.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { bin, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { quietPlace } from './quiet-place.ts';

/** Starts `spoold logs`, and gives what it has printed so far and how it ends. */
function following(
  place: Place,
  ...args: string[]
): { out: () => string; err: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [bin, 'logs', '--dir', place.dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return { out: () => out, err: () => err, ended: new Promise((resolve) => child.once('close', resolve)) };
}

describe('logs', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\n' });
  before(() => place.start());
  after(() => place.close());

  it('prints the bytes as they came, without a newline of its own', async () => {
    const job = place.job('bytes').drop('x', { shell: "printf 'a\\000\\377b\\r\\nno end'" });
    await job.comesTo('succeeded', 'x');
    const bytes = execFileSync(process.execPath, [bin, 'logs', '--dir', place.dir, 'bytes/x']);
    assert.deepEqual([...bytes], [...Buffer.from('a\0\xffb\r\nno end', 'latin1')]);
  });

  it('-n gives the last lines only, also of a line without an end, and none for 0', async () => {
    const job = place.job('tail').drop('x', { shell: 'seq 1 100000; printf end' });
    await job.comesTo('succeeded', 'x');
    assert.equal((await place.spoold('logs', 'tail/x', '-n', '2')).out, '100000\nend');
    assert.equal((await place.spoold('logs', 'tail/x', '-n', '0')).out, '');
    assert.equal(
      (await place.spoold('logs', 'tail/x', '-n', '1000000')).out,
      `${Array.from({ length: 100_000 }, (_, i) => i + 1).join('\n')}\nend`,
    );
    assert.equal((await place.spoold('logs', 'tail/x', '-n', 'x')).status, 2);
  });

  it('gives the latest attempt, or the one that is asked for', async () => {
    const job = place.job('again').drop('x', { shell: 'echo attempt $SPOOLD_ATTEMPT; exit 1', retry: 1 });
    await job.comesTo('failed', 'x');
    assert.equal((await place.spoold('logs', 'again/x')).out, 'attempt 2\n');
    assert.equal((await place.spoold('logs', 'again/x', '--attempt', '1')).out, 'attempt 1\n');
    const { status, err } = await place.spoold('logs', 'again/x', '--attempt', '3');
    assert.equal(status, 2);
    assert.match(err, /has no attempt 3\.\nThere is: 1, 2\./);
  });

  it('-f prints as it is printed, goes over to the next attempt, and ends with the task', async () => {
    const go = place.aside('go');
    const job = place.job('follow');
    job.drop('x', {
      shell: `echo a$SPOOLD_ATTEMPT; until [ -e ${go}$SPOOLD_ATTEMPT ]; do sleep 0.02; done; printf b; exit 1`,
      retry: 1,
    });
    const logs = following(place, '-f', 'follow/x');
    await waitUntil('the first line', () => logs.out() === 'a1\n', logs.out);
    writeFileSync(`${go}1`, '');
    await waitUntil('the second attempt', () => logs.out() === 'a1\nba2\n', logs.out);
    writeFileSync(`${go}2`, '');
    assert.equal(await logs.ended, 0);
    assert.equal(logs.out(), 'a1\nba2\nb');
    assert.match(logs.err(), /follow\/x, attempt 2:/);
    assert.equal(job.folderOf('x'), 'failed');
  });

  it('-f of a task that waits says so and begins when it does', async () => {
    const job = place.job('waits').drop('x', { shell: 'echo begun', dependencies: ['gate'] });
    const logs = following(place, '-f', 'waits/x');
    await waitUntil('it says so', () => logs.err().includes('waits/x has not been started yet'), logs.err);
    job.drop('gate', { command: ['true'] });
    assert.equal(await logs.ended, 0);
    assert.equal(logs.out(), 'begun\n');
  });

  it('of a job, shows all tasks, each line behind its task; -f takes in those that start later', async () => {
    const job = place.job('all').make({ max_parallel: 1 });
    job
      .drop('a', { shell: 'echo 1; printf 2' })
      .drop('b', { shell: 'echo 3', dependencies: ['a'] })
      .drop('c', { shell: 'echo 4; exit 1', dependencies: ['b'] });
    const logs = following(place, '-f', 'all');
    assert.equal(await logs.ended, 0);
    assert.equal(logs.out(), 'a | 1\na | 2\nb | 3\nc | 4\n');
    assert.equal((await place.spoold('logs', 'all', '-n', '1')).out, 'a | 2\nb | 3\nc | 4\n');
  });

  it('ends quietly when its reader has seen enough', async () => {
    const job = place.job('head').drop('x', { shell: 'yes | head -c 10000000' });
    await job.comesTo('succeeded', 'x');
    const out = execFileSync('sh', ['-c', `${process.execPath} ${bin} logs --dir ${place.dir} head/x | head -n 1`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.equal(out.toString(), 'y\n');
  });

  it('a slow reader gets all of it', async () => {
    const job = place.job('slow').drop('x', { shell: 'yes | head -c 10000000' });
    await job.comesTo('succeeded', 'x');
    const out = execFileSync('sh', [
      '-c',
      `${process.execPath} ${bin} logs --dir ${place.dir} slow/x | (sleep 0.5; wc -c)`,
    ]);
    assert.equal(out.toString().trim(), '10000000');
  });
});

/** Shows an attempt that has printed something at once, whole. */
function attempt(place: Place, runDir: string, text: string): void {
  const draft = place.aside('attempt');
  mkdirSync(draft);
  writeFileSync(`${draft}/output.log`, text);
  renameSync(draft, runDir);
}

describe('logs -f of a job that is changed by other hands', { concurrency: true }, () => {
  it('shows each attempt of a task that was tried twice between two looks, and goes with its job when that is archived', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('w', { command: 'true' });
      const next = place.job('.next').drop('w', { command: 'true' });
      for (const one of [job, next]) mkdirSync(one.path('runs'));
      attempt(place, job.runDir('w'), 'first\n');
      attempt(place, next.runDir('w'), 'first\nof another job\n');
      const logs = following(place, '-f', 'j');
      await waitUntil('the first line', () => logs.out() === 'w | first\n', logs.out);
      mkdirSync(place.aside('tries'));
      for (const n of [1, 2]) attempt(place, place.aside('tries', `x.${n}`), `attempt ${n}\n`);
      for (const n of [1, 2]) renameSync(place.aside('tries', `x.${n}`), job.runDir('x', n));
      const both = 'w | first\nx | attempt 1\nx | attempt 2\n';
      await waitUntil('both attempts', () => logs.out() === both, logs.out);
      const archived = place.at('archive', 'j.20260101T000000Z');
      mkdirSync(place.at('archive'));
      renameSync(job.path(), archived);
      renameSync(next.path(), job.path());
      appendFileSync(`${archived}/runs/w.1/output.log`, 'last\n');
      await waitUntil('what came after it was archived', () => logs.out() === `${both}w | last\n`, logs.out);
      rmSync(`${archived}/pending/w.json`);
      assert.equal(await logs.ended, 0);
      assert.equal(logs.out(), `${both}w | last\n`);
    } finally {
      await place.close();
    }
  });

  it('of one attempt, ends when that is removed', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('w', { command: 'true' });
      mkdirSync(job.path('runs'));
      attempt(place, job.runDir('w'), 'begun\n');
      const logs = following(place, '-f', '--attempt', '1', 'j/w');
      await waitUntil('what it printed', () => logs.out() === 'begun\n', logs.out);
      rmSync(job.runDir('w'), { recursive: true });
      assert.equal(await logs.ended, 0);
    } finally {
      await place.close();
    }
  });
});

describe('logs of what never ran', () => {
  it('shows no script as output: the log of an attempt that was voided is another name of it', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('x', { command: ['true'] });
      mkdirSync(job.runDir('x'), { recursive: true });
      mkdirSync(job.path('running'));
      writeFileSync(`${job.runDir('x')}/run`, 'secret');
      linkSync(`${job.runDir('x')}/run`, `${job.runDir('x')}/output.log`);
      symlinkSync('../runs/x.1', job.path('running', 'x.run'));
      for (const args of [['j/x'], ['j/x', '-n', '3'], ['j']]) {
        assert.ok(!(await place.spoold('logs', ...args)).out.includes('secret'));
      }
      assert.ok(!(await place.spoold('status', 'j/x')).out.includes('secret'));
    } finally {
      await place.close();
    }
  });
});
