// Who serves the directory, as `doctor` looks at it: what the last daemon left to the next one, what keeps that from taking
// its place, and which jobs the present one leaves alone.
import { lstatSync } from 'node:fs';
import { isThere, namesIn, remove } from '../host/atomic.ts';
import { isFrozen, ownIdentity } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { type DaemonRecord, daemonOf, readDaemonRecord } from '../store/daemon-record.ts';
import { type Finding, isDenied, TO_READ, type Ward, withoutRights } from './doctor-finding.ts';

export function* daemon(layout: Layout, ward: Ward): Iterable<Finding> {
  const { kind, record } = daemonOf(layout);
  if (kind === 'running' && isFrozen(record.identity)) yield frozen(layout, record.identity.pid);
  if (kind !== 'stopped') return;
  yield* itsRecord(layout, ward);
  if (isDenied(layout.daemon, TO_READ)) return; // nobody knows whose the lock is
  if (isThere(layout.lock)) yield* itsLock(layout, record, ward);
  if (isThere(layout.stopRequest)) yield itsStopRequest(layout, ward);
}

function frozen({ daemon: path }: Layout, pid: number): Finding {
  return {
    kind: 'frozen',
    path,
    says: `the daemon (process ${pid}) is stopped, by Ctrl-Z or SIGSTOP: it does nothing, and keeps its place.`,
    would: `Wake it: kill -CONT ${pid}.`,
    by: 'you',
  };
}

function* itsRecord(layout: Layout, { setAside }: Ward): Iterable<Finding> {
  const { daemon: path } = layout;
  if (isDenied(path, TO_READ)) return yield* withoutRights(path, TO_READ);
  if (!isThere(path) || readDaemonRecord(layout) !== undefined) return;
  const isFile = isPlainFile(path);
  yield {
    kind: 'damaged',
    path,
    says: `it does not say who serves the directory: it is ${isFile ? 'not whole' : 'no file'}.`,
    would: `It is ${isFile ? 'removed' : 'set aside in aside/'}; whoever serves writes it anew.`,
    by: 'doctor',
    mend: () => void (isFile ? remove(path) : setAside(path)),
  };
}

function* itsLock({ lock: path }: Layout, record: DaemonRecord | undefined, { setAside }: Ward): Iterable<Finding> {
  const isFolder = lstatSync(path).isDirectory();
  const [name] = isFolder ? namesIn(path) : [];
  if (!isFolder || name !== undefined)
    yield {
      kind: 'no_lock',
      path,
      says: `it should be an empty folder, and ${isFolder ? `holds ${name}` : 'is none'}: no daemon can take it.`,
      would: 'It is set aside in aside/; the next daemon makes its own.',
      by: 'doctor',
      mend: () => setAside(path),
    };
  else
    yield {
      kind: 'killed',
      path,
      says:
        record === undefined
          ? 'a daemon was killed before it had said who it is, and its lock is left.'
          : `the daemon (process ${record.identity.pid}) was killed, and its lock is left.`,
      would: 'The next daemon takes the lock and goes on from where that one was.',
      by: 'start',
    };
}

function itsStopRequest({ stopRequest: path }: Layout, { setAside }: Ward): Finding {
  const says = 'a daemon was asked to stop in a certain way, and was gone before it had read how.';
  if (!lstatSync(path).isDirectory())
    return { kind: 'stop_request', path, says, would: 'It is removed when the next one starts.', by: 'start' };
  return {
    kind: 'stop_request',
    path,
    says: 'it should be a file, and is a folder: no daemon can start.',
    would: 'It is set aside in aside/.',
    by: 'doctor',
    mend: () => setAside(path),
  };
}

function isPlainFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What the daemon that serves says of jobs that it leaves alone; undefined where none does. This very process may have been one a moment ago. */
export function leftAloneBy(layout: Layout, served: boolean): Ward['leftAlone'] {
  const { record } = daemonOf(layout);
  return served ? new Map(Object.entries(record?.left_alone ?? {})) : undefined;
}

/** What the next daemon will know of the last one's boot. */
export function isAfterReboot(layout: Layout, served: boolean): boolean {
  const record = readDaemonRecord(layout);
  if (served || record === undefined) return false;
  return record.identity.boot !== ownIdentity().boot || record.after_reboot === true;
}

/** By these it is told already what keeps a job from being taken up, but for attempts that may not be read. */
const REASONS: ReadonlySet<string> = new Set(['no_job', 'no_folder', 'no_claim', 'mode']);

/** Jobs that the daemon leaves alone for a reason that nobody has told yet: its word decides. */
export function* leftAlone(layout: Layout, ward: Ward, told: readonly Finding[]): Iterable<Finding> {
  for (const [name, reason] of ward.leftAlone ?? []) {
    const path = layout.job(name).root;
    const isInside = (at: string) => at.startsWith(`${path}/`) && !at.startsWith(`${path}/runs/`);
    const isTold = told.some((one) => REASONS.has(one.kind) && (one.path === path || isInside(one.path)));
    if (isTold || !isThere(path)) continue;
    const says = `the daemon leaves it alone: ${reason}.`;
    yield {
      kind: 'left_alone',
      path,
      says,
      would: 'Nothing in it is run until that is mended, or it is moved away.',
      by: 'you',
    };
  }
}
