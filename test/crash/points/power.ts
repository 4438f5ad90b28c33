// Power cuts: a scenario is recorded once, every state that a cut can leave (or a sample of them) is laid out as a job of
// its own in a new state directory, of another boot, and a real daemon recovers them all. Then each is judged by what was
// promised: what was acknowledged is there, the rest has ended or is called lost; never wrong, never silent.
import { linkSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Folder, isThere, type JobHands, Place, readText } from '../../helpers/place.ts';
import { waitUntil } from '../../helpers/wait-until.ts';
import { type Cut, type Entry, type Image, Recording } from './disk.ts';
import { accountOf, tasksIn } from './judge.ts';
import { CrashRun, type Recorded } from './run.ts';
import { type Scenario, SCENARIOS } from './scenarios.ts';
import { describeOp, type Op } from './trace.ts';

const OWN_BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const OTHER_BOOT = '00000000-0000-4000-8000-000000000000';
const AT_ONCE = 150;
const PATIENCE = 300_000;

export interface PowerOutcome {
  /** Distinct states that were recovered from. */
  states: number;
  /** All there are, or a sample. */
  isWhole: boolean;
  violations: Violation[];
}

export interface Violation {
  text: string;
  /** Where the state is kept, to be recovered from again. */
  file: string;
}

export interface PowerOptions {
  /** At most so many states; a sample if there are more. */
  most: number;
  random: () => number;
  /** Syncs that are taken for not made: for a test of the harness. */
  withoutSyncs?: boolean;
}

export async function record(scenario: Scenario): Promise<Recorded> {
  const run = new CrashRun({ scenario, mode: 'daemon' });
  try {
    const recorded = await run.record();
    return { ...recorded, ops: withRunners(recorded) };
  } finally {
    await run.close();
  }
}

/** What runners did, which nobody traced, where it must have been: after the hand-over, and before they were heard of. */
function withRunners({ root, last, ops }: Recorded): Op[] {
  const all: Op[] = [];
  const running = new Map<string, string>();
  const end = (dir: string): void => {
    const words = running.get(dir);
    if (words === undefined) return;
    running.delete(dir);
    all.push({ op: 'ended', path: dir }, { op: 'write', path: `${dir}/pid`, data: base64(words) });
    // An empty drop folder may be closed by the runner itself.
    const drops = `${dir}/pending`;
    const closed = ops.some(({ op, path }) => path === drops && (op === 'rmdir' || op === 'rename'));
    if (!closed && !last.has(drops.slice(root.length + 1))) all.push({ op: 'rmdir', path: drops });
  };
  for (const op of ops) {
    const dir =
      op.op === 'done'
        ? op.path
        : /\/(pending|result\.json)$/.test(op.path ?? '') && dirname(dirname(op.path ?? '')).endsWith('/runs')
          ? dirname(op.path ?? '')
          : undefined;
    if (dir !== undefined && op.op !== 'mkdir') end(dir);
    all.push(op);
    if (op.op !== 'hand-over' || op.path === undefined) continue;
    const [first = '', ...rest] = textOf(last.get(`${op.path.slice(root.length + 1)}/pid`)).split(/(?<=\n)/);
    const output = textOf(last.get(`${op.path.slice(root.length + 1)}/output.log`));
    running.set(op.path, rest.join(''));
    all.push({ op: 'create', path: `${op.path}/pid` }, { op: 'write', path: `${op.path}/pid`, data: base64(first) });
    all.push({ op: 'create', path: `${op.path}/output.log` }, { op: 'began', path: op.path });
    if (output !== '') all.push({ op: 'write', path: `${op.path}/output.log`, data: base64(output) });
  }
  return all;
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

function textOf(entry: Entry | undefined): string {
  return entry?.kind === 'file' ? entry.data.toString('latin1') : '';
}

export async function cutPower(scenario: Scenario, recorded: Recorded, options: PowerOptions): Promise<PowerOutcome> {
  const ops = options.withoutSyncs
    ? recorded.ops.filter(({ op }) => op !== 'fsync' && op !== 'sync-end')
    : recorded.ops;
  const recording = new Recording(recorded.root, recorded.base, ops);
  const { cuts, isWhole } = statesOf(recording, options);
  const violations: Violation[] = [];
  for (let at = 0; at < cuts.length; at += AT_ONCE) {
    violations.push(...(await recover(scenario, recorded, cuts.slice(at, at + AT_ONCE))));
  }
  return { states: cuts.length, isWhole, violations };
}

/** Keeps a state with all that it is judged by. Gives the file. */
function keep(scenario: Scenario, recorded: Recorded, cut: Cut): string {
  const file = join(mkdtempSync(join(tmpdir(), 'spoold-cut-')), 'cut.json');
  writeFileSync(file, JSON.stringify({ scenario: scenario.name, recorded: { ...recorded, ops: [] }, cut }, withMaps));
  return file;
}

function withMaps(_: string, value: unknown): unknown {
  return value instanceof Map ? { map: [...value] } : value;
}

function revived(_: string, value: { map?: [string, Entry][]; type?: string; data?: number[] } | null): unknown {
  if (Array.isArray(value?.map)) return new Map(value.map);
  return value?.type === 'Buffer' ? Buffer.from(value.data ?? []) : value;
}

/** Recovers from a state that was kept. */
export function recoverKept(file: string): Promise<Violation[]> {
  const kept = JSON.parse(readFileSync(file, 'utf8'), revived) as { scenario: string; recorded: Recorded; cut: Cut };
  const scenario = SCENARIOS.find(({ name }) => name === kept.scenario);
  if (scenario === undefined) throw new Error(`${file}: there is no scenario ${kept.scenario}`);
  return recover(scenario, kept.recorded, [kept.cut]);
}

/** All states, each once; a sample of them where there are too many. */
function statesOf(recording: Recording, { most, random }: PowerOptions): { cuts: Cut[]; isWhole: boolean } {
  const cuts = new Map<string, Cut>();
  for (let step = 1; step <= recording.steps.length && cuts.size <= most; step++) {
    const some = recording.every(step, most * 4);
    if (some === undefined) return { cuts: sampleOf(recording, most, random), isWhole: false };
    for (const cut of some) cuts.set(keyOf(cut), cut);
  }
  if (cuts.size > most) return { cuts: sampleOf(recording, most, random), isWhole: false };
  return { cuts: [...cuts.values()], isWhole: true };
}

function sampleOf(recording: Recording, most: number, random: () => number): Cut[] {
  const cuts = new Map<string, Cut>();
  for (let tries = 0; cuts.size < most && tries < most * 10; tries++) {
    const cut = recording.sample(1 + Math.floor(random() * recording.steps.length), random);
    cuts.set(keyOf(cut), cut);
  }
  return [...cuts.values()];
}

/** What is there of jobs, and what had happened. Who served is no part of it. */
function keyOf({ image, before }: Cut): string {
  const what = [...image].filter(([path]) => !/^daemon\.(json|lock)/.test(path));
  const shown = what.map(([path, entry]) => [
    path,
    entry.kind === 'file' ? entry.data.toString('latin1') : entry.kind === 'link' ? entry.target : '',
  ]);
  return JSON.stringify([shown, before.map(({ op, path }) => [op, path])]);
}

interface Laid {
  name: string;
  cut: Cut;
  account: string;
  before: string[];
}

async function recover(scenario: Scenario, recorded: Recorded, cuts: readonly Cut[]): Promise<Violation[]> {
  const place = new Place({ config: 'max_parallel: 8\npoll_interval: 1\n' });
  const violations: Violation[] = [];
  const wrongWithAll = (error: unknown): void => {
    violations.push({ text: (error as Error).message, file: keep(scenario, recorded, cuts[0] as Cut) });
  };
  try {
    const served = textOf(recorded.last.get('daemon.json')).replaceAll(OWN_BOOT, OTHER_BOOT);
    writeFileSync(place.at('VERSION'), textOf(recorded.last.get('VERSION')), { mode: 0o600 });
    writeFileSync(
      place.at('daemon.json'),
      served.replace(/"directory": "\d+"/, `"directory": "${statSync(place.dir).ino}"`),
      { mode: 0o600 },
    );
    const laid = cuts.map((cut, index) => layOut(place, recorded, cut, `s${index}`));
    for (const file of ['go', 'nothing']) writeFileSync(place.aside(file), ''); // what tasks wait for, if they run again
    await place.start();
    const waits = (address: string) => scenario.waiting?.includes(address.split('/')[1] ?? '');
    const unfinished = () =>
      [...tasksIn(place.dir)].filter(
        ([address, folders]) => (folders.includes('pending') && !waits(address)) || folders.includes('running'),
      );
    await waitUntil(
      'every task of every state has ended',
      () => unfinished().length === 0 && laid.every(({ name }) => isAtRest(place.job(name))),
      () => `${JSON.stringify(unfinished().slice(0, 10))}\n${place.log.slice(-2000)}`,
      PATIENCE,
    ).catch(wrongWithAll);
    await place.end();
    const tasks = tasksIn(place.dir);
    for (const one of laid) {
      const wrong = judge(scenario, place, tasks, one);
      if (wrong.length === 0) continue;
      const text = [
        ...wrong,
        `  cut after: ${describeOp(one.cut.last, recorded.root)}`,
        ...one.before.map((line) => `  told before: ${line}`),
        ...describeImage(one.cut.image),
        ...nowOf(place, one.name),
      ].join('\n');
      violations.push({ text, file: keep(scenario, recorded, one.cut) });
    }
  } finally {
    await place.close().catch(wrongWithAll);
  }
  return violations;
}

/** No attempt is claimed, no array still to be spread. */
function isAtRest(job: JobHands): boolean {
  return job.names('running').length === 0 && !job.names('pending').some((name) => name.startsWith('.bundle-'));
}

/** Lays a state out as a job of another name: paths, the boot and the inode of each run directory are made to fit. */
function layOut(place: Place, recorded: Recorded, cut: Cut, name: string): Laid {
  const account = place.aside(`account.${name}`);
  const fit = (data: Buffer): string =>
    data
      .toString('latin1')
      .replaceAll(`${recorded.root}/jobs/j`, place.at('jobs', name))
      .replaceAll(recorded.account, account)
      .replaceAll(dirname(recorded.root), place.root)
      .replaceAll(OWN_BOOT, OTHER_BOOT)
      .replaceAll('"job":"j"', `"job":"${name}"`);
  mkdirSync(place.at('jobs'), { recursive: true, mode: 0o700 });
  const byNode = new Map<number, string>();
  for (const [path, entry] of cut.image) {
    const [top, job, ...rest] = path.split('/');
    const target =
      top === 'env'
        ? place.at(path)
        : top === 'jobs' && job !== undefined
          ? place.at('jobs', job === 'j' ? name : `${job}-${name}`, ...rest)
          : undefined;
    if (target === undefined || (top === 'env' && isThere(target))) continue;
    if (entry.kind === 'folder') mkdirSync(target, { mode: 0o700 });
    else if (entry.kind === 'link') symlinkSync(entry.target, target);
    else if (byNode.has(entry.node)) linkSync(byNode.get(entry.node) as string, target);
    else {
      byNode.set(entry.node, target);
      // An environment is named by its content.
      const text = top === 'env' ? entry.data.toString('latin1') : fit(entry.data);
      const inode = rest[0] === 'runs' && rest[2] === 'pid' ? statSync(dirname(target)).ino : undefined;
      const fitted = inode === undefined ? text : text.replace(/^((?:\S+ ){5})\d+\n/, `$1${inode}\n`);
      writeFileSync(target, fitted, { encoding: 'latin1', mode: 0o600 });
    }
  }
  const before = toldBefore(recorded, cut);
  writeFileSync(account, before.map((line) => `${line}\n`).join(''));
  return { name, cut, account, before };
}

/** What the tasks had told by then. */
function toldBefore({ lines }: Recorded, { before }: Cut): string[] {
  const words = { began: 'begin', ended: 'end' } as const;
  return before.flatMap(({ op, path = '' }) => {
    if (op !== 'began' && op !== 'ended') return [];
    const [, id, n] = /\/([^/]+)\.(\d+)$/.exec(path) ?? [];
    const line = `${words[op]} ${id} ${n}`;
    return lines.includes(line) ? [line] : [];
  });
}

const FINAL: readonly Folder[] = ['succeeded', 'failed', 'cancelled', 'skipped', 'rejected'];

/** By itself, or because a person moves it. */
const mayComeBackFrom = ({ name }: Scenario): string[] => [
  'skipped',
  'failed',
  ...(name === 'on_failure: stop' ? ['cancelled'] : []),
];

/** A move that was not synced may be undone: then what it led to does not come about. */
function isMovedByHand(scenario: Scenario): boolean {
  return ('act' in scenario && scenario.client !== true) || scenario.name === 'moves by hand';
}

function judge(
  scenario: Scenario,
  place: Place,
  tasks: ReadonlyMap<string, Folder[]>,
  { name, cut, account, before }: Laid,
): string[] {
  const wrong: string[] = [];
  const job = place.job(name);
  const had = (folder: string, id: string) => cut.image.has(`jobs/j/${folder}/${id}.json`);
  const acknowledged = cut.before.filter(({ op }) => op === 'acknowledged').map(({ path = '' }) => path);
  const lines = accountOf(account);
  const isSubmitted =
    scenario.client !== true ||
    acknowledged.some((line) => /^(add|submit) /.test(line)) ||
    scenario.before !== undefined;
  for (const [address, [folder, times]] of Object.entries(scenario.ends)) {
    const id = address.slice('j/'.length);
    const folders = tasks.get(`${name}/${id}`) ?? [];
    const begun = lines.filter((line) => line.startsWith(`begin ${id} `));
    const isChild = scenario.children?.includes(id) ?? false;
    if (folders.length > 1) wrong.push(`${id} is in ${folders.join(' and ')}`);
    const wasDropped =
      !scenario.late?.includes(id) || cut.before.some(({ op, path }) => op === 'dropped' && path === id);
    if (folders.length === 0 && isSubmitted && !isChild && wasDropped) wrong.push(`${id} is in no folder`);
    if (folders[0] === 'rejected' && isSubmitted && !isChild && wasDropped)
      wrong.push(`${id} is rejected: ${job.rejection(id)}`);
    const mustEnd = isSubmitted && wasDropped && !isMovedByHand(scenario) && scenario.name !== 'on_lost: fail';
    if (mustEnd && (!isChild || folders.length > 0) && folders[0] !== folder)
      wrong.push(`${id} is in ${folders[0] ?? 'no folder'}, and ought to be in ${folder}`);
    if (folders[0] === 'succeeded' && times !== 0 && begun.length === 0)
      wrong.push(`${id} succeeded and was never run`);
    if (folders[0] === 'succeeded' && begun.length > 0 && !lines.some((line) => line.startsWith(`end ${id} `)))
      wrong.push(`${id} succeeded and never came to its end`);
    if (
      acknowledged.some((line) => line.startsWith(`cancel j/${id}`) || line.startsWith(`mark j/${id}`)) &&
      folders[0] !== folder
    )
      wrong.push(`${id} was moved to ${folder}/ by a command that has said so, and is in ${folders[0]}`);
    const mayHaveCause =
      folders[0] === 'skipped' || (folders[0] === 'cancelled' && scenario.name === 'on_failure: stop');
    if (mayHaveCause && readText(job.path(folders[0] ?? '', `${id}.reason.txt`))?.startsWith('cause: ') !== true)
      wrong.push(`${id} is ${folders[0]}, and nothing says because of what`);
    const ended =
      FINAL.some((final) => had(final, id)) &&
      !had('pending', id) &&
      !had('running', id) &&
      !cut.image.has(`jobs/j/running/${id}.run`);
    const again = begun.length - before.filter((line) => line.startsWith(`begin ${id} `)).length;
    if (ended && again > 0 && !mayComeBackFrom(scenario).some((from) => had(from, id)))
      wrong.push(`${id} had ended, on the disk, and was run again`);
    if (scenario.name === 'on_lost: fail' && begun.length > 1)
      wrong.push(`${id} was run again, in spite of on_lost: fail`);
    // Of an attempt that was begun and whose claim is there, the end is told.
    for (const line of before.filter((one) => one.startsWith(`begin ${id} `))) {
      const n = line.split(' ')[2];
      const claim = cut.image.get(`jobs/j/running/${id}.run`);
      const left =
        claim?.kind === 'link' && claim.target.endsWith(`/${id}.${n}`) && cut.image.has(`jobs/j/runs/${id}.${n}`);
      if (left && !job.hasResult(id, Number(n))) wrong.push(`${id}.${n} had begun, and nothing tells of its end`);
    }
  }
  // What a task drops without a sync may be gone; then it has not succeeded, or does it again.
  const children = scenario.children ?? [];
  const missing = children.filter((id) => !tasks.has(`${name}/${id}`));
  if (missing.length > 0 && job.isIn('succeeded', 'p'))
    wrong.push(`p has succeeded, and nothing tells of its children ${missing.join(', ')}`);
  if (job.isIn('succeeded', 'merge') && children.some((id) => !job.isIn('succeeded', id)))
    wrong.push('merge has succeeded before the family that it waits for');
  const env = [...cut.image].filter(([path]) => /^env\/[0-9a-f]{64}/.test(path));
  if (
    acknowledged.some((line) => line.startsWith('add ')) &&
    (env.length === 0 || env.some(([, entry]) => textOf(entry).length === 0))
  )
    wrong.push('the environment of an acknowledged task is not there');
  return wrong.map((line) => `${scenario.name}: ${line}`);
}

function describeImage(image: Image): string[] {
  return [...image].map(
    ([path, entry]) =>
      `    ${path}  ${entry.kind === 'file' ? `${entry.data.length} bytes` : entry.kind === 'link' ? `→ ${entry.target}` : 'folder'}`,
  );
}

function nowOf(place: Place, name: string): string[] {
  const job = place.job(name);
  return FINAL.flatMap((folder) => job.names(folder).map((file) => `    now: ${join(folder, file)}`)).concat(
    job.names('runs').map((run) => `    now: runs/${run}: ${job.names(join('runs', run)).join(' ')}`),
  );
}
