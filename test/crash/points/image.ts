// A few power cuts on a real file system: an ext4 image on a loop device is copied while it is mounted and work goes on in
// it (everything that writes stands still meanwhile, so that the copy is what the disk held at one moment), mounted again in
// its place, as a machine does after its boot, and recovered from by a real daemon.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { signalProcess } from '../../../src/host/identity.ts';
import { isThere, Place, readText } from '../../helpers/place.ts';
import { waitUntil } from '../../helpers/wait-until.ts';
import { accountOf, tasksIn } from './judge.ts';

const OWN_BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const OTHER_BOOT = '00000000-0000-4000-8000-000000000000';
const PATIENCE = 300_000;
const SIZE = 64 * 1024 * 1024;

interface Copy {
  file: string;
  /** What the command line had said is queued, and what tasks had told, when it was made. */
  acknowledged: string[];
  told: string[];
}

/** Why there can be none here; undefined: there can. */
export function whyNoImages(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount one';
  if (spawnSync('mkfs.ext4', ['-V']).error !== undefined) return 'there is no mkfs.ext4 here';
  const place = new Place();
  try {
    mount(place, makeImage(place));
    unmount(place);
    return undefined;
  } catch (error) {
    return `no image can be mounted here: ${(error as Error).message.trim()}`;
  } finally {
    spawnSync('rm', ['-rf', place.root]);
  }
}

/** Makes so many copies, a task or two apart, and recovers from each. Gives what contradicts. */
export async function cutImages(count: number, random: () => number): Promise<string[]> {
  const place = new Place({ config: 'max_parallel: 3\npoll_interval: 1\nmin_free: {bytes: 1MB, inodes: 10}\n' });
  const violations: string[] = [];
  const config = readFileSync(place.at('config.yaml'));
  try {
    mount(place, makeImage(place));
    writeFileSync(place.at('config.yaml'), config);
    const copies = await work(place, count, random);
    for (const [index, copy] of copies.entries()) {
      unmount(place);
      mount(place, copy.file);
      const wrong = await recoverFrom(place, copy);
      violations.push(
        ...wrong.map((line) => `image ${index + 1} of ${count}, ${copy.acknowledged.length} acknowledged: ${line}`),
      );
    }
  } catch (error) {
    violations.push((error as Error).message);
  } finally {
    await place.end().catch(() => undefined);
    await waitUntil(
      'nothing holds the image',
      () => spawnSync('umount', [place.dir]).status === 0 || !isMounted(place),
    );
    await place.close().catch((error: unknown) => violations.push((error as Error).message));
  }
  return violations;
}

/** Queues task after task while a daemon runs them; copies the image now and then. */
async function work(place: Place, count: number, random: () => number): Promise<Copy[]> {
  const account = place.aside('account');
  writeFileSync(account, '');
  const acknowledged: string[] = [];
  const copies: Copy[] = [];
  await place.start();
  for (let i = 0; copies.length < count; i++) {
    const script = `echo "begin $SPOOLD_TASK $SPOOLD_ATTEMPT" >>'${account}'; sleep 0.${1 + Math.floor(random() * 3)}; echo "end $SPOOLD_TASK $SPOOLD_ATTEMPT" >>'${account}'`;
    const said = await place.spoold('add', '--job', 'j', '--id', `t${i}`, '--', '/bin/sh', '-c', script);
    if (said.status !== 0) throw new Error(`add: ${said.err}`);
    acknowledged.push(`t${i}`);
    if (i % 3 !== 2) continue;
    await pause(random() * 700);
    copies.push(
      await copyNow(place, {
        file: place.aside(`copy.${i}`),
        acknowledged: [...acknowledged],
        told: accountOf(account),
      }),
    );
  }
  await place.kill9();
  await waitUntil(
    'nothing runs',
    () => place.processes().length === 0,
    () => place.processes(),
    PATIENCE,
  );
  return copies;
}

/** While all stand still, until the image is the same after the copy as before it: the kernel may still have written to it. */
async function copyNow(place: Place, copy: Copy): Promise<Copy> {
  await waitUntil('the image rests for long enough to be copied', () => {
    const stopped = place.processes().filter((live) => signalProcess(live, 'SIGSTOP'));
    try {
      copy.told = accountOf(place.aside('account'));
      copyFileSync(place.aside('image'), copy.file);
      return spawnSync('cmp', ['-s', place.aside('image'), copy.file]).status === 0;
    } finally {
      for (const live of stopped) signalProcess(live, 'SIGCONT');
    }
  });
  return copy;
}

async function recoverFrom(place: Place, { acknowledged, told }: Copy): Promise<string[]> {
  const account = place.aside('account');
  writeFileSync(account, told.map((line) => `${line}\n`).join(''));
  ofAnotherBoot(place);
  const job = place.job('j');
  const before = new Set(job.ids('succeeded').filter((id) => !job.isClaimed(id) && !job.isIn('running', id)));
  const claims = job.names('running').filter((name) => name.endsWith('.run'));
  await place.start();
  const unfinished = () => [...job.ids('pending'), ...job.names('running')];
  await waitUntil('all has ended', () => unfinished().length === 0, unfinished, PATIENCE);
  await place.end();
  const wrong: string[] = [];
  const tasks = tasksIn(place.dir);
  const lines = accountOf(account);
  for (const id of acknowledged) {
    const folders = tasks.get(`j/${id}`) ?? [];
    if (folders.join() !== 'succeeded')
      wrong.push(`${id} is in ${folders.join(' and ') || 'no folder'}: ${job.describe(id)}`);
    if (!lines.some((line) => line.startsWith(`end ${id} `)))
      wrong.push(`${id} has succeeded and never came to its end`);
  }
  for (const id of before) {
    const begun = (all: string[]) => all.filter((line) => line.startsWith(`begin ${id} `)).length;
    if (begun(lines) !== begun(told)) wrong.push(`${id} had succeeded, on the disk, and was run again`);
  }
  for (const claim of claims) {
    const id = claim.slice(0, -'.run'.length);
    for (const line of told.filter((one) => one.startsWith(`begin ${id} `))) {
      const n = Number(line.split(' ')[2]);
      if (isThere(job.runDir(id, n)) && !job.hasResult(id, n))
        wrong.push(`${id}.${n} had begun, and nothing tells of its end`);
    }
  }
  return wrong;
}

/** What its files say of the boot is made to be of the one before. */
function ofAnotherBoot(place: Place): void {
  const runs = place.at('jobs', 'j', 'runs');
  const names = isThere(runs) ? readdirSync(runs) : [];
  for (const path of [
    place.at('daemon.json'),
    ...names.flatMap((name) => ['pid', 'run'].map((file) => join(runs, name, file))),
  ]) {
    const text = readText(path);
    if (text?.includes(OWN_BOOT)) writeFileSync(path, text.replaceAll(OWN_BOOT, OTHER_BOOT));
  }
}

function makeImage(place: Place): string {
  const file = place.aside('image');
  run('truncate', ['-s', String(SIZE), file]);
  run('mkfs.ext4', ['-q', '-F', file]);
  return file;
}

function mount(place: Place, file: string): void {
  run('mkdir', ['-p', place.dir]);
  run('mount', ['-o', 'loop', file, place.dir]);
  if (isThere(place.at('lost+found'))) rmdirSync(place.at('lost+found'));
  run('chmod', ['0700', place.dir]);
}

function unmount(place: Place): void {
  run('umount', [place.dir]);
}

function isMounted(place: Place): boolean {
  return readFileSync('/proc/mounts', 'utf8').includes(` ${place.dir} `);
}

function run(program: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(stderr);
}
