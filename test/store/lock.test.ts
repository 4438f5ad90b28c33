import assert from 'node:assert/strict';
import { type ChildProcess, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeAside } from '../../src/host/aside.ts';
import { sweepUnfinished } from '../../src/host/atomic.ts';
import { ownIdentity, type ProcessIdentity } from '../../src/host/identity.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { type DaemonRecord, daemonOf, LOCK_STALE_MS } from '../../src/store/daemon-record.ts';
import { acquireLock, type Lock } from '../../src/store/lock.ts';
import { endOf, forkModule, scratch, scratchStateDir } from '../helpers/scratch.ts';

type Answer = { kind: 'held'; takenByAge: boolean; isOurs: boolean } | { kind: 'busy'; pid?: number };

/** Another process that tries to take the directory, and what came of it. */
async function taker(
  t: TestContext,
  layout: Layout,
  under: string[] = [],
): Promise<{ child: ChildProcess; answer: Answer }> {
  const child = forkModule(t, new URL('lock-holder.js', import.meta.url), [layout.root], under);
  const answer = await new Promise<Answer>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Answer));
    child.once('exit', (code, signal) => reject(new Error(`it ended without a word: ${code ?? signal}`)));
  });
  return { child, answer };
}

const now = () => new Date().toISOString();
const take = (layout: Layout) => acquireLock(layout, ownIdentity(), 'test', now, () => undefined);

async function hold(t: TestContext, layout: Layout): Promise<Lock> {
  const taken = await take(layout);
  assert.equal(taken.kind, 'held');
  const { lock } = taken as { lock: Lock };
  t.after(() => lock.free());
  return lock;
}

const record = (layout: Layout): DaemonRecord => JSON.parse(readFileSync(layout.daemon, 'utf8')) as DaemonRecord;

/** A lock that a daemon elsewhere, or long ago, has left; `age` in milliseconds. */
function leaveLock(layout: Layout, identity: ProcessIdentity, age: number): void {
  mkdirSync(layout.lock);
  const then = (Date.now() - age) / 1000;
  utimesSync(layout.lock, then, then);
  const directory = String(statSync(layout.root, { bigint: true }).ino);
  writeFileSync(
    layout.daemon,
    JSON.stringify({ identity, directory, version: 'test', started_at: now(), heartbeat_at: now(), serving: true }),
  );
}

test('one daemon has the directory; another is told which', async (t) => {
  const layout = scratchStateDir(t);
  assert.deepEqual(daemonOf(layout), { kind: 'stopped' });
  const { child, answer } = await taker(t, layout);
  assert.deepEqual(answer, { kind: 'held', takenByAge: false, isOurs: true });
  const state = daemonOf(layout);
  assert.equal(state.kind, 'running');
  assert.equal(state.record?.identity.pid, child.pid);
  const second = await take(layout);
  assert.equal(second.kind, 'busy');
  assert.equal(second.kind === 'busy' && second.record?.identity.pid, child.pid);
});

test('a directory that was given back is free at once', async (t) => {
  const layout = scratchStateDir(t);
  const { child } = await taker(t, layout);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.send('free');
  await ended;
  assert.equal(daemonOf(layout).kind, 'stopped');
  assert.equal(existsSync(layout.lock), false);
  assert.equal((await hold(t, layout)).takenByAge, false);
});

test('after a kill -9 the next one has it at once, not when the lock is old', async (t) => {
  const layout = scratchStateDir(t);
  for (let round = 0; round < 3; round++) {
    const { child, answer } = await taker(t, layout);
    assert.deepEqual(answer, { kind: 'held', takenByAge: false, isOurs: true });
    await endOf(child, 'SIGKILL');
    const never = Date.now() / 1000 + 1e6;
    utimesSync(layout.lock, never, never); // the killed one left it; what waits for it to grow old waits for days
    assert.equal(daemonOf(layout).kind, 'stopped');
  }
});

test('of three started at once, also over the lock of a killed one, one has it and the others name it', async (t) => {
  const layout = scratchStateDir(t);
  const first = await taker(t, layout);
  await endOf(first.child, 'SIGKILL');
  const three = await Promise.all([1, 2, 3].map(() => taker(t, layout)));
  const [holder, ...more] = three.filter(({ answer }) => answer.kind === 'held');
  assert.ok(holder !== undefined && more.length === 0, JSON.stringify(three.map(({ answer }) => answer)));
  assert.equal(record(layout).identity.pid, holder.child.pid);
});

test('a stopped daemon (Ctrl-Z) keeps its directory, however old its lock has grown', async (t) => {
  const layout = scratchStateDir(t);
  const { child } = await taker(t, layout);
  child.kill('SIGSTOP');
  const then = (Date.now() - 10 * LOCK_STALE_MS) / 1000;
  utimesSync(layout.lock, then, then);
  const second = await take(layout);
  assert.equal(second.kind, 'busy');
  assert.equal(record(layout).identity.pid, child.pid);
  assert.equal(existsSync(layout.lock), true);
});

/** A network namespace of one's own, in which our abstract sockets are not to be seen: root makes one. */
const APART = ['unshare', '--net'];
const canUnshare = spawnSync(APART[0] as string, [...APART.slice(1), 'true']).status === 0;

test('a living daemon in another network namespace keeps its directory, however old its lock has grown', {
  skip: canUnshare ? false : 'needs the right to make a network namespace',
}, async (t) => {
  const layout = scratchStateDir(t);
  const { child, answer } = await taker(t, layout, APART);
  assert.equal(answer.kind, 'held');
  assert.equal((await take(layout)).kind, 'busy');
  child.kill('SIGSTOP');
  const then = (Date.now() - 10 * LOCK_STALE_MS) / 1000;
  utimesSync(layout.lock, then, then);
  assert.equal((await take(layout)).kind, 'busy');
  await endOf(child, 'SIGKILL');
  assert.equal((await hold(t, layout)).takenByAge, false);
});

test('a daemon.json copied with its directory speaks of another directory', async (t) => {
  const original = scratchStateDir(t);
  await hold(t, original);
  const copy = new Layout(join(scratch(t), 'copy'));
  cpSync(original.root, copy.root, { recursive: true });
  assert.equal(daemonOf(original).kind, 'running');
  assert.deepEqual(daemonOf(copy), { kind: 'stopped' });
});

test('a daemon of another host has the directory while its lock is young', (t) => {
  const layout = scratchStateDir(t);
  leaveLock(layout, { ...ownIdentity(), host: 'elsewhere', boot: 'another' }, 1000);
  assert.equal(daemonOf(layout).kind, 'elsewhere');
});

test('the lock of a daemon of another host is taken once it is old, and by age it is said', async (t) => {
  const layout = scratchStateDir(t);
  leaveLock(layout, { ...ownIdentity(), host: 'elsewhere', boot: 'another' }, LOCK_STALE_MS - 4000);
  assert.equal(daemonOf(layout).kind, 'elsewhere');
  const lock = await hold(t, layout);
  assert.equal(lock.takenByAge, true);
  assert.equal(lock.isOurs(), true);
});

test('an old lock of another host is taken at once, by age too', async (t) => {
  const layout = scratchStateDir(t);
  leaveLock(layout, { ...ownIdentity(), host: 'elsewhere', boot: 'another' }, LOCK_STALE_MS + 60_000);
  assert.equal(daemonOf(layout).kind, 'stopped');
  assert.equal((await hold(t, layout)).takenByAge, true);
});

test('the lock of an earlier boot is taken at once, for its holder is dead', async (t) => {
  const layout = scratchStateDir(t);
  leaveLock(layout, { ...ownIdentity(), boot: 'earlier' }, 1000);
  const lock = await hold(t, layout);
  assert.equal(lock.takenByAge, false);
});

test('the number of a dead daemon that another process has by now is not taken for it', async (t) => {
  const layout = scratchStateDir(t);
  const own = ownIdentity();
  leaveLock(layout, { ...own, startTicks: own.startTicks - 1 }, 1000);
  assert.equal(daemonOf(layout).kind, 'stopped');
  assert.equal((await hold(t, layout)).takenByAge, false);
});

test('a daemon.json that does not read is nobody, and is not taken for a daemon that runs', (t) => {
  const layout = scratchStateDir(t);
  for (const text of ['', '{', 'null', '[]', '{"identity": {}}', '{"identity": {"pid": "1"}}']) {
    writeFileSync(layout.daemon, text);
    assert.deepEqual(daemonOf(layout), { kind: 'stopped' }, text);
  }
});

test('a daemon knows when its lock is another one, and writes nothing any more; what daemon.json says decides nothing', async (t) => {
  const layout = scratchStateDir(t);
  const reasons: string[] = [];
  const taken = await acquireLock(layout, ownIdentity(), 'test', now, (reason) => reasons.push(reason));
  const { lock } = taken as { lock: Lock };
  t.after(() => lock.free());
  const { identity, ...rest } = record(layout);
  writeFileSync(layout.daemon, JSON.stringify({ ...rest, identity: { ...identity, host: 'elsewhere' } }));
  assert.equal(lock.isOurs(), true);
  lock.publish({ serving: true });
  assert.deepEqual([record(layout).serving, record(layout).identity, reasons], [true, identity, []]);

  rmdirSync(layout.lock);
  mkdirSync(layout.lock); // perhaps with the same inode
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 60_000 }); // it was frozen meanwhile
  assert.throws(() => lock.publish({ serving: false }), { code: 'ESTALE' });
  assert.equal(record(layout).serving, true);
  assert.ok(reasons.length > 0);
  await lock.free();
  assert.equal(existsSync(layout.lock), true, 'the lock of another is left');
});

test('what is published at once is not undone by what was on its way, and the last word is shown', async (t) => {
  const layout = scratchStateDir(t);
  const lock = await hold(t, layout);
  const onItsWay = lock.publishSoon({ version: 'on its way' });
  lock.publish({ version: 'at once' });
  await onItsWay;
  assert.equal(record(layout).version, 'at once');
  void lock.publishSoon({ version: 'on its way' });
  lock.publish({ version: 'at once' });
  await lock.publishSoon({ version: 'after both' });
  assert.equal(record(layout).version, 'after both');
  void lock.publishSoon({ version: 'soon', holding: 'kept' });
  assert.equal(record(layout).version, 'after both');
  await lock.publishSoon({ version: 'last' });
  assert.deepEqual([record(layout).version, record(layout).holding], ['last', 'kept']);
  assert.deepEqual(
    readdirSync(layout.root).filter((name) => name.startsWith('.') && name !== '.gitignore'),
    [],
  );
});

test('what was on its way when the directory was lost is not shown', async (t) => {
  const layout = scratchStateDir(t);
  const lock = await hold(t, layout);
  const onItsWay = lock.publishSoon({ version: 'on its way' });
  rmdirSync(layout.lock);
  await onItsWay.catch((error: NodeJS.ErrnoException) => assert.equal(error.code, 'ESTALE'));
  assert.equal(record(layout).version, 'test');
});

test('what cannot be written is told to who asked for it, and leaves nothing', async (t) => {
  const layout = scratchStateDir(t);
  const lock = await hold(t, layout);
  rmSync(layout.daemon);
  mkdirSync(join(layout.daemon, 'in the way'), { recursive: true });
  await assert.rejects(lock.publishSoon({ version: 'x' }), { code: 'EISDIR' });
  rmSync(layout.daemon, { recursive: true });
  await lock.publishSoon({ version: 'y' });
  assert.equal(record(layout).version, 'y');
});

test('a daemon that dies before it has swapped in what it wrote leaves the old word whole, and the next one sweeps the rest', async (t) => {
  const layout = scratchStateDir(t);
  const lock = await hold(t, layout);
  await writeAside(layout.daemon, '{"half');
  assert.equal(record(layout).version, 'test');
  const left = () => readdirSync(layout.root).filter((name) => name.startsWith('.new-'));
  assert.equal(left().length, 1);
  sweepUnfinished(layout.root, Date.now() + 3_600_000, 60);
  assert.deepEqual(left(), []);
  await lock.free();
});
