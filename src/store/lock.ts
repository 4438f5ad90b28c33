// One daemon per directory. Three things must agree: an abstract socket named by the directory (which `kill -9` frees at
// once, so starting again never waits), the lock folder with its age (which also holds across containers and hosts), and
// the identity in daemon.json (which tells a dead holder from a living one). Taking over happens only under the socket, is
// announced in daemon.json first, and takes away no lock but the one whose holder was judged: a socket is not seen everywhere.
import fs, { statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import lockfile from 'proper-lockfile';
import { errnoOf } from '../errors.ts';
import { writeAside } from '../host/aside.ts';
import { guardChanges, isThere, publish, remove, removeEmptyFolder, replaceDurably } from '../host/atomic.ts';
import { folderIdentity, livenessOf, type ProcessIdentity } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { type DaemonRecord, daemonOf, inodeOf, LOCK_STALE_MS, readDaemonRecord } from './daemon-record.ts';

const LOCK_UPDATE_MS = 5_000;

export class Lock {
  /** The lock was older than its staleness and its holder could not be judged: its attempts may be called lost. */
  readonly takenByAge: boolean;
  /** The daemon before this one was of another boot: of what it did, some may not have reached the disk. */
  readonly afterReboot: boolean;
  private readonly layout: Layout;
  private readonly socket: Server | undefined;
  private readonly held: Held;
  private readonly onLost: (reason: string) => void;
  private readonly endGuard: () => void;
  private record: DaemonRecord;
  /** How often the record was changed; which of them daemon.json shows. */
  private changes = 0;
  private shown = 0;
  private writing: Promise<void> | undefined;

  constructor(
    layout: Layout,
    record: DaemonRecord,
    takenByAge: boolean,
    socket: Server | undefined,
    held: Held,
    onLost: (reason: string) => void,
  ) {
    this.layout = layout;
    this.record = record;
    this.takenByAge = takenByAge;
    this.afterReboot = record.after_reboot ?? false;
    this.socket = socket;
    this.held = held;
    this.onLost = onLost;
    this.endGuard = guardChanges(layout.root, () => this.isOurs());
  }

  /** Rewrites daemon.json, and returns when the disk has it. */
  publish(change: Partial<DaemonRecord>): void {
    const number = this.change(change);
    replaceDurably(this.layout.daemon, recordText(this.record));
    this.shown = number;
  }

  /** As `publish`, but the loop goes on: a busy disk may take longer for it than a turn may. Never shows less than is shown by then. */
  publishSoon(change: Partial<DaemonRecord>): Promise<void> {
    this.change(change);
    this.writing ??= this.write().finally(() => (this.writing = undefined));
    return this.writing;
  }

  private change(change: Partial<DaemonRecord>): number {
    this.record = { ...this.record, ...change };
    return ++this.changes;
  }

  private async write(): Promise<void> {
    while (this.shown < this.changes) {
      const number = this.changes;
      const aside = await writeAside(this.layout.daemon, recordText(this.record));
      if (!this.isOurs()) return aside.discard();
      if (this.shown >= number) {
        aside.discard();
        continue;
      }
      aside.swapIn();
      this.shown = number;
    }
  }

  /**
   * False, and `onLost` is called, if the lock is another one than ours, or gone: somebody has taken our place, and not a
   * byte more may be written. A disk that does not answer says nothing. daemon.json decides nothing here: one who was frozen
   * while writing it may have the last word.
   */
  isOurs(): boolean {
    let ours = true;
    try {
      ours = folderIdentity(this.layout.lock) === this.held.id;
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
    if (!ours) this.onLost('daemon.lock is not the one that was taken');
    return ours;
  }

  /** Gives the directory back, if it is ours still. */
  async free(): Promise<void> {
    await this.writing?.catch(() => undefined);
    if (this.isOurs()) await this.held.release().catch(() => undefined);
    this.endGuard();
    this.socket?.close();
  }
}

/** The lock as it was taken. */
interface Held {
  id: string | undefined;
  release: () => Promise<void>;
}

function recordText(record: DaemonRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

export type LockAttempt = { kind: 'held'; lock: Lock } | { kind: 'busy'; record?: DaemonRecord };

/**
 * Takes the directory, or says who has it. A holder that is known to be dead is replaced at once, and so is the lock of
 * another directory, of which this one is a copy; one that cannot be judged (another host or container) only when its lock is LOCK_STALE_MS old, which this waits for.
 * `onLost` is called when the lock turns out to be somebody else's: stop writing at once.
 */
export async function acquireLock(
  layout: Layout,
  identity: ProcessIdentity,
  version: string,
  now: () => string,
  onLost: (reason: string) => void,
): Promise<LockAttempt> {
  const socket = await bindSocket(layout.root);
  if (socket === 'taken') return busy(layout);
  const previous = readDaemonRecord(layout);
  const afterReboot =
    previous !== undefined && (previous.identity.boot !== identity.boot || previous.after_reboot === true);
  let isNamed = false;
  const naming = (): DaemonRecord => {
    // A request to stop that is there before we are named was another's; whatever comes from then on is for us.
    if (!isNamed) remove(layout.stopRequest);
    isNamed = true;
    return {
      identity,
      directory: inodeOf(layout.root),
      version,
      started_at: now(),
      heartbeat_at: now(),
      serving: false,
      ...(afterReboot && { after_reboot: true }),
    };
  };
  // A first start names itself before it has the lock: if it dies between the two, the next one need not wait for its age.
  if (!isThere(layout.lock) && !isThere(layout.daemon)) publish(layout.daemon, recordText(naming()));
  for (;;) {
    const lockId = folderIdentity(layout.lock); // before its holder is judged: a lock made since is nobody's who was judged
    const judged = readDaemonRecord(layout);
    const holder = isThere(layout.lock) ? daemonOf(layout) : undefined;
    if (holder?.kind === 'running' && holder.record.identity.pid !== identity.pid) {
      socket?.close(); // it is alive in another network namespace, or stopped for a while: however old its lock
      return busy(layout);
    }
    const isDead = holder?.record !== undefined && livenessOf(holder.record.identity) === 'dead';
    const isCopied = holder !== undefined && judged !== undefined && holder.record === undefined; // of another directory
    // Whoever takes over says so first: who comes now meets a living one, and leaves the lock to him.
    const intent = isDead || isCopied ? naming() : undefined;
    if (intent !== undefined) replaceDurably(layout.daemon, recordText(intent));
    const held = await tryLock(layout, onLost);
    if (held !== undefined) {
      // One who cannot see our socket has come in the same moment, and we have pushed him out: until he knows, we wait.
      const isSame = nameOf(intent ?? judged) === nameOf(readDaemonRecord(layout));
      if (!isSame) await new Promise((done) => setTimeout(done, 2 * LOCK_UPDATE_MS));
      const lock = new Lock(
        layout,
        naming(),
        holder !== undefined && !isDead && !isCopied && isSame,
        socket,
        held,
        onLost,
      );
      try {
        lock.publish({});
      } catch (error) {
        if (lock.isOurs()) throw error;
      }
      if (lock.isOurs()) return { kind: 'held', lock };
      await lock.free(); // and now he us
      return busy(layout);
    }
    if (intent !== undefined && folderIdentity(layout.lock) === lockId && removeEmptyFolder(layout.lock) !== 'occupied')
      continue;
    await new Promise((done) => setTimeout(done, 500));
  }
}

function busy(layout: Layout): LockAttempt {
  const { kind, record } = daemonOf(layout);
  return kind === 'stopped' ? { kind: 'busy' } : { kind: 'busy', record }; // not yet said by the one who has it
}

function nameOf(record: DaemonRecord | undefined): string {
  return JSON.stringify([record?.identity, record?.started_at]);
}

async function tryLock(layout: Layout, onLost: (reason: string) => void): Promise<Held | undefined> {
  let id: string | undefined;
  // When its process ends, proper-lockfile removes what has the lock's name, whosever it is by then.
  const rmdirSync = (path: string): void => {
    if (folderIdentity(path) === id) fs.rmdirSync(path);
  };
  try {
    const release = await lockfile.lock(layout.root, {
      lockfilePath: layout.lock,
      realpath: false,
      stale: LOCK_STALE_MS,
      update: LOCK_UPDATE_MS,
      fs: { ...fs, rmdirSync },
      onCompromised: (error) => onLost(error.message),
    });
    id = folderIdentity(layout.lock);
    return { id, release };
  } catch (error) {
    if (errnoOf(error) === 'ELOCKED') return undefined;
    throw error;
  }
}

/** Abstract sockets are Linux's; elsewhere the lock's age alone decides. */
function bindSocket(root: string): Promise<Server | 'taken' | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined);
  const { dev, ino } = statSync(root, { bigint: true });
  return new Promise((resolve) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', (error) => resolve(errnoOf(error) === 'EADDRINUSE' ? 'taken' : undefined));
    server.listen(`\0spoold/${dev}/${ino}`, () => {
      server.unref();
      resolve(server);
    });
  });
}
