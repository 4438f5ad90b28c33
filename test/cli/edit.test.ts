// `spoold edit` and `retry --edit`: a copy that is checked before it takes the file's place.
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Place, Place as DaemonPlace, type Spoken, speak, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { quietPlace, script } from './quiet-place.ts';

function edit(place: Place, editor: string, ...args: string[]): Promise<Spoken> {
  return speak([args[0] ?? '', '--dir', place.dir, ...args.slice(1)], {
    cwd: place.root,
    env: { EDITOR: editor, VISUAL: '' },
  });
}

/** The copy that a message names; it is removed. */
function copyIn(err: string): string {
  const path = /Your copy: (\S+)/.exec(err)?.[1] ?? '';
  const text = readFileSync(path, 'utf8');
  rmSync(dirname(path), { recursive: true });
  return text;
}

describe('edit without a daemon', { concurrency: true }, () => {
  it('puts a changed task back, and the events say so', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      const { out, status } = await edit(place, script(place, 'ed', `sed -i s/true/false/ "$1"`), 'edit', 'a/x');
      assert.equal(out, 'a/x is changed\n');
      assert.equal(status, 0);
      assert.equal(readText(job.file('pending', 'x')), '{"command":["false"]}');
      assert.match(readText(place.at('events.ndjson')) ?? '', /"event":"edited"/);
      assert.deepEqual(job.names('pending'), ['x.json']);
    } finally {
      await place.close();
    }
  });

  it('takes an editor with arguments, and VISUAL before EDITOR', async () => {
    const place = quietPlace();
    try {
      place.job('a').drop('x', { command: ['true'] });
      const env = { VISUAL: `${script(place, 'ed', 'sed -i s/true/"$1"/ "$2"')} echo`, EDITOR: 'false' };
      assert.equal((await speak(['edit', '--dir', place.dir, 'a/x'], { env })).out, 'a/x is changed\n');
      assert.equal(readText(place.job('a').file('pending', 'x')), '{"command":["echo"]}');
    } finally {
      await place.close();
    }
  });

  it('a task that is no longer valid is not put back: the problem is said with its line, and the copy kept', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      const { status, err } = await edit(
        place,
        script(place, 'ed', `printf '{\\n "comand": ["true"]\\n}\\n' >"$1"`),
        'edit',
        'a/x',
      );
      assert.equal(status, 2);
      assert.match(err, /x\.json:2:\d+: comand: there is no such key; did you mean "command"\?/);
      assert.match(copyIn(err), /comand/);
      assert.equal(readText(job.file('pending', 'x')), '{"command":["true"]}');
    } finally {
      await place.close();
    }
  });

  it('does not overwrite what somebody else changed, started or moved meanwhile', async () => {
    const place = quietPlace();
    try {
      const job = place
        .job('a')
        .drop('x', { command: ['true'] })
        .drop('y', { command: ['true'] });
      const changed = await edit(
        place,
        script(place, 'ed1', `sed -i s/true/mine/ "$1"; echo '{"command":["theirs"]}' >${job.file('pending', 'x')}`),
        'edit',
        'a/x',
      );
      assert.equal(changed.status, 1);
      assert.match(changed.err, /a\/x was changed by somebody else; your change was not made/);
      assert.equal(copyIn(changed.err), '{"command":["mine"]}');
      assert.equal(readText(job.file('pending', 'x')), '{"command":["theirs"]}\n');
      const mkdir = `mkdir -p ${job.path('cancelled')}; mv ${job.file('pending', 'y')} ${job.path('cancelled')}`;
      const moved = await edit(place, script(place, 'ed2', `sed -i s/true/mine/ "$1"; ${mkdir}`), 'edit', 'a/y');
      assert.match(moved.err, /a\/y is cancelled by now/);
      assert.equal(copyIn(moved.err), '{"command":["mine"]}');
      assert.deepEqual(job.ids('pending'), ['x']);
    } finally {
      await place.close();
    }
  });

  it('an editor that fails, or changes nothing, changes nothing', async () => {
    const place = quietPlace();
    try {
      place.job('a').drop('x', { command: ['true'] });
      const failed = await edit(place, script(place, 'ed', 'exit 3'), 'edit', 'a/x');
      assert.equal(failed.status, 1);
      assert.match(failed.err, /ended with exit status 3; nothing was changed/);
      copyIn(failed.err);
      assert.equal((await edit(place, 'true', 'edit', 'a/x')).out, 'a/x is unchanged\n');
    } finally {
      await place.close();
    }
  });

  it('only what waits is edited; the rest is told of retry --edit', async () => {
    const place = quietPlace();
    try {
      place.job('a').drop('x', { command: ['true'] });
      await place.spoold('cancel', 'a/x');
      const { status, err } = await edit(place, 'true', 'edit', 'a/x');
      assert.equal(status, 1);
      assert.match(err, /a\/x does not wait: it is cancelled\.\n.*spoold retry --dir \S+ --edit a\/x/);
    } finally {
      await place.close();
    }
  });
});

describe('retry --edit', { concurrency: true }, () => {
  const place = new DaemonPlace({ config: 'max_parallel: 20\n' });
  before(() => place.start());
  after(() => place.close());

  it('changes a failed task and runs it again', async () => {
    const job = place.job('f').drop('x', { command: ['false'] });
    await job.comesTo('failed', 'x');
    const { out } = await edit(place, script(place, 'ed-f', 'sed -i s/false/true/ "$1"'), 'retry', '--edit', 'f/x');
    assert.equal(out, 'f/x is pending again (it was failed)\n');
    await job.comesTo('succeeded', 'x');
  });

  it('runs again what was changed, whatever becomes of the others; what waits is told of edit', async () => {
    const job = place
      .job('g')
      .drop('x', { command: ['false'] })
      .drop('y', { command: ['false'] });
    for (const id of ['x', 'y']) await job.comesTo('failed', id);
    const editor = script(place, 'ed-g', 'case $1 in */x.json) sed -i s/false/true/ "$1" ;; *) exit 3 ;; esac');
    const { status, out, err } = await edit(place, editor, 'retry', '--edit', 'g/x', 'g/y');
    assert.equal(out, 'g/x is pending again (it was failed)\n');
    assert.equal(status, 1);
    copyIn(err);
    await job.comesTo('succeeded', 'x');
    assert.equal(job.folderOf('y'), 'failed');
    job.drop('z', { command: ['true'], dependencies: ['y-2'] });
    const waits = await edit(place, editor, 'retry', '--edit', 'g/z');
    assert.match(waits.err, /g\/z waits already\.\n.*: spoold edit --dir \S+ g\/z\n$/);
  });

  it('corrects a rejected one, which then runs once, and leaves nothing in rejected/', async () => {
    const job = place.job('r').drop('x', { shel: `echo ran >>${place.aside('ran')}` });
    await job.rejects('x');
    const { out } = await edit(place, script(place, 'ed-r', 'sed -i s/shel/shell/ "$1"'), 'retry', '--edit', 'r/x');
    assert.equal(out, 'r/x is pending again (it was rejected)\n');
    await job.comesTo('succeeded', 'x');
    assert.deepEqual(place.lines('ran'), ['ran']);
    await waitUntil('nothing is left in rejected/', () => job.names('rejected').length === 0);
  });
});
