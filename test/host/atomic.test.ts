import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  claimLink,
  createExclusive,
  createFolder,
  ensureFolder,
  ensureFolderDurably,
  guardChanges,
  isThere,
  linkExclusive,
  moveAllNoReplace,
  moveByLink,
  moveIfFree,
  moveNoReplace,
  overwrite,
  publish,
  readParsed,
  remove,
  removeEmptyFolder,
  removeTree,
  renameFolder,
  renameUnreadable,
  replaceDurably,
  replaceWhole,
  setMode,
  setOwnMode,
  sweepReplaced,
  sweepUnfinished,
  unfinishedName,
} from '../../src/host/atomic.ts';
import { endOf, forkModule, scratch } from '../helpers/scratch.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const parse = (content: string): unknown => JSON.parse(content);

const text = (path: string): string => readFileSync(path, 'utf8');

/** All that can already have a name: the move must not touch it, whatever it is. */
const TAKEN: [what: string, make: (path: string) => void][] = [
  ['a file', (path) => writeFileSync(path, 'first')],
  ['an empty file', (path) => writeFileSync(path, '')],
  ['a folder', (path) => mkdirSync(path)],
  ['a link to a file', (path) => (writeFileSync(`${path}.target`, 'first'), symlinkSync(`${path}.target`, path))],
  ['a dangling link', (path) => symlinkSync('nowhere', path)],
];

/** What lies at a path, in words that tell any change. */
function describe(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  const content = stat === undefined ? 'dangling' : stat.isDirectory() ? readdirSync(path).join() : text(path);
  return `${stat?.ino} ${content}`;
}

for (const [what, make] of TAKEN) {
  test(`${what} that has the new name stays as it is, and so does what was to be moved or shown there`, (t) => {
    const dir = scratch(t);
    const [from, to] = [join(dir, 'from'), join(dir, 'to')];
    writeFileSync(from, 'second');
    make(to);
    const before = describe(to);
    const refusals: [name: string, result: unknown, expected: unknown][] = [
      ['moveByLink', moveByLink(from, to), 'exists'],
      ['moveIfFree', moveIfFree(from, to), 'exists'],
      ['moveNoReplace', moveNoReplace(from, to), 'exists'],
      ['publish', publish(to, 'third'), false],
      ['linkExclusive', linkExclusive(from, to), false],
      ['claimLink', claimLink('x', to), false],
    ];
    for (const [name, result, expected] of refusals) assert.equal(result, expected, name);
    assert.throws(() => createExclusive(to, 'fourth'), { code: 'EEXIST' });
    assert.equal(describe(to), before);
    assert.equal(text(from), 'second');
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.startsWith('.')),
      [],
    );
  });
}

test('a move says whether the file or the folder it was to go to is missing', (t) => {
  const dir = scratch(t);
  const from = join(dir, 'from');
  for (const move of [moveByLink, moveIfFree, moveNoReplace])
    assert.equal(move(from, join(dir, 'to')), 'missing', move.name);
  writeFileSync(from, 'x');
  assert.equal(moveByLink(from, join(dir, 'absent', 'to')), 'no folder');
  assert.equal(text(from), 'x');
  assert.equal(moveIfFree(from, join(dir, 'absent', 'to')), 'moved'); // it makes the folder again
  assert.equal(text(join(dir, 'absent', 'to')), 'x');
});

test('folders are made with those above them, and the topmost new one is told; a place that takes none is no endless wait', (t) => {
  const dir = scratch(t);
  assert.equal(ensureFolder(join(dir, 'a', 'b', 'c')), join(dir, 'a'));
  assert.equal(ensureFolder(join(dir, 'a', 'b', 'c')), undefined);
  assert.equal(ensureFolder(join(dir, 'a', 'x')), join(dir, 'a', 'x'));
  writeFileSync(join(dir, 'file'), '');
  assert.throws(() => ensureFolder(join(dir, 'file')), { code: 'EEXIST' });
  assert.throws(() => ensureFolder(join(dir, 'file', 'x')), { code: 'ENOTDIR' });
  assert.throws(() => ensureFolder('/proc/no-such-folder/x'), { code: 'ENOENT' });
});

test('a move by link that a crash cut short, with both names left, is finished by the next', (t) => {
  const dir = scratch(t);
  const [from, to] = [join(dir, 'from'), join(dir, 'to')];
  writeFileSync(from, 'x');
  linkSync(from, to);
  assert.equal(moveByLink(from, to), 'moved');
  assert.equal(isThere(from), false);
  assert.equal(text(to), 'x');
  assert.equal(statSync(to).nlink, 1);
});

test('of many files moved at once, those whose name is taken and those that are gone stay behind, and it says which went', (t) => {
  const dir = scratch(t);
  const [from, to] = [join(dir, `it's "from"`), join(dir, 'to\nhere')];
  mkdirSync(from);
  mkdirSync(to);
  const names = Array.from({ length: 1200 }, (_, n) => `t${n}.json`);
  for (const name of names) writeFileSync(join(from, name), name);
  writeFileSync(join(to, 't7.json'), 'another');
  remove(join(from, 't1100.json'));
  const moved = moveAllNoReplace(from, to, names);
  assert.deepEqual(
    moved,
    names.filter((name) => name !== 't7.json' && name !== 't1100.json'),
  );
  assert.deepEqual(readdirSync(from), ['t7.json']);
  assert.equal(text(join(to, 't7.json')), 'another');
});

test('names that begin with a dash are moved like any other', (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'to'));
  writeFileSync(join(dir, '-f'), 'x');
  const here = process.cwd();
  process.chdir(dir);
  t.after(() => process.chdir(here));
  assert.equal(moveNoReplace('-f', '-g'), 'moved');
  assert.equal(text(join(dir, '-g')), 'x');
});

test('a file that is swapped is seen whole, the old one or the new one, by whoever reads meanwhile', async (t) => {
  const dir = scratch(t);
  const path = join(dir, 'file');
  const old = `${'a'.repeat(20_000)}\n`;
  writeFileSync(path, old);
  const writer = forkModule(t, new URL('swap-forever.js', import.meta.url), [path]);
  const seen = new Set<string>();
  await waitUntil(
    'three texts at least were read',
    () => {
      for (let n = 0; n < 200; n++) {
        const now = text(path);
        assert.equal(now.length, 20_001);
        assert.equal(new Set(now.trim()).size, 1, 'a mixture');
        seen.add(now[0] as string);
      }
      return seen.size > 2;
    },
    () => [...seen],
  );
  await endOf(writer, 'SIGKILL');
  assert.ok(text(path).length === 20_001, 'a killed writer leaves one of them');
});

test('what is swapped durably has the rights that the umask gives', (t) => {
  const before = process.umask(0o027);
  t.after(() => process.umask(before));
  const dir = scratch(t);
  replaceDurably(join(dir, 'a'), 'one');
  replaceDurably(join(dir, 'a'), 'two');
  replaceWhole(join(dir, 'b'), 'two');
  createExclusive(join(dir, 'c'), 'two', { mode: 0o600 });
  assert.equal(text(join(dir, 'a')), 'two');
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => (statSync(join(dir, name)).mode & 0o777).toString(8)),
    ['640', '640', '600'],
  );
});

test('what a killed writer left is swept once it is old; young ones and files of others stay', (t) => {
  const dir = scratch(t);
  const left = [unfinishedName(), unfinishedName('submit')];
  const others = ['.held-aside', 'x.json', '.new-zzz', 'x.json.held', unfinishedName('bundle-x')];
  for (const name of [left[0] as string, ...others]) writeFileSync(join(dir, name), '');
  mkdirSync(join(dir, left[1] as string, 'pending'), { recursive: true });
  const all = readdirSync(dir).sort();
  const now = statSync(join(dir, left[1] as string)).mtimeMs;
  sweepUnfinished(dir, now + 59_000, 60);
  assert.deepEqual(readdirSync(dir).sort(), all);
  for (const name of all) utimesSync(join(dir, name), now / 1000 - 61, now / 1000 - 61);
  sweepUnfinished(dir, now, 60);
  assert.deepEqual(readdirSync(dir).sort(), others.sort());
});

test('what is left of swaps of one file is swept, and nothing else', (t) => {
  const dir = scratch(t);
  const others = ['daemon.json', 'daemon.json.1.held', 'daemonxjson.1', 'other.json.1'];
  for (const name of ['daemon.json.1234567890', 'daemon.json.2', ...others]) writeFileSync(join(dir, name), '');
  sweepReplaced(join(dir, 'daemon.json'));
  assert.deepEqual(readdirSync(dir).sort(), others.sort());
});

test('missing, damaged and empty are three answers', (t) => {
  const dir = scratch(t);
  const path = join(dir, 'x');
  assert.deepEqual(readParsed(path, parse), { kind: 'missing' });
  assert.deepEqual(readParsed(join(path, 'y'), parse), { kind: 'missing' });
  writeFileSync(path, '');
  assert.equal(readParsed(path, parse).kind, 'damaged');
  assert.deepEqual(
    readParsed(path, (content) => content),
    { kind: 'ok', value: '' },
  );
  assert.equal(readParsed(dir, parse).kind, 'damaged');
});

test('a folder that holds anything is not removed', (t) => {
  const dir = join(scratch(t), 'folder');
  assert.equal(removeEmptyFolder(dir), 'missing');
  ensureFolderDurably(join(dir, 'a', 'b'));
  assert.equal(removeEmptyFolder(join(dir, 'a')), 'occupied');
  assert.equal(removeEmptyFolder(join(dir, 'a', 'b')), 'removed');
  assert.equal(isThere(join(dir, 'a', 'b')), false);
});

test('a name that is no text is changed into one, unless that is taken', (t) => {
  const dir = scratch(t);
  const name = Buffer.from([0x78, 0xff, 0x2e, 0x6a]);
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), name]), 'odd');
  writeFileSync(join(dir, 'taken'), 'first');
  assert.equal(renameUnreadable(dir, name, 'taken'), false);
  assert.equal(renameUnreadable(dir, name, 'free'), true);
  assert.equal(renameUnreadable(dir, name, 'freer'), false);
  assert.deepEqual([text(join(dir, 'taken')), text(join(dir, 'free'))], ['first', 'odd']);
});

test('a file that could not be written whole is not left behind half', (t) => {
  const dir = scratch(t);
  const script = `
    const { createExclusive } = await import(${JSON.stringify(new URL('../../src/host/atomic.js', import.meta.url).href)});
    try { createExclusive(${JSON.stringify(join(dir, 'x'))}, 'y'.repeat(100_000)); } catch (error) { console.log(error.code); }
  `;
  // Files of at most 8 blocks of 512 bytes: a disk that is full for this process alone.
  const { stdout } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 8; trap "" XFSZ; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  assert.equal(stdout, 'EFBIG\n');
  assert.deepEqual(readdirSync(dir), []);
});

test('a link or a FIFO in the place of a file of ours is removed, never written through or waited for', (t) => {
  const folder = scratch(t);
  const victim = join(folder, 'victim');
  writeFileSync(victim, 'mine');
  const linked = join(folder, 'linked');
  symlinkSync(victim, linked);
  overwrite(linked, 'ours');
  assert.deepEqual([readFileSync(victim, 'utf8'), readFileSync(linked, 'utf8')], ['mine', 'ours']);
  assert.equal(lstatSync(linked).isFile(), true);
  const fifo = join(folder, 'fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  assert.equal(readParsed(fifo, parse).kind, 'damaged');
  overwrite(fifo, 'ours');
  assert.equal(readFileSync(fifo, 'utf8'), 'ours');
});

test('who may use a file or folder is never set through a link that has its name', (t) => {
  const dir = scratch(t);
  const at = (name: string) => join(dir, name);
  writeFileSync(at('file'), '', { mode: 0o600 });
  mkdirSync(at('folder'), { mode: 0o700 });
  for (const name of ['file', 'folder']) {
    symlinkSync(at(name), at(`link to ${name}`));
    const { mode } = lstatSync(at(name));
    assert.throws(() => setOwnMode(at(`link to ${name}`), 0o777), { code: 'ELOOP' });
    assert.equal(lstatSync(at(name)).mode, mode);
    setOwnMode(at(name), 0o770);
    assert.equal(lstatSync(at(name)).mode & 0o777, 0o770);
  }
});

test('after a gap, changes are made only where the place is still ours; once it is not, none ever is', (t) => {
  const [ours, others] = [scratch(t), scratch(t)];
  const at = (name: string): string => join(ours, name);
  for (const name of ['file', 'x.2']) writeFileSync(at(name), 'as it was');
  mkdirSync(at('folder'));
  let asked = 0;
  let answer = true;
  t.after(guardChanges(ours, () => (asked++, answer)));
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  createExclusive(at('a'), '');
  const before = asked;
  createExclusive(at('b'), '');
  assert.equal(asked, before, 'without a gap nobody is asked');
  answer = false;
  t.mock.timers.tick(60_000);
  const names = readdirSync(ours);
  const changes: (() => unknown)[] = [
    () => createExclusive(at('new'), ''),
    () => claimLink('x', at('new')),
    () => linkExclusive(at('file'), at('new')),
    () => publish(at('new'), ''),
    () => replaceWhole(at('file'), ''),
    () => replaceDurably(at('file'), ''),
    () => overwrite(at('file'), ''),
    () => moveIfFree(at('file'), at('new')),
    () => moveByLink(at('file'), at('new')),
    () => remove(at('file')),
    () => removeTree(at('folder')),
    () => removeEmptyFolder(at('folder')),
    () => renameFolder(at('folder'), at('new')),
    () => renameUnreadable(ours, Buffer.from('file'), 'new'),
    () => setMode(at('file'), 0o777),
    () => setOwnMode(at('file'), 0o777),
    () => createFolder(at('new')),
    () => ensureFolder(at('new')),
    () => sweepReplaced(at('x')),
  ];
  writeFileSync(at('x.3'), '');
  names.push('x.3');
  for (const change of changes) assert.throws(change, { code: 'ESTALE' }, String(change));
  answer = true; // whoever lost his place does not get it back
  assert.throws(() => createExclusive(at('new'), ''), { code: 'ESTALE' });
  assert.deepEqual(readdirSync(ours).sort(), names.sort());
  assert.equal(text(at('file')), 'as it was');
  createExclusive(join(others, 'new'), '');
});
