// One daemon per directory. Three things must agree: an abstract socket named by the directory (which `kill -9` frees at
// once, so starting again never waits), the lock folder with its age (which also holds across containers and hosts), and
// the identity in daemon.json (which tells a dead holder from a living one). Taking over happens only under the socket.
import { statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import lockfile from 'proper-lockfile';
import { errnoOf } from '../errors.ts';
import { isThere, publish, removeEmptyFolder, replaceDurably } from '../host/atomic.ts';
import { livenessOf, type ProcessIdentity } from '../host/identity.ts';
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
  private readonly release: () => Promise<void>;
  private record: DaemonRecord;

  constructor(
    layout: Layout,
    record: DaemonRecord,
    takenByAge: boolean,
    socket: Server | undefined,
    release: () => Promise<void>,
  ) {
    this.layout = layout;
    this.record = record;
    this.takenByAge = takenByAge;
    this.afterReboot = record.after_reboot ?? false;
    this.socket = socket;
    this.release = release;
  }

  /** Rewrites daemon.json. */
  publish(change: Partial<DaemonRecord>): void {
    this.record = { ...this.record, ...change };
    replaceDurably(this.layout.daemon, recordText(this.record));
  }

  /** False if daemon.json names another process: somebody has taken our place, and not a byte more may be written. */
  isOurs(): boolean {
    const read = readDaemonRecord(this.layout);
    const own = this.record.identity;
    return (
      read !== undefined &&
      read.identity.pid === own.pid &&
      read.identity.startTicks === own.startTicks &&
      read.identity.pidns === own.pidns &&
      read.identity.host === own.host
    );
  }

  /** Gives the directory back. */
  async free(): Promise<void> {
    await this.release().catch(() => undefined);
    this.socket?.close();
  }
}

function recordText(record: DaemonRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

export type LockAttempt = { kind: 'held'; lock: Lock } | { kind: 'busy'; record?: DaemonRecord };

/**
 * Takes the directory, or says who has it. A holder that is known to be dead is replaced at once; one that cannot be
 * judged (another host or container) only when its lock is LOCK_STALE_MS old, which this waits for.
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
  const record = (): DaemonRecord => ({
    identity,
    directory: inodeOf(layout.root),
    version,
    started_at: now(),
    heartbeat_at: now(),
    serving: false,
    ...(afterReboot && { after_reboot: true }),
  });
  // A first start names itself before it has the lock: if it dies between the two, the next one need not wait for its age.
  if (!isThere(layout.lock) && !isThere(layout.daemon)) publish(layout.daemon, recordText(record()));
  for (;;) {
    const holder = isThere(layout.lock) ? daemonOf(layout) : undefined;
    if (holder?.kind === 'running' && holder.record.identity.pid !== identity.pid) {
      socket?.close(); // it is alive in another network namespace, or stopped for a while: however old its lock
      return busy(layout);
    }
    const isDead = holder?.record !== undefined && livenessOf(holder.record.identity) === 'dead';
    const release = await tryLock(layout, onLost);
    if (release !== undefined) {
      const lock = new Lock(layout, record(), holder !== undefined && !isDead, socket, release);
      lock.publish({});
      return { kind: 'held', lock };
    }
    if (isDead && removeEmptyFolder(layout.lock) !== 'occupied') continue; // the socket keeps every other taker away
    await new Promise((done) => setTimeout(done, 500));
  }
}

function busy(layout: Layout): LockAttempt {
  const holder = daemonOf(layout);
  return holder.record === undefined ? { kind: 'busy' } : { kind: 'busy', record: holder.record };
}

async function tryLock(layout: Layout, onLost: (reason: string) => void): Promise<(() => Promise<void>) | undefined> {
  try {
    return await lockfile.lock(layout.root, {
      lockfilePath: layout.lock,
      realpath: false,
      stale: LOCK_STALE_MS,
      update: LOCK_UPDATE_MS,
      onCompromised: (error) => onLost(error.message),
    });
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
