// `prove` kills and finds nothing; and the judge behind it, given a directory in which something was made wrong on
// purpose, finds just that.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { drawVictims, judge } from '../../src/client/prove.ts';
import { Ground, type Victim } from '../../src/client/prove-ground.ts';
import { type Findings, judgeJob, noFindings, readAccount } from '../../src/client/prove-judge.ts';
import { type Accepted, childrenOf, makeWork, randomBy } from '../../src/client/prove-work.ts';
import { isZombie, lookAtProcesses } from '../../src/host/identity.ts';
import { bin, speak } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const folder = (): string => mkdtempSync(join(tmpdir(), 'spoold-test-"\\ -'));
/** Living processes of scratch directories in this folder. */
const processesIn = (on: string): number[] =>
  [...lookAtProcesses('PROVE').byPid.values()].flatMap((entry) =>
    entry.value?.startsWith(`${on}/`) && !isZombie(entry) ? entry.pid : [],
  );

test('a dozen kills lose nothing, whatever the umask and the name of the folder; the verdict is one line, and nothing is left', async () => {
  const on = folder();
  try {
    const { status, out, err } = await speak(['prove', '--kills', '12', '--on', on], {
      under: ['sh', '-c', 'umask 0; exec "$@"', 'sh'],
    });
    assert.match(out, /^12 kills, \d+ tasks: 0 lost, 0 overlapping, 0 reruns without a recorded cause\n$/);
    assert.deepEqual([status, err], [0, '']);
    assert.deepEqual([readdirSync(on), processesIn(on)], [[], []]);
  } finally {
    rmSync(on, { recursive: true, force: true });
  }
});

test('interrupted, by a terminal that is closed too, it ends its daemon and all that runs, and says so if it leaves its folder', async () => {
  for (const signals of [['SIGHUP'], ['SIGINT', 'SIGTERM']] as const) {
    const on = folder();
    try {
      const child = spawn(process.execPath, [bin, 'prove', '--kills', '1000', '--on', on], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let err = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      await waitUntil('tasks run', () => readdirSync(on).some((name) => existsSync(join(on, name, 'account'))));
      for (const signal of signals) child.kill(signal);
      assert.equal(await ended, signals[0] === 'SIGHUP' ? 129 : 130, err);
      assert.match(err, /it is being ended/);
      await waitUntil(
        'nothing runs',
        () => processesIn(on).length === 0,
        () => processesIn(on),
      );
      const [left] = readdirSync(on); // a second signal may come when all is cleaned up
      assert.equal(left === undefined || err.includes(`${join(on, left)} is left`), true, err);
      if (signals.length === 1) assert.equal(left, undefined);
    } finally {
      rmSync(on, { recursive: true, force: true });
    }
  }
});

test('mistakes in the call, and a folder in which nothing can be made, are told', async () => {
  const words = await speak(['prove', '--kills', 'many']);
  assert.deepEqual([words.status, words.out], [2, '']);
  assert.match(words.err, /--kills many: it should be a whole number from 1/);
  const nowhere = await speak(['prove', '--on', '/nowhere']);
  assert.deepEqual([nowhere.status, nowhere.out], [2, '']);
  assert.match(nowhere.err, /Nothing can be proved in \/nowhere: .*ENOENT/);
  const unset = await speak(['prove', '--on', '']);
  assert.equal(unset.status, 2);
  assert.match(unset.err, /--on is empty: it should name a folder/);
  const dir = await speak(['prove', '--dir', tmpdir()]);
  assert.deepEqual([dir.status, dir.out], [2, '']);
  assert.match(dir.err, /prove makes a directory of its own/);
});

test('each five kills have two daemons, a launcher and two runners', () => {
  const victims = drawVictims(randomBy(3));
  for (let round = 0; round < 20; round++)
    assert.deepEqual(Array.from({ length: 5 }, () => victims.next().value).sort(), [
      ...['daemon', 'daemon', 'launcher', 'runner', 'runner'],
    ]);
});

test('daemon, launcher, runner and command are seen for as long as they live; a disk that takes no account is not blamed on spoold', async () => {
  const umask = process.umask(0o077);
  const ground = new Ground(tmpdir(), bin);
  try {
    symlinkSync('/dev/full', ground.account);
    await ground.serving();
    const { files, tasks } = makeWork(2, randomBy(1));
    ground.queue('short', files, 'job');
    await assert.rejects(judge(ground, new Map([['short', tasks]]), noFindings()), /could not write down what it did/);
    const long = new Map([['x', { command: ['sleep', '1000'] }]]);
    ground.queue('long', { settings: {}, tasks: long }, 'job');
    const isSeen = (victim: Victim): boolean => {
      const target = ground.target(victim, () => 0);
      return ground.processes().some(({ pid }) => pid === target?.pid);
    };
    await waitUntil(
      'all of them are seen',
      () => isSeen('daemon') && isSeen('launcher') && isSeen('runner') && ground.processes().length > 3,
      () => ground.said,
    );
  } finally {
    ground.remove();
    process.umask(umask);
  }
  assert.deepEqual([existsSync(ground.root), ground.processes()], [false, []]);
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
    const work = makeWork(30, randomBy(7));
    tasks = work.tasks;
    await ground.serving();
    ground.queue('work', work.files, 'array');
    assert.deepEqual(await ground.rest(new Map([['work', tasks]])), []);
    assert.deepEqual(await ground.stop(), []);
  });
  after(async () => {
    process.umask(umask);
    ground.remove();
  });

  const judged = (): { findings: Findings; count: number } => {
    const findings = noFindings();
    const job = {
      name: 'work',
      layout: ground.layout.job('work'),
      accepted: tasks,
      account: readAccount(ground.account),
      cut: new Set<string>(),
    };
    return { findings, count: judgeJob(job, findings) };
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
    const called = file('runs', `${taskOf('plain')}.1`, 'result.json');
    const lost = caught(
      withFile(called, () =>
        writeFileSync(called, readFileSync(called, 'utf8').replace('"reason":"exit"', '"reason":"lost"')),
      ),
    );
    assert.match(lost.reruns.join(), /attempt 1 has a cause that nobody gave it \(lost\)/);
    const silent = caught(
      withFile(ground.account, () =>
        writeFileSync(ground.account, readFileSync(ground.account, 'utf8').replace(`end ${name} 1\n`, '')),
      ),
    );
    assert.match(silent.lost.join(), /attempt 1 never came to its end/);
  });

  test('finds a task that began before what it depends on was done, one that was skipped for nothing, and a stray', () => {
    const { id = '', dependencies: [first = ''] = [] } = tasks.find((task) => task.dependencies.length > 0) ?? {};
    const early = caught(
      withFile(ground.account, () => {
        const lines = readFileSync(ground.account, 'utf8').split('\n');
        const own = lines.filter((line) => line.includes(` work/${id} `));
        writeFileSync(ground.account, [...own, ...lines.filter((line) => !own.includes(line))].join('\n'));
      }),
    );
    assert.ok(
      early.overlapping.includes(`work/${id} began before work/${first} had succeeded`),
      early.overlapping.join(),
    );
    const from = file('succeeded', `${id}.json`);
    const skipped = caught(() => {
      mkdirSync(file('skipped'), { recursive: true });
      renameSync(from, file('skipped', `${id}.json`));
      writeFileSync(file('skipped', `${id}.reason.txt`), `because of ${first}`);
      return () => {
        renameSync(file('skipped', `${id}.json`), from);
        rmSync(file('skipped', `${id}.reason.txt`));
      };
    });
    assert.match(skipped.reruns.join(), /was skipped, and all that it waits for has succeeded/);
    const stray = file('rejected', `${id}.2.json`);
    mkdirSync(file('rejected'), { recursive: true });
    assert.match(
      caught(withFile(stray, () => writeFileSync(stray, '{}'))).lost.join(),
      /rejected\/.*\.2\.json is nothing that was queued/,
    );
  });
});
