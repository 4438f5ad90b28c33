import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from './protocol/root.ts';

/** Folder of src → the folders it may import from, besides itself, errors.ts and version.ts. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  host: [],
  protocol: [],
  scheduler: ['protocol'],
  store: ['protocol', 'host'],
  runner: ['protocol', 'host'],
  cache: ['protocol', 'host'],
  daemon: ['protocol', 'host', 'store', 'scheduler', 'runner', 'cache'],
  client: ['protocol', 'host', 'store', 'scheduler'],
  cli: ['client', 'protocol'],
  dashboard: ['client', 'protocol'],
};

/** The files of cli/ that may reach the daemon: those that serve a directory, `doctor --fix` for a moment. */
const REACH_THE_DAEMON = ['cli/start.ts', 'cli/run.ts', 'cli/doctor.ts'];

/** File → what it does to the disk by itself, not by host/atomic.ts. */
const WRITES: Record<string, readonly string[]> = {
  'host/aside.ts': ['fsync', 'renameSync'], // the sync is not waited for by the loop
  'store/events.ts': ['openSync', 'renameSync', 'writeSync'], // appends lines, rotates
  'client/numbers.ts': ['renameSync'], // taking a number is one rename, which one of many can do
  'client/run.ts': ['mkdtempSync'], // a private place, under a name that nobody else has
  'client/prove-ground.ts': ['mkdtempSync'], // the scratch directory
  'client/edit.ts': ['mkdtempSync'], // the copy that an editor is given
};

/** File → the clock that it reads by itself, not by host/clock.ts. */
const CLOCKS: Record<string, readonly string[]> = {
  'cli/status.ts': ['Date.now'], // ages that a person reads; cli/ may not import host/
  'cli/why.ts': ['Date.now'], // the same
  'cli/prove.ts': ['Date.now'], // a seed, where none is given
  'cli/watch.ts': ['performance.now'], // how often the screen is drawn
};

const LONGEST_FILE = 450;

interface Source {
  path: string;
  text: string;
  /** Without comments. */
  code: string;
}

const root = join(projectRoot(), 'src');
const sources: Source[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .sort()
  .map((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return { path, text, code: text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '') };
  });

/** What a file imports of this project, by any of the ways there are: types too. */
function importsOf({ path, code }: Source): string[] {
  const names = [
    ...code.matchAll(/\bfrom\s+'(\.[^']+)'/g),
    ...code.matchAll(/\bimport\s+'(\.[^']+)'/g),
    ...code.matchAll(/\bimport\(\s*'(\.[^']+)'\s*\)/g),
    ...code.matchAll(/\bnew URL\(\s*'(\.[^']+\.[jt]sx?)'/g),
  ];
  return names.map((match) => relative(root, join(root, dirname(path), match[1] as string)).replace(/\.js$/, '.ts'));
}

const folderOf = (path: string): string => (path.includes('/') ? (path.split('/')[0] as string) : '');

test('no file imports against the table of who may know whom', () => {
  const wrong = sources.flatMap((source) => {
    const from = folderOf(source.path);
    const allowed = MAY_IMPORT[from] ?? [];
    const known = source.path.includes('/') ? from in MAY_IMPORT : true;
    const bad = importsOf(source).filter((path) => {
      const to = folderOf(path);
      if (to === from || path === 'errors.ts' || path === 'version.ts') return false;
      if (to === 'daemon' && REACH_THE_DAEMON.includes(source.path)) return false;
      return !allowed.includes(to);
    });
    return [
      ...(known ? [] : [`${source.path}: a folder the table does not know`]),
      ...bad.map((path) => `${source.path} → ${path}`),
    ];
  });
  assert.deepEqual(wrong, []);
  assert.ok(sources.length > 60 && sources.flatMap(importsOf).length > 200, 'the imports are found at all');
});

test('every import of this project names a file that is there', () => {
  const paths = new Set(sources.map((source) => source.path));
  const dangling = sources.flatMap((source) =>
    importsOf(source).flatMap((path) => (paths.has(path) ? [] : `${source.path} → ${path}`)),
  );
  assert.deepEqual(dangling, []);
});

test('no two folders import each other, by whatever way round', () => {
  const arrows = new Map<string, Set<string>>();
  for (const source of sources) {
    const from = folderOf(source.path);
    const to = arrows.get(from) ?? new Set<string>();
    for (const path of importsOf(source)) if (folderOf(path) !== from) to.add(folderOf(path));
    arrows.set(from, to);
  }
  const below = (folder: string, seen: Set<string>): Set<string> => {
    for (const to of arrows.get(folder) ?? []) {
      if (seen.has(to)) continue;
      seen.add(to);
      below(to, seen);
    }
    return seen;
  };
  assert.deepEqual(
    [...arrows.keys()].filter((folder) => below(folder, new Set()).has(folder)),
    [],
  );
});

test('only host/atomic.ts changes a disk, but for a few calls that are listed', () => {
  const changes =
    /^(appendFile|chmod|chown|copyFile|cp|createWriteStream|fchmod|fchown|fdatasync|fsync|ftruncate|futimes|lchown|link|lutimes|mkdir|mkdtemp|rename|rm|rmdir|symlink|truncate|unlink|utimes|write|writeFile|writev)(Sync)?$/;
  const found: Record<string, string[]> = {};
  for (const { path, code } of sources) {
    if (path === 'host/atomic.ts') continue;
    assert.doesNotMatch(
      code,
      /from '(node:)?fs\/promises'|from 'fs'|import (\* as )?\w+ from 'node:fs'/,
      `${path}: import the functions of node:fs by name`,
    );
    const names = [...code.matchAll(/import\s*\{([^}]*)\}\s*from 'node:fs'/g)].flatMap((match) =>
      (match[1] as string).split(',').map((name) => name.trim().replace(/\s+as\s.*/, '')),
    );
    const writes = names.filter((name) => changes.test(name));
    const opens = [...code.matchAll(/\bopen(?:Sync)?\([^,()]+,\s*([^)]*)\)/g)].map((match) => match[1] as string);
    if (names.includes('openSync') && opens.some((flags) => !/^'r'|^constants\.O_RDONLY/.test(flags)))
      writes.push('openSync');
    if (writes.length > 0) found[path] = writes.sort();
  }
  assert.deepEqual(found, WRITES);
});

test('only host/clock.ts reads a clock, but for a few calls that are listed', () => {
  const found: Record<string, string[]> = {};
  for (const { path, code } of sources) {
    if (path === 'host/clock.ts') continue;
    const clocks = [
      ...code.matchAll(/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bhrtime\b|\bos\.uptime\b/g),
    ].map(([clock]) => clock);
    if (/import\s*\{[^}]*\buptime\b[^}]*\}\s*from 'node:os'/.test(code)) clocks.push('os.uptime');
    if (clocks.length > 0) found[path] = [...new Set(clocks)].sort();
  }
  assert.deepEqual(found, CLOCKS);
});

test('protocol and scheduler are pure: no file system, no process, no clock, no chance', () => {
  const impure = sources
    .filter(({ path }) => /^(protocol|scheduler)\//.test(path))
    .filter(({ code }) => /from 'node:(?!path|util)|\bprocess\.|Math\.random|setTimeout|setInterval/.test(code))
    .map(({ path }) => path);
  assert.deepEqual(impure, []);
});

test('the verbs that only look load no library of schemas, no YAML and no daemon', () => {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set(['cli/look.ts']);
  for (const path of reached) {
    const { code = '', ...source } = byPath.get(path) ?? {};
    const withoutTypes = code.replaceAll(/^import type [\s\S]*?;$/gm, '');
    for (const to of importsOf({ path, text: '', ...source, code: withoutTypes })) reached.add(to);
    assert.doesNotMatch(withoutTypes, /from '(zod|yaml|ink|react|proper-lockfile)'/, path);
  }
  assert.ok(reached.has('client/status.ts') && reached.size > 30, [...reached].join());
});

test('every file opens with what it is for, and none is too long to be read at one go', () => {
  assert.deepEqual(
    sources.flatMap(({ path, text }) => (/^(\/\/ |\/\*\*)/.test(text) ? [] : path)),
    [],
  );
  assert.deepEqual(
    sources.flatMap(({ path, text }) => (text.split('\n').length > LONGEST_FILE ? path : [])),
    [],
  );
});
