import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { pretendDaemon, quietPlace } from './quiet-place.ts';

const sleep = { command: ['sleep', '1000'] };

/** What `why` says of an address; status says the same sentence. */
async function ask(place: Place, address: string): Promise<string> {
  const { out, err, status } = await place.spoold('why', address);
  assert.deepEqual([status, err], [0, ''], err);
  return out;
}

describe('why a task waits', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 100\n' });
  before(() => place.start());
  after(() => place.close());

  it('for a task that runs, over one that waits for it; and status says the same', async () => {
    const job = place.job('chain').make({ max_parallel: 5 });
    job.drop('a', sleep).drop('b', { command: ['true'], dependencies: ['a'] });
    job.drop('c', { command: ['true'], dependencies: ['b'] });
    await job.comesTo('running', 'a');
    await job.says('a', '');
    const text = await ask(place, 'chain/c');
    assert.match(text, /^chain\/c waits for b, which waits for a, which runs for [\w.]+\.\n/);
    assert.match(text, /\n {2}c {2}waits for b\n {2}└─ b {2}waits for a\n {5}└─ a {2}runs for /);
    assert.match(text, /\nNext: spoold logs .*-f chain\/a\n$/);
    assert.match(
      (await place.spoold('status', 'chain/c')).out,
      /chain\/c waits for b, which waits for a, which runs for/,
    );
    const document = JSON.parse((await place.spoold('why', 'chain/c', '--json')).out) as {
      state: string;
      next: string;
      causes: { cause: string; why: { task: string; causes: { why: { task: string; state: string } }[] } }[];
    };
    assert.equal(document.state, 'pending');
    assert.equal(document.causes[0]?.cause, 'dependency');
    assert.equal(document.causes[0]?.why.causes[0]?.why.state, 'running');
    assert.match(document.next, /logs .*chain\/a/);
  });

  it('for the root of a long chain, whose middle is passed over', async () => {
    const job = place.job('long').make({ max_parallel: 5 });
    for (let i = 1; i < 60; i++) job.drop(`t${i}`, { command: ['true'], dependencies: [`t${i - 1}`] });
    job.drop('t0', sleep);
    await job.comesTo('running', 't0');
    const text = await ask(place, 'long/t59');
    assert.match(text, /^long\/t59 waits for t58, and in the end, over 59 tasks, for t0, which runs for/);
    assert.match(text, /└─ … \d+ tasks, each because of the next …\n(.*\n)*.*└─ t0 {2}runs for/);
    assert.ok(text.split('\n').length < 20, text);
  });

  it('for several tasks, each with what it does', async () => {
    const job = place.job('several').make({ max_parallel: 5 });
    job.drop('x', { command: ['true'], dependencies: ['a', 'ghost'] }).drop('a', sleep);
    await job.comesTo('running', 'a');
    const text = await ask(place, 'several/x');
    assert.match(text, /^several\/x waits for 2 tasks: a \(.+\), ghost \(has not been queued by anybody yet\)\.\n/);
    assert.match(text, /├─ a .*\n {2}└─ ghost /);
    assert.match(text, /Next: queue it \(spoold add .*--id ghost COMMAND\)/, 'what needs a person goes first');
  });

  it('for an id that nobody has queued, with the one that was probably meant', async () => {
    place
      .job('ghosts')
      .drop('load', { command: ['true'], dependencies: ['transfrom'] })
      .drop('transform', sleep);
    const text = await ask(place, 'ghosts/load');
    assert.match(text, /waits for transfrom, which has not been queued by anybody yet \(there is transform: is that/);
    assert.match(
      text,
      /Next: queue it \(spoold add .*--id transfrom COMMAND\), or correct the name: spoold edit .*ghosts\/load/,
    );
    place.job('ghosts').drop('loader', { command: ['true'], dependencies: ['loades'] });
    assert.match(await ask(place, 'ghosts/loader'), /by anybody yet \(there is load: is that/, 'not the one that asks');
  });

  it('for what a task queued that has itself succeeded', async () => {
    const job = place.job('family').make({ max_parallel: 2 });
    job.drop('find', { shell: 'echo \'{"command":["sleep","1000"]}\' >"$SPOOLD_PENDING/part.json"' });
    job.drop('merge', { command: ['true'], dependencies: ['find'] });
    await job.comesTo('succeeded', 'find');
    await job.comesTo('running', 'part');
    const text = await ask(place, 'family/merge');
    assert.match(
      text,
      /merge waits for find, which has succeeded itself, but not yet a task that it queued: part \(.+\)\.\n/,
    );
    assert.match(text, /Next: spoold logs .*-f family\/part/);
  });

  it('for the tasks that for_each made', async () => {
    writeFileSync(
      place.aside('each.yaml'),
      'tasks:\n  part: {for_each: [1, 2, 3], shell: "sleep 1000"}\n  merge: {dependencies: [part], shell: "true"}\n',
    );
    assert.equal((await place.spoold('submit', place.aside('each.yaml'))).status, 0);
    await place.job('each').comesTo('running', 'part.1');
    const text = await ask(place, 'each/merge');
    assert.match(text, /waits for part, which stands for 3 tasks that for_each made, and not yet ended: part\.1 \(/);
    assert.match(text, /Next: spoold logs .*-f each\/part\.\d/);
    assert.match(
      await ask(place, 'each/part'),
      /each\/part stands for the 3 tasks that for_each made, and is not run itself/,
    );
  });

  it('to see whether something fails, and for its end', async () => {
    const job = place.job('ends').make({ max_parallel: 5 });
    job.drop('a', sleep).drop('clean', { command: ['true'], dependencies: ['a'], run_if: 'always' });
    job.drop('alarm', { command: ['true'], dependencies: ['a'], run_if: 'failure' });
    await job.comesTo('running', 'a');
    assert.match(
      await ask(place, 'ends/alarm'),
      /waits for a, which .+; it runs only if that fails \(run_if: failure\)/,
    );
    assert.match(await ask(place, 'ends/clean'), /waits for a, which .+; it runs whatever becomes of that/);
  });

  it('for its turn in a job that runs one at a time, and who has it', async () => {
    const job = place.job('one').drop('a', sleep);
    await job.comesTo('running', 'a');
    job.drop('b', sleep);
    const text = await ask(place, 'one/b');
    assert.match(
      text,
      /its job runs one task at a time, as a job does whose job\.json .*, and now that is a \(for [\w.]+\)/,
    );
    assert.match(text, /Next: to let more run at a time: spoold parallel .*2 one\n/);
  });

  it('for its turn by the number in job.json, or in the file parallel', async () => {
    const job = place.job('two').make({ max_parallel: 2 }).drop('a', sleep).drop('b', sleep);
    await job.comesTo('running', 'a');
    await job.comesTo('running', 'b');
    job.drop('c', sleep);
    assert.match(
      await ask(place, 'two/c'),
      /runs at most 2 tasks at a time, as .*\/two\/job\.json says, .* a \(for .* b \(for/,
    );
    job.write('parallel', '1\n');
    assert.match(await ask(place, 'two/c'), /runs one task at a time, as .*\/two\/parallel says/);
  });

  it('to be tried again, how long yet and after what', async () => {
    const job = place.job('later').drop('x', { command: ['sh', '-c', 'exit 3'], retry: { max: 3, delay: '1h' } });
    await waitUntil('it waits', () => job.hasResult('x') && job.isIn('pending', 'x') && !job.isClaimed('x'));
    assert.match(
      await ask(place, 'later/x'),
      /later\/x is tried again in (1h00m|59m\d\ds), as attempt 2: the last one ended with exit status 3\.\n/,
    );
  });

  it('for its time', async () => {
    place.job('early').drop('x', { command: ['true'], not_before: '2h' });
    const text = await ask(place, 'early/x');
    assert.match(text, /waits for its time, which comes in (2h00m|1h59m) \(not_before: 20.*Z\)/);
    assert.match(text, /Next: to change its time: spoold edit .*early\/x/);
  });

  it('because its job is paused, by whom, or its file parallel says 0; and both are said', async () => {
    const parallel = place.job('off').make({}, { parallel: '0\n' }).drop('x', sleep);
    assert.match(
      await ask(place, 'off/x'),
      /waits because the file .*\/off\/parallel says 0: no task may run in this job/,
    );
    assert.match(await ask(place, 'off/x'), /Next: spoold parallel .*--unset off/);
    await place.spoold('pause', 'off');
    const text = await ask(place, 'off/x');
    assert.match(text, /waits because the job off is paused, by \S+, .*; and it waits because the file .* says 0/);
    assert.match(text, /Next: spoold resume .*off\n/);
    parallel.drop('y', { command: ['true'], dependencies: ['x'] });
    const three = await ask(place, 'off/y');
    assert.match(three, /and there are 2 more reasons/);
    assert.match(
      three,
      /All of it\n {2}It waits because .*\n {2}It waits because .*\n {2}It waits for x, which is ready to start/,
    );
  });

  it('because the settings of its job do not read', async () => {
    place.job('broken').write('job.json', '{"max_parallel": ').drop('x', sleep);
    const text = await ask(place, 'broken/x');
    assert.match(text, /because its job\.json does not read, .*\/broken\/job\.json/);
    assert.match(text, /Next: correct it, .* spoold validate .*job\.json/);
  });

  it('because it is held back, or what it depends on is', async () => {
    const job = place.job('hold').drop('x', sleep);
    renameSync(job.file('pending', 'x'), job.path('pending', 'x.held'));
    job.drop('y', { command: ['true'], dependencies: ['x'] });
    assert.match(
      await ask(place, 'hold/x'),
      /hold\/x is held back: .*x\.held\)\.\n\nNext: to let it run: mv .*x\.held .*x\.json/,
    );
    assert.match(await ask(place, 'hold/y'), /waits for x, which is held back/);
  });

  it('until the attempt before is over, and why that is being ended', async () => {
    const job = place
      .job('stubborn')
      .drop('x', { shell: "trap '' TERM; echo up; while :; do sleep 0.1; done", kill_after: '1h' });
    await job.says('x', 'up');
    job.move('x', 'running', 'pending');
    await waitUntil('it is being ended', () =>
      place.lines('state/events.ndjson').some((line) => line.includes('"job":"stubborn"') && line.includes('"ending"')),
    );
    assert.match(await ask(place, 'stubborn/x'), /waits until its attempt 1 is over, which is being ended: /);
  });

  it('not at all, where there is no such task', async () => {
    const { status, err, out } = await place.spoold('why', 'chain/nothing');
    assert.deepEqual([status, out], [2, '']);
    assert.match(err, /There is no task nothing in the job chain/);
    assert.equal((await place.spoold('why')).status, 2);
  });
});

describe('why a task waits for a resource', () => {
  const place = new Place({ config: 'max_parallel: 20\nstarvation_after: 500ms\nresources: {gpu: 2, mem: 8GB}\n' });
  before(() => place.start());
  after(() => place.close());

  it('how much it asks for, how much is free, and who has it', async () => {
    const job = place.job('train').make({ max_parallel: 9 });
    job.drop('a', { ...sleep, resources: { gpu: 2, mem: '6GB' } });
    await job.comesTo('running', 'a');
    job.drop('b', { ...sleep, resources: { gpu: 1 } }).drop('c', { ...sleep, resources: { mem: '4GB' } });
    assert.match(
      await ask(place, 'train/b'),
      /waits for the resource gpu: it asks for 1, and of 2 in all 0 is free; a has 0,1 \(for [\w.]+\)\.\n/,
    );
    assert.match(
      await ask(place, 'train/c'),
      /resource mem: it asks for 4GB, and of 8GB in all 2GB is free; a has 6GB/,
    );
    assert.match(await ask(place, 'train/b'), /Next: spoold logs .*-f train\/a\n/);
  });

  it('that it has been lifted, for it has waited long', async () => {
    await waitUntil('it is lifted', async () =>
      /\nIt has waited so long that it goes before others, as if its priority were \d+ tiers? higher/.test(
        await ask(place, 'train/b'),
      ),
    );
  });

  it('that it can never have it, where there is less by now', async () => {
    const job = place.job('train').drop('d', { ...sleep, resources: { gpu: 2 } });
    await waitUntil('it is accepted', () => place.lines('state/events.ndjson').some((line) => line.includes('"d"')));
    writeFileSync(place.at('config.yaml'), 'resources: {gpu: 1}\n');
    place.daemon?.kill('SIGHUP');
    await waitUntil('the daemon says so', async () =>
      /gpu: it asks for 2, and there is only 1 in all; as config.yaml is now, it never starts/.test(
        await ask(place, 'train/d'),
      ),
    );
    assert.ok(job.isIn('pending', 'd'));
  });
});

describe('why nothing starts', { concurrency: true }, () => {
  it('no daemon; and what is ready but for that', async () => {
    const place = quietPlace();
    try {
      place
        .job('j')
        .drop('x', sleep)
        .drop('y', { command: ['true'], dependencies: ['x'] });
      const text = await ask(place, 'j/x');
      assert.match(text, /^j\/x waits because no daemon serves the directory\.\n/);
      assert.match(text, /Next: spoold start --dir/);
      assert.match(await ask(place, 'j/y'), /no daemon serves .*; and it waits for x, which is ready to start/);
    } finally {
      await place.close();
    }
  });

  it('a daemon that is starting, or is to stop', async () => {
    const place = quietPlace();
    try {
      place.job('j').drop('x', sleep);
      pretendDaemon(place, { serving: false });
      assert.match(await ask(place, 'j/x'), /waits until the daemon has looked at everything/);
      pretendDaemon(place, { stopping: 'drain' });
      assert.match(await ask(place, 'j/x'), /the daemon stops as soon as what runs has ended, and starts nothing new/);
      rmSync(place.at('daemon.json'));
    } finally {
      await place.close();
    }
  });

  it('slots that are kept free to spare the host', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('x', sleep);
      place.job('other').drop('a', sleep);
      mkdirSync(place.job('other').path('running'), { recursive: true });
      mkdirSync(place.job('other').runDir('a'), { recursive: true });
      symlinkSync('../runs/a.1', place.job('other').path('running', 'a.run'));
      const held_back = '1 of 2 slots are used, to spare the host: its load is 9 on 2 cores';
      pretendDaemon(place, { max_parallel: 1, held_back });
      assert.match(
        await ask(place, 'j/x'),
        /at most 1 task may run at a time over all jobs \(1 of 2 slots are used, to spare the host: its load is 9 on 2 cores\), and that is now other\/a/,
      );
      rmSync(place.at('daemon.json'));
      rmSync(place.job('other').path('running', 'a.run'));
      assert.ok(job.isIn('pending', 'x'));
    } finally {
      await place.close();
    }
  });

  it('a ring of tasks that wait for one another', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('a', { command: ['true'], dependencies: ['b'] });
      job.drop('b', { command: ['true'], dependencies: ['c'] }).drop('c', { command: ['true'], dependencies: ['a'] });
      assert.match(await ask(place, 'j/a'), /waits for b, and that in the end for a: they wait for one another/);
      assert.match(await ask(place, 'j'), /^j is waiting: 3 waiting\.\n/);
    } finally {
      await place.close();
    }
  });

  it('a file that does not read yet', async () => {
    const place = quietPlace();
    try {
      place.job('j').write('pending/x.json', '{"command": ["tr');
      assert.match(await ask(place, 'j/x'), /its file does not read: .*Unless that changes, it is rejected/);
    } finally {
      await place.close();
    }
  });

  it('a disk that is nearly full', async () => {
    const place = new Place({ config: 'min_free: 900TB\n' });
    try {
      await place.start();
      place.job('j').drop('x', sleep);
      await waitUntil('the daemon holds back', () => place.log.includes('nothing new is started'));
      await waitUntil('it says so', async () => (await ask(place, 'j/x')).includes('the disk is nearly full'));
      assert.match(await ask(place, 'j/x'), /waits because the daemon starts nothing new: the disk is nearly full/);
    } finally {
      await place.close();
    }
  });

  it('all slots are taken by other jobs, everything is paused, and everything has parallel 0', async () => {
    const place = new Place({ config: 'max_parallel: 1\n' });
    try {
      await place.start();
      const other = place.job('other').drop('a', sleep);
      await other.comesTo('running', 'a');
      place.job('j').drop('x', sleep);
      const text = await ask(place, 'j/x');
      assert.match(
        text,
        /waits for its turn: at most 1 task may run at a time over all jobs, and that is now other\/a \(for/,
      );
      await place.spoold('pause');
      assert.match(await ask(place, 'j/x'), /waits because everything is paused, by \S+, /);
      assert.match(
        await ask(place, 'j'),
        /^j is waiting: 1 waiting\.\nWhat waits does so because everything is paused/,
      );
      await place.spoold('resume');
      writeFileSync(place.at('parallel'), '0\n');
      assert.match(await ask(place, 'j/x'), /waits because the file .*\/parallel says 0: no task may run\.\n/);
    } finally {
      await place.close();
    }
  });
});
