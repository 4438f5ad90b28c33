import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { JobLayout } from '../../src/protocol/layout.ts';
import {
  type Drop,
  fileStamp,
  foldersHolding,
  freeRejectedName,
  idsIn,
  MAX_BUNDLE_BYTES,
  MAX_TASK_BYTES,
  readBundleText,
  readDrop,
  reject,
  renameUnreadableNames,
  skip,
} from '../../src/store/tasks.ts';
import { isRoot, scratch, scratchStateDir } from '../helpers/scratch.ts';

const OWNERS = new Set([process.getuid?.() ?? 0]);
const needsRoot = isRoot ? false : 'needs root, to give files to others';

function reasonOf(drop: Drop): string {
  assert.ok(drop.kind === 'refused' || drop.kind === 'unfinished', JSON.stringify(drop));
  return drop.reason;
}

test('a task file is read with its text and its age', (t) => {
  const path = join(scratch(t), 'x.json');
  assert.deepEqual(readDrop(path, OWNERS), { kind: 'missing' });
  assert.deepEqual(readDrop(join(path, 'y.json'), OWNERS), { kind: 'missing' });
  writeFileSync(path, '{"command": ["é"]}\n');
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  const drop = readDrop(path, OWNERS);
  assert.deepEqual(drop, {
    kind: 'json',
    value: { command: ['é'] },
    text: '{"command": ["é"]}\n',
    stamp: fileStamp(path),
    queuedAt: 1_700_000_000_000,
  });
});

/** Whatever can lie under a task's name and is none. */
const STRANGE: [
  what: string,
  make: (path: string, t: TestContext) => void | Promise<void>,
  kind: Drop['kind'],
  words: RegExp,
][] = [
  ['a folder', (path) => mkdirSync(path), 'refused', /folder/],
  ['a FIFO that nobody writes to', (path) => void spawnSync('mkfifo', [path]), 'refused', /FIFO/],
  ['a link to a file', (path) => symlinkSync('/etc/passwd', path), 'refused', /symbolic link.*copy the file/],
  ['a link to nothing', (path) => symlinkSync('nowhere', path), 'refused', /symbolic link/],
  ['a link to itself', (path) => symlinkSync(path, path), 'refused', /symbolic link/],
  [
    'a socket',
    async (path, t) => {
      const server = createServer();
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(path, resolve));
    },
    'refused',
    /socket/,
  ],
  [
    'a file that everybody may write to',
    (path) => (writeFileSync(path, '{}'), chmodSync(path, 0o666)),
    'refused',
    /every user.*chmod o-w/,
  ],
  [
    'a hard link',
    (path) => (writeFileSync(`${path}.other`, '{}'), linkSync(`${path}.other`, path)),
    'unfinished',
    /second name/,
  ],
  ['an empty file', (path) => writeFileSync(path, ''), 'unfinished', /JSON/],
  ['half a file', (path) => writeFileSync(path, '{"command": ["ec'), 'unfinished', /JSON/],
  [
    'a key twice',
    (path) => writeFileSync(path, '{"retry": 1,\n "retry": 2}'),
    'unfinished',
    /retry.*twice.*line 2 column 2/,
  ],
  ['no JSON', (path) => writeFileSync(path, 'echo hi\n'), 'unfinished', /JSON/],
  ['what is neither JSON nor UTF-8', (path) => writeFileSync(path, Buffer.from([0xff, 0xfe])), 'unfinished', /UTF-8/],
  ['invalid UTF-8', (path) => writeFileSync(path, Buffer.from('{"command": "\xff"}', 'latin1')), 'unfinished', /UTF-8/],
  [
    'half of a UTF-8 character',
    (path) => writeFileSync(path, Buffer.from('{"command": "\xc3"}', 'latin1')),
    'unfinished',
    /UTF-8/,
  ],
  ['a sparse file of 100 GB', (path) => void spawnSync('truncate', ['-s', '100G', path]), 'refused', /1 MB.*64 MB/],
];

for (const [what, make, kind, words] of STRANGE) {
  test(`${what} under a task's name is told for what it is, and nothing waits for it`, async (t) => {
    const path = join(scratch(t), 'x.json');
    await make(path, t);
    const drop = readDrop(path, OWNERS);
    assert.equal(drop.kind, kind);
    assert.match(reasonOf(drop), words);
    assert.equal((drop as { stamp: string }).stamp, fileStamp(path), 'it is told apart from itself unchanged');
  });
}

test('a file of another user is refused, unless that user is trusted', { skip: needsRoot }, (t) => {
  const path = join(scratch(t), 'x.json');
  writeFileSync(path, '{}');
  chownSync(path, 12345, 12345);
  assert.match(reasonOf(readDrop(path, OWNERS)), /belongs to user 12345.*allowed_owners/);
  assert.throws(() => readBundleText(path, OWNERS), { code: 'BUNDLE_STRANGE', message: /12345/ });
  assert.equal(readDrop(path, new Set([...OWNERS, 12345])).kind, 'json');
});

test('a device is refused and not read', { skip: needsRoot }, (t) => {
  const path = join(scratch(t), 'x.json');
  const { status } = spawnSync('mknod', [path, 'c', '1', '5']); // endless zeros
  if (status !== 0) return t.skip('this root may make no devices');
  assert.match(reasonOf(readDrop(path, OWNERS)), /device/);
});

test('a replacement character that was written as one is text like any other', (t) => {
  const path = join(scratch(t), 'x.json');
  writeFileSync(path, '{"command": "\uFFFD"}');
  assert.equal(readDrop(path, OWNERS).kind, 'json');
});

test('an array, and whatever is too large for a task, is for the worker that spreads bundles', (t) => {
  const path = join(scratch(t), 'x.json');
  for (const text of ['[]', '[{"id": "a"}]', ' '.repeat(MAX_TASK_BYTES + 1)]) {
    writeFileSync(path, text);
    assert.deepEqual(readDrop(path, OWNERS), { kind: 'bundle', stamp: fileStamp(path), bytes: text.length });
    assert.equal(readBundleText(path, OWNERS), text);
  }
  writeFileSync(path, `"${' '.repeat(MAX_TASK_BYTES - 2)}"`);
  assert.equal(readDrop(path, OWNERS).kind, 'json');
  assert.equal(MAX_BUNDLE_BYTES, 64 * 1024 * 1024);
});

function job(t: TestContext): JobLayout {
  const layout = scratchStateDir(t).job('demo');
  for (const state of ['pending', 'failed'] as const) mkdirSync(layout.folder(state), { recursive: true });
  return layout;
}

const text = (path: string): string => readFileSync(path, 'utf8');

test('a rejected file lies in rejected/ with its reason beside it; a second one of its name gets a number, and the first stays', (t) => {
  const layout = job(t);
  for (const [n, name] of ['x', 'x.2', 'x.3'].entries()) {
    writeFileSync(layout.task('pending', 'x'), `content ${n}`);
    assert.equal(freeRejectedName(layout, 'x'), name);
    assert.equal(reject(layout, layout.task('pending', 'x'), 'x', `reason ${n}`), name);
  }
  assert.deepEqual(readdirSync(layout.folder('pending')), []);
  for (const [n, name] of ['x', 'x.2', 'x.3'].entries()) {
    assert.equal(text(layout.task('rejected', name)), `content ${n}`);
    assert.equal(text(layout.rejection(name)), `reason ${n}\n`);
  }
});

test('a name in rejected/ is found however many have it, and whichever of them are gone', (t) => {
  const layout = job(t);
  mkdirSync(layout.folder('rejected'), { recursive: true });
  const put = (name: string): void => writeFileSync(layout.task('rejected', name), '');
  put('x');
  for (let n = 2; n <= 40; n++) {
    assert.equal(freeRejectedName(layout, 'x'), `x.${n}`);
    put(`x.${n}`);
  }
  for (const n of [2, 16, 17, 40]) rmSync(layout.task('rejected', `x.${n}`));
  for (let n = 0; n < 10; n++) {
    const free = freeRejectedName(layout, 'x');
    assert.ok(!existsSync(layout.task('rejected', free)), free);
    put(free);
  }
});

test('a reason that a crash left without its file is written anew with the next file of that name', (t) => {
  const layout = job(t);
  mkdirSync(layout.folder('rejected'));
  writeFileSync(layout.rejection('x'), 'of a file that was never moved, and much longer than the next\n');
  writeFileSync(layout.task('pending', 'x'), 'content');
  assert.equal(reject(layout, layout.task('pending', 'x'), 'x', 'new'), 'x');
  assert.equal(text(layout.rejection('x')), 'new\n');
});

test('when the file is gone by then, no reason is left without a file', (t) => {
  const layout = job(t);
  assert.equal(reject(layout, layout.task('pending', 'x'), 'x', 'reason'), undefined);
  assert.deepEqual(readdirSync(layout.folder('rejected')), []);
});

test('at no moment does a file lie in rejected/ without its reason, nor a task in skipped/', (t) => {
  const layout = job(t);
  for (const folder of ['rejected', 'skipped'] as const) {
    mkdirSync(layout.folder(folder));
    const trace = spawnSync('strace', ['-V']).status === 0;
    if (!trace) return t.skip('needs strace, to see the order of system calls');
    writeFileSync(layout.task('pending', 'x'), '{}');
    const url = new URL('../../src/store/tasks.js', import.meta.url).href;
    const layoutUrl = new URL('../../src/protocol/layout.js', import.meta.url).href;
    const act = folder === 'rejected' ? `reject(job, job.task('pending', 'x'), 'x', 'why')` : `skip(job, 'x', 'why')`;
    const script = `const { reject, skip } = await import(${JSON.stringify(url)}); const { JobLayout } = await import(${JSON.stringify(layoutUrl)}); const job = new JobLayout(${JSON.stringify(layout.root)}); ${act};`;
    const { stderr } = spawnSync(
      'strace',
      [
        '-f',
        '-e',
        'trace=open,openat,rename,renameat,renameat2,link,linkat',
        process.execPath,
        '--input-type=module',
        '-e',
        script,
      ],
      { encoding: 'utf8' },
    );
    const reason = stderr.search(/open.*\.(error|reason)\.txt/);
    const move = stderr.search(/(rename|link).*x\.json/);
    assert.ok(reason >= 0 && move > reason, stderr);
  }
});

test('a skipped task lies in skipped/ with its cause; nothing that is there is overwritten', (t) => {
  const layout = job(t);
  assert.equal(skip(layout, 'x', 'cause: failed/a.json\n'), 'missing');
  assert.equal(existsSync(layout.reason('x')), false);
  writeFileSync(layout.task('pending', 'x'), 'one');
  assert.equal(skip(layout, 'x', 'cause: failed/a.json\n'), 'moved');
  assert.equal(text(layout.reason('x')), 'cause: failed/a.json\n');
  writeFileSync(layout.task('pending', 'x'), 'two');
  assert.equal(skip(layout, 'x', 'cause: failed/b.json\n'), 'exists');
  assert.equal(text(layout.task('skipped', 'x')), 'one');
});

test('an id that lies in several folders is told with all of them, by precedence', (t) => {
  const layout = job(t);
  assert.deepEqual(foldersHolding(layout, 'x'), []);
  for (const state of ['pending', 'skipped', 'running', 'succeeded', 'rejected'] as const) {
    mkdirSync(layout.folder(state), { recursive: true });
    writeFileSync(layout.task(state, 'x'), '{}');
  }
  assert.deepEqual(foldersHolding(layout, 'x'), ['running', 'succeeded', 'skipped', 'pending']);
});

test('only whole names that end in .json are tasks', (t) => {
  const folder = scratch(t);
  for (const name of ['a.json', 'b.c.json', '.d.json', 'e.yaml', 'f.json.held']) writeFileSync(join(folder, name), '');
  assert.deepEqual(idsIn(folder).sort(), ['a', 'b.c']);
  assert.deepEqual(idsIn(join(folder, 'absent')), []);
});

test('drops whose names are no text are given names that are, and nothing is overwritten by it', (t) => {
  const folder = scratch(t);
  const odd = (...bytes: number[]) =>
    Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(bytes), Buffer.from('.json')]);
  writeFileSync(odd(0x78, 0xff), 'first');
  assert.deepEqual([...renameUnreadableNames(folder)], ['not-utf8-x_.json']);
  assert.deepEqual([...renameUnreadableNames(folder)], []);
  writeFileSync(odd(0x78, 0xfe), 'second');
  renameUnreadableNames(folder);
  assert.equal(text(join(folder, 'not-utf8-x_.json')), 'first');
  assert.equal(readdirSync(folder).length, 2);
});

test('the stamp of a file changes with its content, its time, its rights, its names, and when another takes its place', (t) => {
  const folder = scratch(t);
  const path = join(folder, 'x');
  assert.equal(fileStamp(path), undefined);
  writeFileSync(path, 'a');
  const stamps = [fileStamp(path)];
  for (const change of [
    () => writeFileSync(path, 'ab'),
    () => utimesSync(path, 1, 1),
    () => chmodSync(path, 0o640),
    () => linkSync(path, `${path}2`),
    () => (writeFileSync(join(folder, 'y'), 'ab'), spawnSync('mv', [join(folder, 'y'), path])),
  ]) {
    change();
    stamps.push(fileStamp(path));
  }
  assert.equal(new Set(stamps).size, stamps.length, stamps.join('\n'));
  assert.ok(statSync(path).isFile());
});
