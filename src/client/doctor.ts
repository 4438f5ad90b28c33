// What is odd in a state directory, running or not, and the mending of it. Looking changes nothing. What a daemon mends
// at its start is left to one, which is run for that alone; what is removed was never shown to anybody; whatever else is
// in the way is set aside under the path it had. Where a daemon serves, only what stays odd over two looks is told.
import { realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { errnoOf, SpooldError, unless } from '../errors.ts';
import { ensureFolder, isFolder, isThere, moveIfFree, readParsed } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { isZombie, lookAtProcesses, ownIdentity, seesTheSame } from '../host/identity.ts';
import { parseConfig } from '../protocol/config.ts';
import { Layout } from '../protocol/layout.ts';
import { daemonOf } from '../store/daemon-record.ts';
import { jobNames } from '../store/snapshot.ts';
import { whereabouts } from './directory.ts';
import { isAfterReboot, leftAlone, leftAloneBy } from './doctor-daemon.ts';
import type { Finding, Ward } from './doctor-finding.ts';
import { canBeRead } from './doctor-folder.ts';
import { examineJob } from './doctor-job.ts';
import { examineTop, isOfThisFormat } from './doctor-top.ts';

export type { Finding, Mender } from './doctor-finding.ts';

export interface Diagnosis {
  /** The state directory. */
  root: string;
  /** A daemon serves it, here or elsewhere. */
  served: boolean;
  findings: Finding[];
}

/** The directory that is meant, as it is: it need not be in order. Errors: STATE_DIR_MISSING. */
export function patientAt(dir: string | undefined): Layout {
  const path = whereabouts(dir);
  const layout = new Layout(path);
  const isNone = unless('EACCES', () => !isThere(layout.version) && !isThere(layout.jobs));
  if (isNone === true)
    throw new SpooldError('STATE_DIR_MISSING', `There is no state directory at ${path}.`, {
      path,
      hint: 'Name one with --dir.',
      exit: 3,
    });
  return new Layout(realpathSync(path));
}

/** Looks at all of it. `again` waits between two looks where a daemon serves: what it is about to do is nothing odd. */
export async function diagnose(layout: Layout, again: () => Promise<void>): Promise<Diagnosis> {
  const first = examine(layout);
  if (!first.served || first.findings.length === 0) return first;
  await again();
  const second = examine(layout);
  const before = new Set(first.findings.map(nameOf));
  return { ...second, findings: second.findings.filter((finding) => before.has(nameOf(finding))) };
}

/** Wide enough for what a daemon leaves to itself for a while: a drop that does not parse, a look at every poll. */
export const BETWEEN_LOOKS_MS = 6_000;

function nameOf({ kind, path, by }: Finding): string {
  return `${kind} ${path} ${by}`;
}

function examine(layout: Layout): Diagnosis {
  const { root } = layout;
  const served = isServed(layout);
  const ward: Ward = {
    now: wallClock(),
    setAside: (path) => setAside(layout, path),
    living: livingRuns(layout),
    othersMayDrop: othersMayDrop(layout),
    leftAlone: leftAloneBy(layout, served),
    isAfterReboot: isAfterReboot(layout, served),
  };
  const findings = [...examineTop(layout, ward), ...examineJobs(layout, ward)];
  findings.push(...leftAlone(layout, ward, findings));
  // A living daemon looks after what it has claimed, and after much that it has yet to look at.
  const owned = new Set(['runs', 'runs_unclaimed', 'never_began']);
  const told = served ? findings.filter(({ kind }) => !owned.has(kind)) : findings;
  return { root, served, findings: [...new Map(told.map((finding) => [nameOf(finding), finding])).values()] };
}

/** What is in jobs/ under the name of a job and is a link, the look at the top has told. */
function examineJobs(layout: Layout, ward: Ward): Finding[] {
  if (!canBeRead(layout.jobs) || !isOfThisFormat(layout)) return [];
  const jobs = jobNames(layout).map((name) => layout.job(name));
  return jobs.filter(({ root }) => isFolder(root)).flatMap((job) => examineJob(job, ward));
}

/** This very process may have been its daemon a moment ago, for the mending. */
function isServed(layout: Layout): boolean {
  const { kind, record } = daemonOf(layout);
  const own = ownIdentity();
  return kind !== 'stopped' && !(record?.identity.pid === own.pid && record.identity.startTicks === own.startTicks);
}

function othersMayDrop({ config }: Layout): boolean {
  const read = readParsed(config, (text) => parseConfig(text, config));
  return read.kind === 'ok' && read.value.ok && read.value.config.allowedOwners.length > 0;
}

function livingRuns({ jobs }: Layout): Set<string> {
  const living = [...lookAtProcesses('SPOOLD_RUN_DIR').byPid.values()].filter(
    (entry) => !isZombie(entry) && entry.value?.startsWith(`${jobs}/`) && seesTheSame(entry.pid, entry.value),
  );
  return new Set(living.flatMap(({ value }) => value ?? []));
}

function setAside({ root, aside }: Layout, path: string): void {
  const name = relative(root, path);
  const when = new Date(wallClock()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  for (let n = 1; ; n++) {
    const target = join(aside, n === 1 ? when : `${when}.${n}`, name);
    ensureFolder(join(target, '..'));
    if (moveIfFree(path, target) !== 'exists') return;
  }
}

export interface Mended {
  finding: Finding;
  mended: boolean;
  /** Why it could not be mended, where that was tried. */
  failed?: string;
}

/**
 * Mends what is safe to mend; gives what was found, and of each whether it is gone now, or why not. `recover` has a daemon do
 * what it does at its start, and start nothing; it is not called where one serves. What fails keeps nothing else from being mended.
 */
export async function mend(
  layout: Layout,
  recover: () => Promise<void>,
  again: () => Promise<void>,
): Promise<{ diagnosis: Diagnosis; all: Mended[] }> {
  const diagnosis = await diagnose(layout, again);
  const found = new Map(diagnosis.findings.map((finding) => [nameOf(finding), finding]));
  const failures = new Map<string, string>();
  let rest = diagnosis;
  const isUntried = (finding: Finding) => isOurs(rest.served)(finding) && !failures.has(nameOf(finding));
  for (let round = 0, hasRecovered = true; round < ROUNDS && hasRecovered && rest.findings.some(isUntried); round++) {
    const { served, findings } = rest;
    for (const finding of findings) await tried([finding], failures, () => finding.mend?.());
    const forDaemon = served || !isOfThisFormat(layout) ? [] : findings.filter(({ by }) => by === 'start');
    hasRecovered = forDaemon.length === 0 || (await tried(forDaemon, failures, recover));
    rest = await diagnose(layout, again);
    for (const finding of rest.findings) if (!found.has(nameOf(finding))) found.set(nameOf(finding), finding);
  }
  const left = new Set(rest.findings.map(nameOf));
  const all = [...found.values()].map((finding): Mended => {
    if (!left.has(nameOf(finding))) return { finding, mended: true };
    if (!isOurs(rest.served)(finding)) return { finding, mended: false };
    return { finding, mended: false, failed: failures.get(nameOf(finding)) ?? 'it was tried, and is still so.' };
  });
  return { diagnosis: rest, all };
}

/** Mending one thing may bring another to light. */
const ROUNDS = 3;

/** False if it failed, which is noted of all of them. What is no trouble of the host or the directory is a bug. */
async function tried(
  findings: readonly Finding[],
  failures: Map<string, string>,
  action: () => void | Promise<void>,
): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof SpooldError) && errnoOf(error) === undefined) throw error;
    for (const finding of findings) failures.set(nameOf(finding), (error as Error).message);
    return false;
  }
}

function isOurs(served: boolean): (finding: Finding) => boolean {
  return ({ by }) => by === 'doctor' || (by === 'start' && !served);
}
