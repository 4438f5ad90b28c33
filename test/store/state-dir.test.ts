import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SpooldError } from '../../src/errors.ts';
import { findStateDir, isStateDir, openStateDir, umaskOf } from '../../src/store/state-dir.ts';
import { isRoot, scratch } from '../helpers/scratch.ts';

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const needsRoot = isRoot ? false : 'needs root, to give files to others';

/** The error that opening gives, held to what every error must have. */
function refusal(path: string, create = true): SpooldError {
  try {
    openStateDir(path, { create });
  } catch (error) {
    assert.ok(error instanceof SpooldError, String(error));
    assert.ok(error.hint !== undefined && error.message.includes(path), `${error.message} / ${error.hint}`);
    return error;
  }
  return assert.fail(`${path} was opened`);
}

test('--dir wins over $SPOOLD_DIR, that over the nearest .spoold/, that over $XDG_STATE_HOME, that over ~/.local/state', (t) => {
  const home = scratch(t);
  const cwd = join(home, 'project', 'deep');
  mkdirSync(cwd, { recursive: true });
  const env = { HOME: home, XDG_STATE_HOME: join(home, 'xdg'), SPOOLD_DIR: 'named' };
  mkdirSync(join(home, 'project', '.spoold'));
  assert.equal(findStateDir({ dir: 'said', env, cwd }), join(cwd, 'said'));
  assert.throws(() => findStateDir({ dir: '', env, cwd }), { code: 'STATE_DIR_UNNAMED', exit: 2 }); // a variable that is not set
  assert.equal(findStateDir({ env, cwd }), join(cwd, 'named'));
  assert.equal(findStateDir({ env: { ...env, SPOOLD_DIR: '' }, cwd }), join(home, 'project', '.spoold'));
  mkdirSync(join(cwd, '.spoold'));
  assert.equal(findStateDir({ env: { ...env, SPOOLD_DIR: '' }, cwd }), join(cwd, '.spoold'));
  for (const folder of [join(cwd, '.spoold'), join(home, 'project', '.spoold')]) rmSync(folder, { recursive: true });
  assert.equal(findStateDir({ env: { ...env, SPOOLD_DIR: '' }, cwd }), join(home, 'xdg', 'spoold'));
  assert.equal(findStateDir({ env: { HOME: home }, cwd }), join(home, '.local', 'state', 'spoold'));
});

test('a .spoold that is a file, a link, or of another user is passed over', { skip: needsRoot }, (t) => {
  const home = scratch(t);
  const path = (...parts: string[]): string => join(home, ...parts);
  mkdirSync(path('a', 'b', 'c', 'd'), { recursive: true });
  mkdirSync(path('.spoold'));
  const found = (): string => findStateDir({ env: { HOME: home }, cwd: path('a', 'b', 'c', 'd') });
  writeFileSync(path('a', 'b', 'c', '.spoold'), '');
  symlinkSync(path('.spoold'), path('a', 'b', '.spoold'));
  mkdirSync(path('a', '.spoold'));
  assert.equal(found(), path('a', '.spoold'));
  chownSync(path('a', '.spoold'), 12345, 12345);
  assert.equal(found(), path('.spoold'));
});

test('a new state directory is closed to others, whatever the umask, and keeps itself out of git but for config.yaml', (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const dir = join(scratch(t), 'made', 'above', 'state');
  const layout = openStateDir(dir, { create: true });
  assert.equal(mode(dir), '700');
  assert.equal(readFileSync(layout.version, 'utf8'), '1\n');
  assert.equal(readFileSync(layout.gitignore, 'utf8'), '*\n!config.yaml\n');
  assert.ok(statSync(layout.jobs).isDirectory());
  assert.equal(isStateDir(dir), true);
});

test('one that a crash left half made is made again, and a folder with a config.yaml in it becomes one', (t) => {
  const dir = join(scratch(t), 'state');
  mkdirSync(join(dir, 'jobs'), { recursive: true });
  writeFileSync(join(dir, '.gitignore'), 'mine');
  writeFileSync(join(dir, 'config.yaml'), 'max_parallel: 2');
  const layout = openStateDir(dir, { create: true });
  assert.equal(readFileSync(layout.version, 'utf8'), '1\n');
  assert.equal(readFileSync(layout.gitignore, 'utf8'), 'mine');
  assert.equal(readFileSync(layout.config, 'utf8'), 'max_parallel: 2');
});

test('opening one that is there changes nothing in it, and gives its real place', (t) => {
  const home = scratch(t);
  const dir = join(home, 'state');
  openStateDir(dir, { create: true });
  chmodSync(dir, 0o750);
  symlinkSync(dir, join(home, 'link'));
  assert.equal(openStateDir(join(home, 'link'), { create: true }).root, realpathSync(dir));
  assert.equal(mode(dir), '750');
});

test('where there is none and none is to be made, it says how to make one', (t) => {
  const dir = join(scratch(t), 'state');
  const error = refusal(dir, false);
  assert.equal(error.code, 'STATE_DIR_MISSING');
  assert.match(error.hint ?? '', /spoold init/);
  assert.equal(isStateDir(dir), false);
});

test('a file in its place is named', (t) => {
  const path = join(scratch(t), 'state');
  writeFileSync(path, 'x');
  assert.equal(refusal(path).code, 'STATE_DIR_NO_FOLDER');
  assert.equal(refusal(path, false).code, 'STATE_DIR_NO_FOLDER');
  assert.equal(refusal(join(path, 'below')).code, 'STATE_DIR_UNWRITABLE');
  assert.equal(readFileSync(path, 'utf8'), 'x');
});

test('one whose folders lie elsewhere is refused', (t) => {
  const home = scratch(t);
  const dir = join(home, 'state');
  const layout = openStateDir(dir, { create: true });
  mkdirSync(join(home, 'elsewhere'));
  for (const path of [layout.jobs, layout.env]) {
    rmSync(path, { recursive: true, force: true });
    symlinkSync(join(home, 'elsewhere'), path);
    assert.match(refusal(dir).message, /is a link: it should be a folder/);
    rmSync(path);
    assert.equal(openStateDir(dir, { create: false }).root, layout.root);
  }
});

test('a newer version is refused and not rewritten, and so is one that says anything else', (t) => {
  const dir = join(scratch(t), 'state');
  const { version } = openStateDir(dir, { create: true });
  for (const [text, words] of [
    ['2\n', /names format 2; this spoold knows format 1/],
    ['', /is empty/],
    [' \0\n', /is empty/],
    ['v1', /says "v1"/],
    ['one', /says "one"/],
    ['1 2', /says "1 2"/],
  ] as const) {
    writeFileSync(version, text);
    const error = refusal(dir);
    assert.equal(error.code, 'STATE_DIR_VERSION');
    assert.match(error.message, words);
    assert.equal(readFileSync(version, 'utf8'), text);
  }
  rmSync(version);
  execFileSync('mkfifo', [version]);
  assert.match(refusal(dir).message, /VERSION should say 1, and cannot be read: EINVAL: it is no file/); // and it is not waited for
});

test('one that every user may write to is refused, with the command that closes it', (t) => {
  const dir = join(scratch(t), 'state');
  openStateDir(dir, { create: true });
  chmodSync(dir, 0o707);
  const error = refusal(dir);
  assert.equal(error.code, 'STATE_DIR_OPEN');
  assert.equal(error.hint?.includes(`chmod o-rwx ${dir}`), true);
  assert.equal(mode(dir), '707');
});

test('one of another user is refused', { skip: needsRoot }, (t) => {
  const dir = join(scratch(t), 'state');
  openStateDir(dir, { create: true });
  chownSync(dir, 12345, 12345);
  const error = refusal(dir);
  assert.equal(error.code, 'STATE_DIR_OWNER');
  assert.match(error.message, /belongs to user 12345, and you are 0/);
});

test('an empty folder of another user, or one open to all, is not taken over', { skip: needsRoot }, (t) => {
  const home = scratch(t);
  const [foreign, open] = [join(home, 'foreign'), join(home, 'open')];
  mkdirSync(foreign);
  chownSync(foreign, 12345, 12345);
  mkdirSync(open);
  chmodSync(open, 0o777);
  assert.equal(refusal(foreign).code, 'STATE_DIR_OWNER');
  assert.equal(refusal(open).code, 'STATE_DIR_OPEN');
  assert.deepEqual([isStateDir(foreign), isStateDir(open)], [false, false]);
});

test('what is made in it is closed to others, and open to the group as far as the directory is', (t) => {
  const dir = join(scratch(t), 'state');
  openStateDir(dir, { create: true });
  for (const [rights, umask] of [
    [0o700, 0o077],
    [0o770, 0o007],
    [0o750, 0o027],
    [0o755, 0o027],
  ] as const) {
    chmodSync(dir, rights);
    assert.equal(umaskOf(dir).toString(8), umask.toString(8));
  }
});
