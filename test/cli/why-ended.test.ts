import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { isThere, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { quietPlace } from './quiet-place.ts';

const me = userInfo().username;
const sleep = { command: ['sleep', '1000'] };

describe('why a task is where it is', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 100\n' });
  before(() => place.start());
  after(() => place.close());

  const ask = async (address: string): Promise<string> => {
    const { out, err, status } = await place.spoold('why', address);
    assert.deepEqual([status, err], [0, ''], err);
    return out;
  };
  /** One task in a job of its own that ends in failed/. */
  const failing = async (name: string, task: Record<string, unknown>): Promise<string> => {
    await place.job(name).drop('x', task).comesTo('failed', 'x');
    return ask(`${name}/x`);
  };

  it('it failed: the exit status, the attempts, and the end of its output', async () => {
    const text = await failing('exit', { shell: 'echo one; echo two >&2; exit 7', retry: 1 });
    assert.match(text, /^exit\/x failed .*: exit status 7; it was the last of 2 attempts\.\n/);
    assert.match(text, /The end of what exit\/x printed \(attempt 2, .*output\.log\)\n {2}\| one\n {2}\| two\n/);
    assert.match(text, /Next: spoold logs .*exit\/x, then: spoold retry .*exit\/x\n$/);
    const { out } = await place.spoold('status', 'exit/x');
    assert.match(out, /exit\/x failed .*: exit status 7; it was the last of 2 attempts/);
    const { causes, output } = JSON.parse((await place.spoold('why', 'exit/x', '--json')).out) as {
      causes: Record<string, unknown>[];
      output: { lines: string[] };
    };
    assert.deepEqual([causes[0]?.cause, causes[0]?.exit_code, causes[0]?.attempt], ['failed', 7, 2]);
    assert.deepEqual(output.lines, ['one', 'two']);
  });

  it('it failed: a signal by its name, a command that is not there, one that is no program, no such folder', async () => {
    assert.match(
      await failing('kill', { shell: 'kill -9 $$' }),
      /failed .*: exit status 137: killed by SIGKILL \(often: out/,
    );
    assert.match(
      await failing('none', { command: ['no-such-program-at-all'] }),
      /exit status 127: the command was not found/,
    );
    assert.match(
      await failing('text', { command: ['/etc/passwd'] }),
      /exit status 126: the command was found but cannot/,
    );
    assert.match(
      await failing('cwd', { command: ['true'], cwd: '/no/such/folder' }),
      /failed .*: .*\/no\/such\/folder/,
    );
  });

  it('it failed: it took too long, or vanished', async () => {
    assert.match(await failing('slow', { ...sleep, timeout: '100ms' }), /failed .*: .*(timeout|longer|100ms)/);
    assert.match(
      await failing('lost', { shell: 'kill -9 $PPID; exit 0', on_lost: 'fail' }),
      /failed .*: its runner died without leaving an exit status/,
    );
  });

  it('it failed, and why it is not tried again though there is a budget', async () => {
    assert.match(
      await failing('only', { command: ['false'], retry: { max: 3, on: [75] } }),
      /failed .*: exit status 1; it is not tried again, for retry\.on does not name such a failure\./,
    );
    assert.match(
      await failing('brief', { command: ['false'], retry: { max: 3, delay: '1h', max_time: '1m' } }),
      /failed .*: exit status 1; it is not tried again, for the time of retry\.max_time is over\./,
    );
  });

  it('it failed: which child was no valid task', async () => {
    const text = await failing('bad', { shell: 'echo \'{"comand": "x"}\' >"$SPOOLD_PENDING/kid.json"' });
    assert.match(
      text,
      /failed .*: it dropped a child that is no valid task: .*kid\.json.*comand: there is no such key/,
    );
  });

  it('it was skipped: over others, down to the one that failed, its output, and what ran instead', async () => {
    const job = place.job('etl');
    job.drop('fetch', { shell: 'echo no route; exit 6' });
    job.drop('transform', { command: ['true'], dependencies: ['fetch'] });
    job.drop('load', { command: ['true'], dependencies: ['transform'] });
    job.drop('alarm', { command: ['true'], dependencies: ['transform'], run_if: 'failure' });
    await job.comesTo('skipped', 'load');
    await job.comesTo('succeeded', 'alarm');
    const text = await ask('etl/load');
    assert.match(
      text,
      /^etl\/load was skipped .* because transform was; and that because, in the end, fetch failed .*: exit status 6\.\n/,
    );
    assert.match(
      text,
      /load {2}was skipped because of transform\n {2}└─ transform .* of fetch\n {5}└─ fetch {2}failed/,
    );
    assert.match(text, /Instead of it ran alarm \(run_if\)/);
    assert.match(text, /The end of what etl\/fetch printed .*\n {2}\| no route\n/);
    assert.match(text, /Next: .*spoold retry .*etl\/fetch\n/);
    assert.match(await ask('etl/fetch'), /Instead of it ran alarm/);
    assert.match(await ask('etl/transform'), /was skipped .* because fetch failed .*: exit status 6/);
    assert.match((await place.spoold('status', 'etl/load')).out, /load was skipped .* in the end, fetch failed/);
    const job2 = await ask('etl');
    assert.match(job2, /^etl is failed: .*\n\nFailed\n {2}fetch {2}failed .*\n {4}\| no route\n/);
    assert.match(job2, /Skipped\n {2}2 tasks \(load, transform\): all because of fetch, which failed/);
  });

  it('it was skipped: it was to run only in case of a failure, and there was none', async () => {
    const job = place.job('calm').drop('a', { command: ['true'] });
    job.drop('alarm', { command: ['true'], dependencies: ['a'], run_if: 'failure' });
    await job.comesTo('skipped', 'alarm');
    const text = await ask('calm/alarm');
    assert.match(text, /was skipped .*: it runs only if what it depends on fails \(run_if: failure\), and a succeeded/);
    assert.match(text, /Next: to run it all the same: spoold retry .*calm\/alarm/);
  });

  it('it was cancelled: by whom, before it ran or while it ran, by mv, and with the one that queued it', async () => {
    const job = place.job('stop').make({ max_parallel: 2 });
    job.drop('a', { shell: 'echo \'{"command":["true"],"not_before":"1h"}\' >"$SPOOLD_PENDING/kid.json"; sleep 1000' });
    await job.comesTo('running', 'a');
    await waitUntil('the child is there', () => job.isIn('pending', 'kid'));
    job.drop('b', { command: ['true'], dependencies: ['a'], run_if: 'always' });
    await place.spoold('cancel', 'stop/b');
    await place.spoold('cancel', 'stop/a');
    await job.comesTo('cancelled', 'a');
    await job.comesTo('cancelled', 'kid');
    assert.match(await ask('stop/b'), new RegExp(`stop/b was cancelled .* by ${me}, before it ran\\.\\n`));
    const text = await ask('stop/a');
    assert.match(text, new RegExp(`stop/a was cancelled .* by ${me}, while it ran: its file was moved`));
    assert.match(text, /Next: to run it again: spoold retry .*stop\/a/);
    await waitUntil('it is told', async () =>
      /kid was cancelled .*before it ran: a was cancelled\./.test(await ask('stop/kid')),
    );
    const hand = place.job('hand').drop('y', { command: ['true'] });
    await hand.comesTo('succeeded', 'y'); // all folders are there
    hand.drop('x', { ...sleep, not_before: '1h' });
    hand.move('x', 'pending', 'cancelled');
    await waitUntil('it is told', async () => /hand\/x was cancelled .*, before it ran\.\n/.test(await ask('hand/x')));
    hand.move('y', 'succeeded', 'cancelled');
    assert.match(await ask('hand/y'), /hand\/y was cancelled .*, after its attempt 1 had ended\.\n/);
  });

  it('it was cancelled because its job stops at a failure, or has taken too long', async () => {
    const job = place.job('halt').make({ on_failure: 'stop', max_parallel: 2 });
    job.drop('b', { command: ['true'], not_before: '1h' });
    job.drop('a', { command: ['false'] });
    await job.comesTo('cancelled', 'b');
    const text = await ask('halt/b');
    assert.match(
      text,
      /halt\/b was cancelled .*, because its job stops at a failure \(on_failure: stop\), and a failed .*: exit status 1\.\n/,
    );
    assert.match(text, /Next: .*spoold retry .*halt\/a\n/);
    const late = place.job('late').make({ job_timeout: '4s', max_parallel: 2 });
    late.drop('b', { command: ['true'], not_before: '1h' });
    late.drop('a', sleep);
    await late.comesTo('failed', 'a');
    await late.comesTo('cancelled', 'b');
    assert.match(await ask('late/a'), /failed .*: the job ran longer than its job_timeout/);
    await waitUntil('it is told', async () =>
      /cancelled .*, before it ran: the job ran longer/.test(await ask('late/b')),
    );
  });

  it('it was rejected: every line of the reason', async () => {
    const job = place.job('reject').drop('x', { comand: ['true'], retry: 'three' });
    await job.rejects('x');
    const text = await ask('reject/x');
    assert.match(text, /^reject\/x was rejected .*, for it is no valid task: x\.json:1:\d+: .*\n/);
    assert.match(text, /comand: there is no such key; did you mean "command"\?/);
    assert.match(text, /retry: expected/);
    assert.match(text, /Next: spoold retry .*--edit reject\/x/);
  });

  it('a person put it there', async () => {
    const job = place.job('marks');
    for (const id of ['x', 'y', 'z']) job.drop(id, { ...sleep, not_before: '1h' });
    await place.spoold('mark', 'marks/x', 'succeeded');
    await place.spoold('mark', 'marks/y', 'skipped');
    await waitUntil('all folders are there', () => isThere(job.path('failed')));
    job.move('z', 'pending', 'failed');
    assert.match(await ask('marks/x'), new RegExp(`marks/x was called succeeded .* by ${me}\\.\\n`));
    assert.match(await ask('marks/y'), new RegExp(`marks/y was called skipped .* by ${me}\\.\\n`));
    await waitUntil('it is told', async () =>
      /marks\/z was called failed .* by a person, who moved its file there\.\n/.test(await ask('marks/z')),
    );
  });

  it('it runs: since when, as which attempt, with how many processes', async () => {
    const job = place
      .job('live')
      .drop('x', { shell: '[ $SPOOLD_ATTEMPT = 2 ] || exit 1; sleep 1000 & sleep 1000', retry: 1 });
    await waitUntil('it runs', () => place.processesOf(job.runDir('x', 2)).length >= 3);
    const text = await ask('live/x');
    assert.match(text, /^live\/x runs for [\w.]+, as attempt 2, with \d processes\.\n/);
    assert.match(text, /Next: spoold logs .*-f live\/x/);
  });

  it('it is being ended, and ignores that', async () => {
    const job = place
      .job('deaf')
      .drop('x', { shell: "trap '' TERM; echo up; while :; do sleep 0.1; done", kill_after: '1h' });
    await job.says('x', 'up');
    await place.spoold('cancel', 'deaf/x');
    await waitUntil('it says so', async () =>
      /deaf\/x was cancelled .*; and it is being ended, attempt 1/.test(await ask('deaf/x')),
    );
  });

  it('it succeeded', async () => {
    await place
      .job('fine')
      .drop('x', { command: ['true'] })
      .comesTo('succeeded', 'x');
    assert.match(await ask('fine/x'), /^fine\/x succeeded .*, after [\w.]+\.\n\nNext: spoold logs .*fine\/x\n$/);
  });

  it('a whole job: what runs, and what the others wait for, taken together', async () => {
    const job = place.job('crowd').make({ max_parallel: 1 }).drop('a', sleep);
    await job.comesTo('running', 'a');
    for (let i = 0; i < 5; i++)
      job.drop(`turn${i}`, { command: ['true'] }).drop(`dep${i}`, { command: ['true'], dependencies: ['a'] });
    job.drop('lonely', { command: ['true'], dependencies: ['ghost'] });
    const text = await ask('crowd');
    assert.match(text, /^crowd is working: 1 running, 11 waiting\.\n\nRunning\n {2}a {2}runs for/);
    assert.match(text, /5 tasks \(dep0, dep1, dep2 and 2 more\): all because of a, which runs for/);
    assert.match(text, /5 tasks \(turn0, turn1, turn2 and 2 more\): each waits for its turn/);
    assert.match(text, /lonely {2}waits for ghost, which has not been queued by anybody yet/);
    const document = JSON.parse((await place.spoold('why', 'crowd', '--json')).out) as {
      waiting: { tasks: string[] }[];
    };
    assert.equal(
      document.waiting.reduce((n, { tasks }) => n + tasks.length, 0),
      11,
    );
  });
});

describe('why a task was cancelled by its job', () => {
  it('the failure that stopped it, and the command that brings both back', async () => {
    const place = quietPlace();
    try {
      const job = place
        .job('j')
        .write('pending/x.json', '{"command":["true"]}')
        .write('pending/y.json', '{"command":["true"]}');
      for (const folder of ['cancelled', 'failed']) mkdirSync(job.path(folder));
      job.move('x', 'pending', 'cancelled');
      job.move('y', 'pending', 'failed');
      job.write('cancelled/x.reason.txt', 'cause: failed/y.json\ny is failed, and the job stops at a failure.\n');
      const { out } = await place.spoold('why', 'j/x');
      assert.match(
        out,
        /^j\/x was cancelled .*, because its job stops at a failure \(on_failure: stop\), and y was called failed/,
      );
      assert.match(out, /Next: to run it: spoold retry .*j\/y\n$/);
    } finally {
      await place.close();
    }
  });
});
