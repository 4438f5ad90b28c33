// `prove` kills and finds nothing; and the judge behind it, given a directory in which something was made wrong on
// purpose, finds just that.
import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Ground } from '../../src/client/prove-ground.ts';
import { type Findings, judgeJob, noFindings, readAccount } from '../../src/client/prove-judge.ts';
import { type Accepted, childrenOf, makeWork, randomBy } from '../../src/client/prove-work.ts';
import { bin, speak } from '../helpers/place.ts';

test('a dozen kills lose nothing, the verdict is one line, and the scratch directory is gone', async () => {
  const on = mkdtempSync(join(tmpdir(), 'spoold-test-'));
  try {
    const { status, out, err } = await speak(['prove', '--kills', '12', '--on', on]);
    assert.match(out, /^12 kills, \d+ tasks: 0 lost, 0 overlapping, 0 reruns without a recorded cause\n$/);
    assert.deepEqual([status, err], [0, '']);
    assert.deepEqual(readdirSync(on), []);
  } finally {
    rmSync(on, { recursive: true, force: true });
  }
});

test('mistakes in the call, and a folder in which nothing can be made, are told', async () => {
  const words = await speak(['prove', '--kills', 'many']);
  assert.deepEqual([words.status, words.out], [2, '']);
  assert.match(words.err, /--kills many: it should be a whole number from 1/);
  const nowhere = await speak(['prove', '--on', '/nowhere']);
  assert.deepEqual([nowhere.status, nowhere.out], [2, '']);
  assert.match(nowhere.err, /Nothing can be made in \/nowhere/);
});

/** Changes a file; what it gives puts it back. */
const withFile = (path: string, change: () => void) => (): (() => void) => {
  const text = existsSync(path) ? readFileSync(path) : undefined;
  change();
  return () => (text === undefined ? rmSync(path) : writeFileSync(path, text));
};

describe('the judge', () => {
  let ground: Ground;
  let tasks: Accepted[];
  const umask = process.umask(0o077);
  before(async () => {
    ground = new Ground(tmpdir(), bin);
    const work = makeWork(30, ground.root, randomBy(7));
    tasks = work.tasks;
    await ground.serving();
    ground.queue('work', work.files, 'array');
    assert.deepEqual(await ground.rest(new Map([['work', tasks]])), []);
    assert.deepEqual(await ground.stop(), []);
  });
  after(async () => {
    process.umask(umask);
    await ground.remove();
  });

  const judged = (): { findings: Findings; count: number } => {
    const findings = noFindings();
    const job = ground.layout.job('work');
    return { findings, count: judgeJob('work', job, tasks, readAccount(ground.account), findings) };
  };
  /** Does harm, judges, and undoes it. */
  const caught = (harm: () => () => void): Findings => {
    const undo = harm();
    const { findings } = judged();
    undo();
    assert.deepEqual(judged().findings, noFindings(), 'undone');
    return findings;
  };
  const taskOf = (kind: string): string => tasks.find((task) => task.kind === kind)?.id ?? assert.fail(kind);
  const file = (...parts: string[]): string => join(ground.layout.job('work').root, ...parts);

  test('finds nothing in work that was done, retries, timeouts and children among it', () => {
    const kinds = new Set(tasks.map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ['brood', 'flaky', 'parent', 'plain', 'slow']);
    const { findings, count } = judged();
    assert.deepEqual(findings, noFindings());
    assert.equal(count, 30 + tasks.flatMap(childrenOf).length);
  });

  test('finds a task that was deleted, one in two folders, and a child that is missing', () => {
    const plain = file('succeeded', `${taskOf('plain')}.json`);
    assert.match(caught(withFile(plain, () => rmSync(plain))).lost.join(), /is in no folder/);
    const copy = file('failed', `${taskOf('plain')}.json`);
    assert.match(caught(withFile(copy, () => copyFileSync(plain, copy))).lost.join(), /is in succeeded and failed/);
    const child = file('succeeded', `${taskOf('parent')}-2.json`);
    assert.match(caught(withFile(child, () => rmSync(child))).lost.join(), /is in no folder/);
  });

  test('finds an attempt that began twice, and one that began while another lived', () => {
    const name = `work/${taskOf('plain')}`;
    const twice = caught(
      withFile(ground.account, () => appendFileSync(ground.account, `begin ${name} 1\nend ${name} 1\n`)),
    );
    assert.match(twice.overlapping.join(), /attempt 1 began twice/);
    const late = caught(
      withFile(ground.account, () => {
        const text = readFileSync(ground.account, 'utf8');
        writeFileSync(
          ground.account,
          text.replace(`end ${name} 1\n`, `begin ${name} 2\nend ${name} 1\nend ${name} 2\n`),
        );
      }),
    );
    assert.match(late.overlapping.join(), /attempt 1 came to its end after attempt 2 had begun/);
    const beside = caught(
      withFile(ground.account, () => {
        const text = readFileSync(ground.account, 'utf8');
        writeFileSync(ground.account, text.replace(`begin ${name} 1\n`, `begin ${name} 1 while process 7 lives\n`));
      }),
    );
    assert.match(beside.overlapping.join(), /while process 7 lives/);
  });

  test('finds a rerun without a cause, and a success that never came to its end', () => {
    const result = file('runs', `${taskOf('flaky')}.1`, 'result.json');
    assert.match(
      caught(withFile(result, () => rmSync(result))).reruns.join(),
      /attempt 1 ran, and no result speaks of it/,
    );
    const settled = caught(
      withFile(result, () =>
        writeFileSync(result, readFileSync(result, 'utf8').replace('"to":"pending"', '"to":"failed"')),
      ),
    );
    assert.match(settled.reruns.join(), /attempt 2 ran although 1 had sent the task to failed/);
    const name = `work/${taskOf('plain')}`;
    const silent = caught(
      withFile(ground.account, () =>
        writeFileSync(ground.account, readFileSync(ground.account, 'utf8').replace(`end ${name} 1\n`, '')),
      ),
    );
    assert.match(silent.lost.join(), /attempt 1 never came to its end/);
  });
});
