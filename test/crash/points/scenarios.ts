// What happens while the world is stopped again and again: each scenario is what a person does, and where every task
// must come to. The tasks tell an account outside of the state directory what they do, in single appended lines.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { type Folder, readText, type Task } from '../../helpers/place.ts';
import type { CommandOptions, CrashRun } from './run.ts';

export interface Scenario {
  name: string;
  /** Every crash during the recovery from every crash, and every state that a power cut can leave. */
  short?: boolean;
  /** Crashes of launcher and runners too. */
  runner?: boolean;
  /** It has command lines to be crashed. */
  client?: boolean;
  /** At each change of one of them another command line does its work meanwhile. */
  rival?: boolean;
  config?: string;
  /** Before the daemon that is to crash is started. */
  before?(run: CrashRun): void | Promise<void>;
  /** While daemons come and go. */
  act?(run: CrashRun): Promise<void>;
  /** Power cuts while it goes on. */
  power?: boolean;
  /** Ids that only a running task drops: nobody was told that they are safe. */
  children?: readonly string[];
  /** Ids that are dropped, and synced, while it goes on. */
  late?: readonly string[];
  /** Ids that wait for their time, if nobody moves them. */
  waiting?: readonly string[];
  /** `job/task` → its folder in the end, and how often it is run if only daemons crash. */
  ends: Record<string, [Folder, number | 'again']>;
}

const JOB = 'j';

/** A command that says when it begins and when it ends. */
function telling(run: CrashRun, body = ':'): Task {
  const account = `>>'${run.account}'`;
  const who = '$SPOOLD_TASK $SPOOLD_ATTEMPT';
  return { shell: `echo "begin ${who}" ${account}\n${body}\necho "end ${who}" ${account}` };
}

/** Fails until the task has come to its end so many times. */
function failsUntil(run: CrashRun, times: number, body?: string): Task {
  const { shell } = telling(run, body);
  return { shell: `${String(shell)}\n[ "$(grep -c "^end $SPOOLD_TASK " '${run.account}')" -ge ${times} ] || exit 1` };
}

/** Until a file is there. */
function waitsFor(run: CrashRun, file: string): Task {
  return telling(run, waiting(run, file));
}

function waiting(run: CrashRun, file: string): string {
  return `until [ -e '${run.place.aside(file)}' ]; do sleep 0.02; done`;
}

/** Drops a task and waits until a daemon has taken it in: which of two starts first, nobody says. */
async function dropLater(run: CrashRun, id: string): Promise<void> {
  const job = run.place.job(JOB);
  const [file, text] = [job.file('pending', id), JSON.stringify(telling(run))];
  run.did({ op: 'create', path: file });
  run.did({ op: 'write', path: file, data: Buffer.from(text).toString('base64') });
  run.did({ op: 'fsync', path: file });
  run.did({ op: 'fsync', path: job.path('pending') });
  run.did({ op: 'dropped', path: id });
  job.drop(id, text);
  const dropped = Date.now();
  const isSaid = () => readText(run.place.at('events.ndjson'))?.includes(`"task":"${id}"`);
  // Nothing is said of what is found while a job is first read; a daemon that has beaten since (every 5 s) has looked.
  const hasBeaten = () => {
    const [, beat = ''] = /"heartbeat_at": "(.+?)"/.exec(readText(run.place.at('daemon.json')) ?? '') ?? [];
    return Date.parse(beat) > dropped + 5_000;
  };
  await run.until(`${id} is known`, () => isSaid() || hasBeaten());
}

function go(run: CrashRun, file: string): void {
  writeFileSync(run.place.aside(file), '');
}

/** `mv`, as often as the task comes back to where it was. */
async function moveUntil(run: CrashRun, id: string, from: Folder, to: Folder, isDone: () => boolean): Promise<void> {
  const job = run.place.job(JOB);
  await run.until(`${id} is moved from ${from}/ to ${to}/`, () => {
    if (isDone()) return true;
    if (job.isIn(from, id) && !job.isIn(to, id) && existsSync(job.path(to))) {
      run.did({ op: 'rename', path: job.file(from, id), to: job.file(to, id) });
      renameIfThere(job.file(from, id), job.file(to, id));
    }
    return false;
  });
}

/** Has a task run whose daemon has been killed. */
async function orphan(run: CrashRun, id: string, task: Task): Promise<void> {
  run.place.job(JOB).drop(id, task);
  await run.startPlainly();
  await run.until(`${id} has begun`, () => run.begun(id) > 0);
  await run.place.kill9();
}

/** Has the running task drop one, or an array of them, and say so. */
function dropping(run: CrashRun, ...ids: [string, ...string[]]): string {
  return droppingThese(run, ...ids.map((id) => ({ id, ...telling(run) })));
}

function droppingThese(run: CrashRun, ...tasks: (Task & { id: string })[]): string {
  const [only] = tasks;
  const [name, value] =
    only !== undefined && tasks.length === 1 ? [only.id, { ...only, id: undefined }] : ['many', tasks];
  const text = JSON.stringify(value).replaceAll("'", "'\\''");
  const [draft, file] = [`"$SPOOLD_PENDING/.${name}"`, `"$SPOOLD_PENDING/${name}.json"`];
  const told = tasks.map(({ id }) => `dropped ${id} $SPOOLD_ATTEMPT\\n`).join('');
  return `printf '%s' '${text}' >${draft} && mv ${draft} ${file} && printf "${told}" >>'${run.account}'`;
}

/** Its owner swaps job.json for another. */
function settings(run: CrashRun, value: Task): void {
  const job = run.place.job(JOB);
  const [draft, file] = [job.path('.draft'), job.path('job.json')];
  const data = JSON.stringify(value);
  run.did({ op: 'create', path: draft });
  run.did({ op: 'write', path: draft, data: Buffer.from(data).toString('base64') });
  run.did({ op: 'fsync', path: draft });
  run.did({ op: 'rename', path: draft, to: file });
  writeFileSync(draft, data);
  renameSync(draft, file);
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'success',
    power: true,
    short: true,
    runner: true,
    before: (run) => void run.place.job(JOB).drop('x', telling(run)),
    ends: { 'j/x': ['succeeded', 1] },
  },
  {
    name: 'retries',
    power: true,
    runner: true,
    before: (run) => void run.place.job(JOB).drop('x', { ...failsUntil(run, 3), retry: 2 }),
    ends: { 'j/x': ['succeeded', 3] },
  },
  {
    name: 'timeout',
    power: true,
    short: true,
    runner: true,
    before: (run) => void run.place.job(JOB).drop('x', { ...telling(run, 'sleep 600'), timeout: 0.3, kill_after: 0.2 }),
    ends: { 'j/x': ['failed', 1] },
  },
  {
    name: 'cancel',
    power: true,
    short: true,
    runner: true,
    before: (run) => void run.place.job(JOB).drop('x', waitsFor(run, 'nothing')),
    async act(run) {
      const job = run.place.job(JOB);
      const isStruck = () => job.isIn('failed', 'x'); // not a runner, but its command
      await run.until('x has begun', () => run.begun('x') > 0 || isStruck());
      await moveUntil(run, 'x', 'running', 'cancelled', () => job.isIn('cancelled', 'x') || isStruck());
    },
    ends: { 'j/x': ['cancelled', 1] },
  },
  {
    name: 'cancel of a family',
    power: true,
    short: true,
    children: ['c1', 'c2'],
    before(run) {
      const body = `${dropping(run, 'c1', 'c2')}; ${waiting(run, 'nothing')}`;
      run.place.job(JOB).make({ max_parallel: 1 }).drop('p', telling(run, body));
    },
    async act(run) {
      const job = run.place.job(JOB);
      await run.until('its children wait', () => job.isIn('pending', 'c1') && job.isIn('pending', 'c2'));
      await moveUntil(run, 'p', 'running', 'cancelled', () => job.isIn('cancelled', 'p'));
    },
    ends: { 'j/p': ['cancelled', 1], 'j/c1': ['cancelled', 0], 'j/c2': ['cancelled', 0] },
  },
  {
    name: 'cancel of a family in a family',
    power: true,
    children: ['c', 'g1', 'g2'],
    before(run) {
      const child = telling(run, `${dropping(run, 'g1', 'g2')}; ${waiting(run, 'nothing')}`);
      const body = `${droppingThese(run, { id: 'c', ...child })}; ${waiting(run, 'nothing')}`;
      run.place.job(JOB).make({ max_parallel: 2 }).drop('p', telling(run, body));
    },
    async act(run) {
      const job = run.place.job(JOB);
      await run.until('what its child has dropped waits', () => job.isIn('pending', 'g1') && job.isIn('pending', 'g2'));
      await moveUntil(run, 'p', 'running', 'cancelled', () => job.isIn('cancelled', 'p'));
    },
    ends: {
      'j/p': ['cancelled', 1],
      'j/c': ['cancelled', 1],
      'j/g1': ['cancelled', 0],
      'j/g2': ['cancelled', 0],
    },
  },
  {
    name: 'children',
    power: true,
    children: ['c1', 'c2', 'c3', 'c4'],
    runner: true,
    before(run) {
      const drops = `${dropping(run, 'c1')}; sleep 0.1; ${dropping(run, 'c2')}; ${dropping(run, 'c3', 'c4')}`;
      run.place
        .job(JOB)
        .drop('merge', { ...telling(run), dependencies: ['p'] })
        .drop('p', telling(run, drops));
    },
    ends: {
      'j/p': ['succeeded', 1],
      'j/c1': ['succeeded', 1],
      'j/c2': ['succeeded', 1],
      'j/c3': ['succeeded', 1],
      'j/c4': ['succeeded', 1],
      'j/merge': ['succeeded', 1],
    },
  },
  {
    name: 'family by defaults',
    power: true,
    children: ['c'],
    before(run) {
      const ended = `grep -q '^end c ' '${run.account}' || exit 1`; // merge fails if it begins too early
      run.place
        .job(JOB)
        .make({ max_parallel: 2, defaults: telling(run, 'sleep 0.1') })
        .drop('merge', { ...telling(run, ended), dependencies: ['p'] })
        .drop('p', telling(run, droppingThese(run, { id: 'c' })));
    },
    ends: { 'j/p': ['succeeded', 1], 'j/c': ['succeeded', 1], 'j/merge': ['succeeded', 1] },
  },
  {
    name: 'bulk drop',
    power: true,
    before(run) {
      const tasks = ['a', 'b', 'c'].map((id) => ({ id, ...telling(run) }));
      run.place.job(JOB).drop('many', JSON.stringify(tasks));
    },
    ends: { 'j/a': ['succeeded', 1], 'j/b': ['succeeded', 1], 'j/c': ['succeeded', 1] },
  },
  {
    name: 'bundle half spread',
    power: true,
    before(run) {
      const tasks = ['a', 'b', 'c'].map((id) => ({ id, ...telling(run) }));
      const job = run.place.job(JOB).drop('a', JSON.stringify({ ...tasks[0], id: 'a' }));
      job.write('pending/.bundle-many-0123abcd-1', JSON.stringify(tasks));
    },
    ends: { 'j/a': ['succeeded', 1], 'j/b': ['succeeded', 1], 'j/c': ['succeeded', 1] },
  },
  {
    name: 'submit',
    power: true,
    client: true,
    async act(run) {
      const tasks = { a: telling(run), b: { ...telling(run), dependencies: ['a'] } };
      writeFileSync(run.place.aside('flow.json'), JSON.stringify({ tasks }));
      await run.command(['submit', '--job', JOB, run.place.aside('flow.json')]);
    },
    ends: { 'j/a': ['succeeded', 1], 'j/b': ['succeeded', 1] },
  },
  {
    name: 'add',
    power: true,
    client: true,
    short: true,
    async act(run) {
      await run.command(['add', '--job', JOB, '--id', 'x', '--', '/bin/sh', '-c', telling(run)['shell'] as string]);
    },
    ends: { 'j/x': ['succeeded', 1] },
  },
  {
    name: 'skip and revival',
    power: true,
    before(run) {
      const job = run.place.job(JOB);
      job.drop('b', { ...telling(run), dependencies: ['x'] }).drop('c', { ...telling(run), dependencies: ['b'] });
      job.drop('x', failsUntil(run, 2));
    },
    async act(run) {
      const job = run.place.job(JOB);
      await run.until(
        'c is skipped',
        () => job.isIn('skipped', 'c') && job.isIn('skipped', 'b') && !job.isClaimed('x'),
      );
      await moveUntil(run, 'x', 'failed', 'pending', () => !job.isIn('failed', 'x'));
    },
    ends: { 'j/x': ['succeeded', 2], 'j/b': ['succeeded', 1], 'j/c': ['succeeded', 1] },
  },
  {
    name: 'moves by hand',
    waiting: ['later', 'never'],
    power: true,
    client: true,
    before(run) {
      const job = run.place.job(JOB);
      job.drop('later', { ...telling(run), not_before: '1h' }).drop('never', { ...telling(run), not_before: '1h' });
      job.drop('x', failsUntil(run, 2));
    },
    async act(run) {
      const job = run.place.job(JOB);
      await run.until('x has failed', () => job.isIn('failed', 'x') && !job.isClaimed('x'));
      await run.command(['retry', `${JOB}/x`]);
      await run.command(['cancel', `${JOB}/never`]);
      await run.command(['mark', `${JOB}/later`, 'succeeded']);
    },
    ends: { 'j/x': ['succeeded', 2], 'j/never': ['cancelled', 0], 'j/later': ['succeeded', 0] },
  },
  {
    name: 'stop --drain',
    before(run) {
      run.place.job(JOB).drop('x', waitsFor(run, 'go')).drop('y', telling(run));
    },
    async act(run) {
      await run.until('x has begun', () => run.begun('x') > 0);
      await run.askToStop('drain');
      go(run, 'go');
      await run.goneOnce();
    },
    ends: { 'j/x': ['succeeded', 1], 'j/y': ['succeeded', 1] },
  },
  {
    name: 'adoption',
    short: true,
    before: (run) => orphan(run, 'x', waitsFor(run, 'go')),
    async act(run) {
      await run.until('it serves', () => run.serves());
      go(run, 'go');
    },
    ends: { 'j/x': ['succeeded', 1] },
  },
  {
    name: 'on_lost: fail',
    power: true,
    runner: true,
    before: (run) => void run.place.job(JOB).drop('x', { ...telling(run), on_lost: 'fail' }),
    ends: { 'j/x': ['succeeded', 1] },
  },
  {
    name: 'one child',
    short: true,
    power: true,
    runner: true,
    children: ['c1'],
    before: (run) => void run.place.job(JOB).drop('p', telling(run, dropping(run, 'c1'))),
    ends: { 'j/p': ['succeeded', 1], 'j/c1': ['succeeded', 1] },
  },
  {
    name: 'adoption of a parent',
    short: true,
    children: ['c1', 'c2'],
    async before(run) {
      const body = `${dropping(run, 'c1')}; until [ -e '${run.place.aside('go')}' ]; do sleep 0.02; done; ${dropping(run, 'c2')}`;
      await orphan(run, 'p', telling(run, body));
    },
    async act(run) {
      await run.until('it serves', () => run.serves());
      go(run, 'go');
    },
    ends: { 'j/p': ['succeeded', 1], 'j/c1': ['succeeded', 1], 'j/c2': ['succeeded', 1] },
  },
  {
    name: 'ended without a daemon',
    short: true,
    async before(run) {
      await orphan(run, 'x', waitsFor(run, 'go'));
      go(run, 'go');
      await run.until('nothing runs', () => run.place.processes().length === 0);
    },
    ends: { 'j/x': ['succeeded', 1] },
  },
  {
    name: 'job_timeout',
    short: true,
    power: true,
    before(run) {
      run.place.job(JOB).make({ max_parallel: 1, job_timeout: '1h' }).drop('x', waitsFor(run, 'nothing'));
    },
    async act(run) {
      await run.until('x has begun', () => run.begun('x') > 0);
      await dropLater(run, 'y');
      settings(run, { max_parallel: 1, job_timeout: 0.01 });
    },
    late: ['y'],
    ends: { 'j/x': ['failed', 1], 'j/y': ['cancelled', 0] },
  },
  {
    name: 'on_failure: stop',
    power: true,
    before(run) {
      const job = run.place.job(JOB).make({ max_parallel: 1, on_failure: 'stop' });
      job.drop('x', failsUntil(run, 2, waiting(run, 'go')));
    },
    async act(run) {
      const job = run.place.job(JOB);
      await run.until('x has begun', () => run.begun('x') > 0);
      await dropLater(run, 'y');
      go(run, 'go');
      await run.until(
        'y is cancelled',
        () => job.isIn('cancelled', 'y') && job.isIn('failed', 'x') && !job.isClaimed('x'),
      );
      await moveUntil(run, 'x', 'failed', 'pending', () => !job.isIn('failed', 'x'));
    },
    late: ['y'],
    ends: { 'j/x': ['succeeded', 2], 'j/y': ['succeeded', 1] },
  },
  {
    name: 'stop --kill',
    before: (run) => void run.place.job(JOB).drop('x', waitsFor(run, 'go')),
    async act(run) {
      await run.until('x has begun', () => run.begun('x') > 0);
      await run.askToStop('kill');
      await run.goneOnce();
      go(run, 'go');
    },
    ends: { 'j/x': ['succeeded', 'again'] },
  },
  {
    name: 'archived name',
    client: true,
    async act(run) {
      await submitTwice(run, {});
    },
    ends: { 'j/a': ['succeeded', 1], 'j/b': ['succeeded', 1] },
  },
  {
    name: 'add while archiving',
    client: true,
    rival: true,
    async act(run) {
      let isAdded = false;
      const rival = async (): Promise<void> => {
        if (isAdded) return;
        await run.command([
          'add',
          '--job',
          JOB,
          '--id',
          'late',
          '--',
          '/bin/sh',
          '-c',
          telling(run)['shell'] as string,
        ]);
        isAdded = true;
      };
      await submitTwice(run, { rival });
      await rival();
    },
    ends: { 'j/a': ['succeeded', 1], 'j/b': ['succeeded', 1], 'j/late': ['succeeded', 1] },
  },
];

/** A job that ends, then another of its name. */
async function submitTwice(run: CrashRun, { rival }: CommandOptions): Promise<void> {
  const job = run.place.job(JOB);
  const flow = (id: string): string => {
    const path = run.place.aside(`${id}.json`);
    writeFileSync(path, JSON.stringify({ tasks: { [id]: telling(run) } }));
    return path;
  };
  const isShown = (id: string) => job.folderOf(id) !== undefined;
  await run.command(['submit', '--job', JOB, flow('a')], { isDone: () => isShown('a') });
  await run.until('a has ended', () => job.isIn('succeeded', 'a') && !job.isClaimed('a'));
  await run.command(['submit', '--job', JOB, flow('b')], { isDone: () => isShown('b'), ...(rival && { rival }) });
}
