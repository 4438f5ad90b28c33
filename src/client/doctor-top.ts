// The top of a state directory, as `doctor` looks at it: whose it is, its format, its settings, who serves it, and what
// lies in jobs/ that is no job.
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import { isThere, namesIn, publish, readParsed, remove } from '../host/atomic.ts';
import { isFrozen } from '../host/identity.ts';
import { FORMAT_VERSION, type Layout } from '../protocol/layout.ts';
import { isName, nameProblem } from '../protocol/names.ts';
import { archivingsIn } from '../store/archive.ts';
import { daemonOf, readDaemonRecord } from '../store/daemon-record.ts';
import { readParallel } from '../store/snapshot.ts';
import type { Finding, Ward } from './doctor-finding.ts';
import { leftover, openToAll } from './doctor-job.ts';
import { validateFile } from './validate.ts';

const CHECKS = [owner, version, settings, daemon, leftovers, environments, strangers];

/** All that is odd about the top of a directory. */
export function examineTop(layout: Layout, ward: Ward): Finding[] {
  return CHECKS.flatMap((check) => [...check(layout, ward)]);
}

/** True if the format is one that may be touched. */
export function isOfThisFormat(layout: Layout): boolean {
  return [...version(layout)].every(({ by }) => by === 'doctor');
}

function* owner({ root, jobs, env, config }: Layout): Iterable<Finding> {
  const me = process.getuid?.();
  const stat = lstatSync(root);
  if (me !== undefined && stat.uid !== me)
    yield {
      kind: 'owner',
      path: root,
      says: `it belongs to user ${stat.uid}, and you are ${me}.`,
      would: 'Its owner looks after it: tasks run as that user.',
      by: 'you',
    };
  for (const path of [root, jobs, env, config]) {
    const folder = unless('ENOENT', () => lstatSync(path));
    if (folder !== undefined) yield* openToAll(path, folder);
  }
}

function* version({ root, version: path }: Layout, ward?: Ward): Iterable<Finding> {
  const read = readParsed(path, (text) => text.trim());
  const text = read.kind === 'ok' ? read.value : '';
  if (text === String(FORMAT_VERSION)) return;
  if (/^\d+$/.test(text) && Number(text) > FORMAT_VERSION)
    yield {
      kind: 'version',
      path,
      says: `${root} has format ${text}; this spoold knows format ${FORMAT_VERSION}.`,
      would: 'Use the newer spoold that made it; nothing is looked at any further.',
      by: 'you',
    };
  else
    yield {
      kind: 'version',
      path,
      says:
        read.kind === 'missing'
          ? 'the file that names the format is not there.'
          : `it should say ${FORMAT_VERSION}, and says ${JSON.stringify(text.slice(0, 40))}.`,
      would: `${FORMAT_VERSION} is written, the only format there has been.`,
      by: 'doctor',
      mend: () => {
        if (isThere(path)) ward?.setAside(path);
        publish(path, `${FORMAT_VERSION}\n`, { sync: true });
      },
    };
}

function* settings({ config, parallel }: Layout): Iterable<Finding> {
  const problems = isThere(config) ? problemsOf(config) : [];
  if (problems.length > 0)
    yield {
      kind: 'settings',
      path: config,
      says: problems.join('\n'),
      would: 'No daemon starts until it reads, and one that serves keeps to what it read last. Mend it.',
      by: 'you',
    };
  if (readParallel(parallel) === 'damaged')
    yield {
      kind: 'settings',
      path: parallel,
      says: 'it should hold a whole number, and does not; what held before it was damaged stays in force.',
      would: 'Write the number anew: spoold parallel N.',
      by: 'you',
    };
}

function problemsOf(path: string): string[] {
  try {
    return validateFile(path, 'config').problems;
  } catch (error) {
    return [(error as Error).message];
  }
}

function* daemon(layout: Layout): Iterable<Finding> {
  const { kind, record } = daemonOf(layout);
  if (kind === 'running') {
    const { pid } = record.identity;
    if (isFrozen(record.identity))
      yield {
        kind: 'frozen',
        path: layout.daemon,
        says: `the daemon (process ${pid}) is stopped, by Ctrl-Z or SIGSTOP: it does nothing, and keeps its place.`,
        would: `Wake it: kill -CONT ${pid}.`,
        by: 'you',
      };
    return;
  }
  if (kind === 'elsewhere') return;
  const damaged = isThere(layout.daemon) && readDaemonRecord(layout) === undefined;
  if (damaged)
    yield {
      kind: 'damaged',
      path: layout.daemon,
      says: 'it does not say who serves the directory: it is not whole.',
      would: 'It is removed; whoever serves writes it anew.',
      by: 'doctor',
      mend: () => remove(layout.daemon),
    };
  if (isThere(layout.lock))
    yield {
      kind: 'killed',
      path: layout.lock,
      says:
        record === undefined
          ? 'a daemon was killed before it had said who it is, and its lock is left.'
          : `the daemon (process ${record.identity.pid}) was killed, and its lock is left.`,
      would: 'The next daemon takes the lock and goes on from where that one was.',
      by: 'start',
    };
  if (isThere(layout.stopRequest))
    yield {
      kind: 'stop_request',
      path: layout.stopRequest,
      says: 'a daemon was asked to stop in a certain way, and was gone before it had read how.',
      would: 'It is removed when the next one starts.',
      by: 'start',
    };
}

function* leftovers(layout: Layout, ward: Ward): Iterable<Finding> {
  for (const folder of [layout.root, layout.jobs, layout.env]) {
    for (const name of namesIn(folder)) {
      if (name.startsWith('.') && name !== '.gitignore') yield* leftover(join(folder, name), name, ward);
    }
  }
  for (const { job, from, to } of archivingsIn(layout)) {
    yield {
      kind: 'leftover',
      path: from,
      says: `submit was killed while it archived the job ${job}.`,
      would: `What was dropped into it too late moves to the job ${job}, and it moves to ${to}.`,
      by: 'start',
    };
  }
  for (const name of namesIn(layout.root)) {
    if (!/^daemon\.json\.\d+$/.test(name) || daemonOf(layout).kind !== 'stopped') continue;
    const path = join(layout.root, name);
    yield {
      kind: 'leftover',
      path,
      says: 'a daemon was killed while it wrote daemon.json.',
      would: 'It is removed.',
      by: 'doctor',
      mend: () => remove(path),
    };
  }
}

/** Environments that `add` has captured are called by what is in them. */
function* environments({ env }: Layout, { setAside }: Ward): Iterable<Finding> {
  for (const name of namesIn(env)) {
    const path = join(env, name);
    if (!/^[0-9a-f]{64}$/.test(name) || hashOf(path) === name) continue;
    yield {
      kind: 'damaged',
      path,
      says: 'it does not hold what its name says: a power cut, or an edit.',
      would: 'It is set aside in aside/; a task that asks for it fails, and says so. Queue it again.',
      by: 'doctor',
      mend: () => setAside(path),
    };
  }
}

function hashOf(path: string): string | undefined {
  const bytes = unless(['ENOENT', 'EISDIR', 'EACCES'], () => readFileSync(path));
  return bytes && createHash('sha256').update(bytes).digest('hex');
}

/** What lies in jobs/ and is no job. */
function* strangers({ jobs }: Layout): Iterable<Finding> {
  const lower = new Map<string, string>();
  for (const name of namesIn(jobs).sort()) {
    if (name.startsWith('.')) continue;
    const path = join(jobs, name);
    const twin = lower.get(name.toLowerCase());
    lower.set(name.toLowerCase(), name);
    const problem = !isName(name)
      ? `no job can have this name: ${nameProblem(name)}.`
      : twin !== undefined
        ? `there is a job ${twin}, which differs only in case.`
        : lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false
          ? 'a job is a folder, and this is none.'
          : undefined;
    if (problem === undefined) continue;
    yield {
      kind: 'no_job',
      path,
      says: problem,
      would: 'Nothing in it is run. Rename it, or move it away.',
      by: 'you',
    };
  }
}
