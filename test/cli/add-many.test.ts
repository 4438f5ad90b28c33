// add … ::: and ::::, as one array that the daemon takes as a whole.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { bin, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

let place: Place;
beforeEach(() => {
  place = new Place({ config: 'max_parallel: 4\n' });
});
afterEach(() => place.close());

describe('add … :::', () => {
  it('queues one task for each combination, with ids made from the arguments', async () => {
    await place.start();
    const { out, err } = await place.spoold('add', 'echo', '{1}-{2}', ':::', 'a', 'b c', ':::', '1', 'x/y');
    assert.equal(out, 'default/a+1\ndefault/a+x-y\ndefault/b-c+1\ndefault/b-c+x-y\n', err);
    const job = place.job('default');
    for (const [id, said] of [
      ['a+1', 'a-1'],
      ['a+x-y', 'a-x/y'],
      ['b-c+1', 'b c-1'],
      ['b-c+x-y', 'b c-x/y'],
    ] as const) {
      await job.comesTo('succeeded', id);
      assert.equal(job.output(id), `${said}\n`);
    }
    assert.deepEqual(job.names('rejected'), []);
    assert.equal((await place.spoold('add', '--json', 'echo', ':::', 'a+1', 'new')).status, 0);
    await job.comesTo('succeeded', 'a+1.2'); // an id that is in use gets a number
    await job.comesTo('succeeded', 'new');
  });

  it('with --id they are a family: what depends on that id runs after all of them, even if it was queued before', async () => {
    await place.start();
    await place.spoold('add', '-J', 'j', '--id', 'merge', '-a', 'part', '--shell', 'sort said >merged');
    const said = await place.spoold(
      'add',
      '-J',
      'j',
      '--id',
      'part',
      '--shell',
      'echo {} >>said',
      ':::',
      'c',
      'a',
      'b',
    );
    assert.equal(said.out, 'j/part.c\nj/part.a\nj/part.b\n', said.err);
    await place.job('j').comesTo('succeeded', 'merge');
    assert.deepEqual(place.lines('merged'), ['a', 'b', 'c']);
    const again = await place.spoold('add', '-J', 'j', '--id', 'part', 'echo', ':::', 'x');
    assert.equal(again.status, 2);
    assert.match(again.err, /j\/part is there already/);
  });

  it('takes its arguments from files and from standard input, a line each', async () => {
    writeFileSync(place.aside('list.txt'), 'one\ntwo words\n');
    const { out, err } = await place.spoold('add', '-n', 'echo', '::::', 'list.txt', ':::', '1');
    assert.equal(out, `default/one+1  echo one 1\ndefault/two-words+1  echo 'two words' 1\n`, err);
    const piped = spawnSync(process.execPath, [bin, 'add', '--dir', place.dir, '-n', 'echo', '::::', '-'], {
      input: 'a\nb',
      encoding: 'utf8',
    });
    assert.equal(piped.stdout, 'default/a  echo a\ndefault/b  echo b\n', piped.stderr);
    const gone = await place.spoold('add', 'echo', '::::', 'gone.txt');
    assert.equal(gone.status, 2);
    assert.match(gone.err, /There is no file .*gone\.txt/);
  });

  it('--dry-run writes nothing, and an invalid task queues none of them', async () => {
    assert.equal((await place.spoold('add', '--dry-run', 'echo', ':::', 'a')).out, 'default/a  echo a\n');
    assert.equal(
      (await place.spoold('add', '--dry-run', '--retry', '2', 'echo', 'a')).out,
      '{"command":["echo","a"],"retry":2}\n',
    );
    const { status, err } = await place.spoold('add', '--retry', 'x', 'echo', ':::', 'a', 'b');
    assert.equal(status, 2);
    assert.match(err, /retry: expected a whole number .*\(in task "a"\)/);
    assert.match((await place.spoold('add', 'echo hi', ':::', 'a')).err, /--shell 'echo hi'/);
    assert.equal(existsSync(place.at('jobs', 'default')), false);
  });

  it('without a daemon they wait as one file, whose ids are in use already', async () => {
    const first = await place.spoold('add', 'echo', ':::', 'a', 'b');
    assert.match(first.err, /no daemon serves .*so its 2 tasks wait.*spoold start/);
    assert.equal((await place.spoold('add', 'echo', ':::', 'b')).out, 'default/b.2\n');
    assert.equal(place.job('default').ids('pending').length, 2);
    await place.start();
    for (const id of ['a', 'b', 'b.2']) await place.job('default').comesTo('succeeded', id);
    assert.deepEqual(place.job('default').names('rejected'), []);
  });

  it('of an empty list with --id, what depends on it does not hang; without one nothing is queued', async () => {
    await place.start();
    writeFileSync(place.aside('none'), '');
    assert.match((await place.spoold('add', 'echo', '::::', 'none')).err, /the lists are empty/);
    await place.spoold('add', '-J', 'j', '--id', 'part', 'echo', '::::', 'none');
    await place.spoold('add', '-J', 'j', '--id', 'merge', '-a', 'part', 'true');
    await place.job('j').comesTo('succeeded', 'merge');
  });

  it('inside a task they are its children, and the same after a retry', async () => {
    await place.start();
    place.job('j').drop('p', {
      shell: `'${process.execPath}' '${bin}' add echo ::: x y; [ "$SPOOLD_ATTEMPT" = 2 ]`,
      retry: 1,
    });
    const job = place.job('j');
    await job.comesTo('succeeded', 'p');
    await job.comesTo('succeeded', 'p.x');
    await job.comesTo('succeeded', 'p.y');
    assert.equal(job.output('p', 2), 'j/p.x\nj/p.y\n');
    assert.deepEqual(job.ids('succeeded').sort(), ['p', 'p.x', 'p.y']);
  });

  it('inside a task those of numbers are others than single ones, and an id of theirs waits for all of them', async () => {
    await place.start();
    const add = `'${process.execPath}' '${bin}' add`;
    const job = place.job('numbers').make({ max_parallel: 'none' });
    job.drop('p', {
      shell: `${add} echo many {} ::: 1 2; ${add} echo single; ${add} --id fit echo {} ::: 3 4; ${add} --id last -a fit true`,
    });
    await job.comesTo('succeeded', 'last');
    for (const id of ['p', 'p.1', 'p.n1', 'p.n2', 'fit', 'fit.3', 'fit.4']) await job.comesTo('succeeded', id);
    assert.deepEqual([job.output('p.1'), job.output('p.n1')], ['single\n', 'many 1\n']);
    assert.deepEqual(JSON.parse(readFileSync(job.file('succeeded', 'fit'), 'utf8')).dependencies, ['fit.3', 'fit.4']);
  });

  it('takes hundreds at once, each once', async () => {
    await place.start();
    writeFileSync(place.aside('many'), Array.from({ length: 500 }, (_, i) => `n${i}\n`).join(''));
    const { status, err } = await place.spoold(
      'add',
      '-J',
      'j',
      '--set',
      'run_if=always',
      '-a',
      'nobody',
      'true',
      '::::',
      'many',
    );
    assert.equal(status, 0, err);
    await waitUntil(
      'all are spread',
      () =>
        place
          .job('j')
          .ids('pending')
          .filter((id) => id.startsWith('n')).length === 500,
      () => `${place.job('j').ids('pending').length}`,
    );
    assert.deepEqual(place.job('j').names('rejected'), []);
  });
});
