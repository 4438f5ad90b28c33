// What a task queues: how much, how deep, once more after a retry, in arrays, and what it must not wait for.
import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type JobHands, Place, readText, type Task } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** Shell that drops a file into the attempt's own folder, in the careful way. */
function dropping(name: string, content: unknown): string {
  const text = JSON.stringify(content).replaceAll("'", `'"'"'`);
  return `printf '%s' '${text}' >"$SPOOLD_PENDING/.new"; mv "$SPOOLD_PENDING/.new" "$SPOOLD_PENDING/${name}.json"\n`;
}

const echo: Task = { command: ['echo', 'ran'] };

const ended = async (of: JobHands, folder: 'succeeded' | 'failed' | 'skipped', ...ids: string[]): Promise<void> => {
  for (const id of ids) await of.comesTo(folder, id);
};

describe('what a task queues', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 8\npoll_interval: 1h\nmax_depth: 2\nmax_children: 3\n' });
  before(() => place.start());
  after(() => place.close());

  const job = (name: string): JobHands => place.job(name).make({ max_parallel: 'none' });

  it('may be so many and no more: the attempt that dropped one too many fails, and says which and what to do', async () => {
    const many = job('many');
    many.drop('p', { shell: ['a', 'b', 'c', 'd'].map((name) => dropping(name, echo)).join('') });
    await ended(many, 'failed', 'p');
    const { reason, message } = many.result('p');
    assert.equal(reason, 'bad_child');
    assert.match(message, /\/[abcd]\.json: p has queued 3 tasks already, and max_children is 3\..*config\.yaml/);
    // A task that is being moved can be missed by three readings in a row: count when nothing moves any more.
    await waitUntil('the end of its children', () => many.ids('pending').length + many.ids('running').length === 0);
    assert.equal(many.ids('succeeded').length, 3);
  });

  it('may be so deep and no deeper: the reason spells out the line of those that queued it', async () => {
    const deep = job('deep');
    const shell = (level: number): string =>
      level === 3 ? 'true' : dropping(`l${level + 1}`, { shell: shell(level + 1) });
    deep.drop('l0', { shell: shell(0) });
    await ended(deep, 'failed', 'l2');
    assert.match(deep.result('l2').message, /it would be 3 deep \(l0 → l1 → l2 → this one\), and max_depth is 2\./);
    assert.equal(deep.folderOf('l3'), undefined);
  });

  it('counts though the `add` that queued it was killed before it had removed the other name of its file', async () => {
    const killed = job('killed-add').drop('sum', { ...echo, dependencies: ['p'] });
    const [aside, shown] = ['.new-0123abcd-1', 'c.json'].map((name) => `"$SPOOLD_PENDING/${name}"`);
    killed.drop('p', { shell: `echo '${JSON.stringify(echo)}' >${aside}; ln ${aside} ${shown}` });
    await ended(killed, 'succeeded', 'p', 'c', 'sum');
  });

  it('may come as an array in one file', async () => {
    const array = job('array').drop('sum', { ...echo, dependencies: ['p'] });
    array.drop('p', {
      shell: dropping('all', [
        { id: 'a', ...echo },
        { id: 'b', ...echo, dependencies: ['a'] },
      ]),
    });
    await ended(array, 'succeeded', 'sum');
    assert.ok(Date.parse(array.result('b').finished_at) <= Date.parse(array.result('sum').started_at));
    assert.equal(JSON.parse(readText(array.file('succeeded', 'b')) ?? '').parent, 'p');
    assert.equal(array.folderOf('all'), undefined);
  });

  it('is taken of an array whole or not at all: what is wrong with one of them is said, and none is queued', async () => {
    const wrong = job('wrong');
    const two = (second: object): string => dropping('all', [{ id: 'a', ...echo }, second]);
    wrong.drop('p', { shell: two({ id: 'b', comand: 'true' }) });
    wrong.drop('r', { shell: two({ id: 'b', ...echo, resources: { moon: 1 } }) });
    wrong.drop('m', {
      shell: dropping(
        'all',
        ['a', 'b', 'c', 'd'].map((id) => ({ id, ...echo })),
      ),
    });
    wrong.drop('t', {
      shell: 'printf "[" >"$SPOOLD_PENDING/all.json"; truncate -s 1100000 "$SPOOLD_PENDING/all.json"',
    });
    await ended(wrong, 'failed', 'p', 'r', 'm', 't');
    for (const [id, said] of Object.entries({
      p: /\[1\].*comand.*command.*in task "b"/s,
      r: /moon.*in task "b"/s,
      m: /it has more tasks than m may queue: 0 are queued, and max_children is 3/,
      t: /it is no text: it has NUL characters/,
    })) {
      assert.equal(wrong.result(id).reason, 'bad_child', id);
      assert.match(wrong.result(id).message, said);
      assert.match(readText(wrong.path('runs', `${id}.1`, 'pending.closed', 'all.error.txt')) ?? '', said);
    }
    for (const id of ['a', 'b']) assert.equal(wrong.folderOf(id), undefined);
  });

  it('has an id in an array that another task of the job has: the attempt fails, and what came before it stands', async () => {
    const taken = job('taken').drop('b', { shell: 'exit 1' });
    await ended(taken, 'failed', 'b');
    taken.drop('p', {
      shell: dropping(
        'all',
        ['a', 'b', 'c'].map((id) => ({ id, ...echo })),
      ),
    });
    await ended(taken, 'failed', 'p');
    assert.match(taken.result('p').message, /the id b is in use by another task of the job \(failed\)/);
    await ended(taken, 'succeeded', 'a');
    assert.equal(taken.folderOf('c'), undefined);
  });

  it('is counted on by a daemon that takes over: what has ended by then, and what was queued as an array, too', async () => {
    const own = new Place({ config: 'max_children: 3\n' });
    try {
      await own.start();
      const gate = own.aside('gate');
      const first = dropping('all', [
        { id: 'a', ...echo },
        { id: 'b', ...echo },
      ]);
      const goOn = `${first}until [ -e '${gate}' ]; do sleep 0.05; done\n${dropping('c', echo)}${dropping('d', echo)}`;
      const counted = own.job('counted').make({ max_parallel: 'none' }).drop('p', { shell: goOn });
      await ended(counted, 'succeeded', 'a', 'b');
      assert.equal(readText(join(counted.runDir('p'), 'queued')), 'b\na\n');
      await own.kill9();
      await own.start();
      writeFileSync(gate, '');
      await ended(counted, 'failed', 'p');
      assert.match(counted.result('p').message, /\/[cd]\.json: p has queued 3 tasks already, and max_children is 3/);
      assert.deepEqual(['c', 'd'].filter((id) => counted.folderOf(id) !== undefined).length, 1);
    } finally {
      await own.close();
    }
  });

  it('stands after a retry that queues fewer, and grows by what it queues besides', async () => {
    const again = job('again').drop('sum', { ...echo, dependencies: ['p'] });
    const first = dropping('a', echo) + dropping('b', { shell: 'echo first' });
    const second = dropping('b', { shell: 'echo second' }) + dropping('c', echo);
    again.drop('p', { shell: `if [ $SPOOLD_ATTEMPT = 1 ]; then ${first} exit 1; fi\n${second}`, retry: 1 });
    await ended(again, 'succeeded', 'sum', 'a', 'b', 'c');
    assert.equal(again.output('b'), 'first\n');
    for (const id of ['a', 'b', 'c']) assert.equal(again.results(id).length, 1, id);
  });

  it('stands while it is held: a retry that queues it again, alone or in an array, makes no second one', async () => {
    const held = job('held');
    const waits = { ...echo, dependencies: ['never'] };
    const gate = place.aside('gate-of-held');
    const once = `[ $SPOOLD_ATTEMPT = 1 ] || exit 0\nuntil [ -e '${gate}' ]; do sleep 0.05; done\nexit 1`;
    held.drop('p', { shell: dropping('x', waits) + dropping('all', [{ id: 'y', ...waits }]) + once, retry: 1 });
    for (const id of ['x', 'y']) {
      await held.comesTo('pending', id);
      renameSync(held.file('pending', id), held.path(`pending/${id}.held`));
    }
    writeFileSync(gate, '');
    await ended(held, 'succeeded', 'p');
    assert.deepEqual(held.names('pending').sort(), ['x.held', 'y.held']);
  });

  /** A job in which sum waits for p, whose child x is held; the daemon knows. */
  async function withHeldMember(name: string): Promise<JobHands> {
    const family = job(name).drop('p', { shell: dropping('x', { ...echo, dependencies: ['never'] }) });
    family.drop('sum', { ...echo, dependencies: ['p'] });
    await ended(family, 'succeeded', 'p');
    renameSync(family.file('pending', 'x'), family.path('pending/x.held'));
    family.drop('other', echo);
    await ended(family, 'succeeded', 'other');
    return family;
  }

  it('is unfinished while it is held: what waits for the family waits', async () => {
    const family = await withHeldMember('held-member');
    assert.equal(family.folderOf('sum'), 'pending');
    const text = JSON.parse(readText(family.path('pending/x.held')) ?? '') as Task;
    writeFileSync(family.path('pending/x.held'), JSON.stringify({ ...text, dependencies: [] }));
    renameSync(family.path('pending/x.held'), family.file('pending', 'x'));
    await ended(family, 'succeeded', 'x', 'sum');
  });

  it('is unfinished no more once it is held and deleted', async () => {
    const family = await withHeldMember('held-and-deleted');
    rmSync(family.path('pending/x.held'));
    await ended(family, 'succeeded', 'sum');
  });

  it('is left where it lies if its name says that it is none', async () => {
    const odd = job('odd').drop('p', { shell: `${dropping('x', echo)}echo mine >"$SPOOLD_PENDING/note.txt"` });
    await ended(odd, 'succeeded', 'p', 'x');
    await waitUntil('its sources are cleared away', () => !existsSync(join(odd.runDir('p'), 'children')));
    assert.equal(readText(join(odd.runDir('p'), 'pending.closed/note.txt')), 'mine\n');
  });

  it('cannot wait for the task that queued it, nor for one further up: the cycle is spelled out, the family fails', async () => {
    const cycle = job('cycle').drop('sum', { ...echo, dependencies: ['top'] });
    const leaf = dropping('leaf', { ...echo, dependencies: ['top'] });
    cycle.drop('top', { shell: dropping('mid', { shell: leaf }) });
    assert.match(await cycle.rejects('leaf'), /it would wait for itself: leaf → top → leaf\./);
    await ended(cycle, 'skipped', 'sum');
    assert.match(readText(cycle.path('skipped/sum.reason.txt')) ?? '', /^cause: rejected\/leaf\.json$/m);
  });

  it('cannot wait for one that waits for its family', async () => {
    const cycle = job('cycle-around').drop('sum', { ...echo, dependencies: ['p'] });
    cycle.drop('p', { shell: dropping('c', { ...echo, dependencies: ['sum'] }) });
    assert.match(await cycle.rejects('c'), /it would wait for itself: c → sum → p → c\./);
    await ended(cycle, 'skipped', 'sum');
  });

  it('of which a grandchild fails names that one as the cause, and all come back with it', async () => {
    const fails = job('grandchild').drop('sum', { ...echo, dependencies: ['p'] });
    const marker = place.aside('grandchild');
    const leaf = dropping('leaf', { command: ['test', '-e', marker] });
    fails.drop('p', { shell: dropping('mid', { shell: leaf }) }).drop('last', { ...echo, dependencies: ['sum'] });
    await ended(fails, 'skipped', 'sum', 'last');
    assert.match(readText(fails.path('skipped/sum.reason.txt')) ?? '', /^cause: failed\/leaf\.json\nleaf is failed/);
    assert.match(readText(fails.path('skipped/last.reason.txt')) ?? '', /^cause: skipped\/sum\.json/);
    writeFileSync(marker, '');
    const { status } = await place.spoold('retry', 'grandchild/leaf');
    assert.equal(status, 0);
    await ended(fails, 'succeeded', 'leaf', 'sum', 'last');
  });
});
