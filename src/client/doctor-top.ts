// The top of a state directory, as `doctor` looks at it: whose it is, its format, its settings, and what lies in jobs/
// that is no job. Of a format that is not known nothing is looked at but VERSION.
import { createHash } from 'node:crypto';
import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import { isThere, namesIn, publish, remove } from '../host/atomic.ts';
import { readRegular } from '../host/regular.ts';
import { parseConfig } from '../protocol/config.ts';
import { FORMAT_VERSION, type Layout } from '../protocol/layout.ts';
import { isName, nameProblem } from '../protocol/names.ts';
import { archivingsIn } from '../store/archive.ts';
import { daemonOf } from '../store/daemon-record.ts';
import { readParallel } from '../store/snapshot.ts';
import { describeFormat, readFormat } from '../store/state-dir.ts';
import { daemon } from './doctor-daemon.ts';
import { type Finding, isDenied, lookOver, TO_LIST, TO_READ, type Ward, withoutRights } from './doctor-finding.ts';
import { canBeRead, fileOpenToAll, folder } from './doctor-folder.ts';
import { leftover } from './doctor-job.ts';
import { textOfBytes } from './workflow.ts';

const CHECKS = [owner, settings, daemon, leftovers, archive, environments, strangers];

/** All that is odd about the top of a directory. */
export function examineTop(layout: Layout, ward: Ward): Finding[] {
  if (isDenied(layout.root, TO_LIST)) return [...withoutRights(layout.root)];
  const format = [...version(layout, ward)];
  if (!isOfThisFormat(layout)) return format;
  return [...format, ...CHECKS.flatMap((check) => lookOver(layout.root, () => check(layout, ward)))];
}

/** True if the format is one that may be touched, or nothing says otherwise. */
export function isOfThisFormat(layout: Layout): boolean {
  return ['known', 'missing', 'blank'].includes(readFormat(layout).kind);
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
  for (const path of [root, jobs, env]) yield* folder(path);
  yield* fileOpenToAll(config);
}

function* version(layout: Layout, { setAside }: Ward): Iterable<Finding> {
  const format = readFormat(layout);
  if (format.kind === 'known') return;
  const { version: path } = layout;
  const { what, hint } = describeFormat(format);
  if (format.kind !== 'missing' && format.kind !== 'blank')
    yield { kind: 'version', path, says: `it ${what}.`, would: `${hint} Nothing is looked at any further.`, by: 'you' };
  else
    yield {
      kind: 'version',
      path,
      says: `it ${what}.`,
      would: `${FORMAT_VERSION} is written, the only format there has been.`,
      by: 'doctor',
      mend: () => {
        if (readFormat(layout).kind === 'blank') setAside(path);
        publish(path, `${FORMAT_VERSION}\n`, { sync: true });
      },
    };
}

function* settings({ config, parallel }: Layout): Iterable<Finding> {
  const problems = isThere(config) ? problemsOf(config) : [];
  if (isDenied(config, TO_READ)) yield* withoutRights(config, TO_READ);
  else if (problems.length > 0)
    yield {
      kind: 'settings',
      path: config,
      says: problems.join('\n'),
      would: 'No daemon starts until it reads, and one that serves keeps to what it read last. Mend it.',
      by: 'you',
    };
  if (isDenied(parallel, TO_READ)) yield* withoutRights(parallel, TO_READ);
  else if (readParallel(parallel) === 'damaged')
    yield {
      kind: 'settings',
      path: parallel,
      says: 'it should hold a whole number, and does not; what held before it was damaged stays in force.',
      would: 'Write the number anew: spoold parallel N.',
      by: 'you',
    };
}

/** As the daemon reads it: never waiting for a FIFO. */
function problemsOf(path: string): string[] {
  try {
    const parsed = parseConfig(textOfBytes(readRegular(path, null), path), path);
    return parsed.ok ? [] : parsed.problems;
  } catch (error) {
    return [(error as Error).message];
  }
}

function* leftovers(layout: Layout, ward: Ward): Iterable<Finding> {
  for (const path of [layout.root, layout.jobs, layout.env].filter(canBeRead)) {
    for (const name of namesIn(path)) {
      if (name.startsWith('.') && name !== '.gitignore') yield* leftover(join(path, name), name, ward);
    }
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

/** Finished jobs on their way to archive/, which may lie elsewhere, behind a link. */
function* archive(layout: Layout, { setAside }: Ward): Iterable<Finding> {
  const { archive: path } = layout;
  const target = unless('ELOOP', () => statSync(path, { throwIfNoEntry: false }));
  const isInTheWay = target?.isDirectory() !== true && isThere(path);
  if (isInTheWay)
    yield {
      kind: 'no_folder',
      path,
      says: 'it should be a folder, and is none: no finished job can be moved there.',
      ...(lstatSync(path).isSymbolicLink()
        ? { would: 'Mend what it leads to, or move it away: the folder is made when it is needed.', by: 'you' }
        : {
            would: 'It is set aside in aside/; the folder is made when it is needed.',
            by: 'doctor',
            mend: () => setAside(path),
          }),
    };
  else yield* withoutRights(path);
  for (const { job, from, to } of canBeRead(layout.jobs) ? archivingsIn(layout) : []) {
    yield {
      kind: 'leftover',
      path: from,
      says: isInTheWay
        ? `the job ${job} is on its way to archive/, and that is no folder.`
        : `submit was killed while it archived the job ${job}.`,
      would: `What was dropped into it too late moves to the job ${job}, and it moves to ${to}.`,
      by: 'start',
    };
  }
}

/** Environments that `add` has captured are called by what is in them. */
function* environments({ env }: Layout, ward: Ward): Iterable<Finding> {
  for (const name of canBeRead(env) ? namesIn(env) : []) {
    const path = join(env, name);
    if (/^[0-9a-f]{64}$/.test(name)) yield* lookOver(path, () => environment(path, name, ward));
  }
}

function* environment(path: string, hash: string, { setAside }: Ward): Iterable<Finding> {
  const bytes = unless(['EINVAL', 'ELOOP', 'ENXIO'], () => readRegular(path, null)); // no file, and so not what it says
  if (bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === hash) return;
  yield {
    kind: 'damaged',
    path,
    says: 'it does not hold what its name says: a power cut, or an edit.',
    would: 'It is set aside in aside/; a task that asks for it fails, and says so. Queue it again.',
    by: 'doctor',
    mend: () => setAside(path),
  };
}

/** What lies in jobs/ and is no job. */
function* strangers({ jobs }: Layout, { leftAlone }: Ward): Iterable<Finding> {
  const names = (canBeRead(jobs) ? namesIn(jobs) : []).filter((name) => !name.startsWith('.')).sort();
  const first = new Map<string, string>();
  for (const name of names) {
    const path = join(jobs, name);
    const lower = name.toLowerCase();
    const twin = first.get(lower);
    if (twin === undefined) first.set(lower, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const stranger = {
      kind: 'no_job',
      path,
      would: 'Nothing in it is run. Rename it, or move it away.',
      by: 'you',
    } as const;
    if (!isName(name)) yield { ...stranger, says: `no job can have this name: ${nameProblem(name)}.` };
    else if (stat?.isSymbolicLink()) yield { ...stranger, says: 'a job is a folder, and this is a link.' };
    else if (stat?.isDirectory() === false) yield { ...stranger, says: 'a job is a folder, and this is none.' };
    // Which of the two is run, the daemon that serves says itself.
    else if (twin !== undefined && ![...(leftAlone?.keys() ?? [])].some((one) => one.toLowerCase() === lower))
      yield {
        ...stranger,
        says: `there is a job ${twin}, too, which differs only in case: a daemon runs one of them, and leaves the other alone.`,
        would: 'Rename one of them, or move it away.',
      };
  }
}
