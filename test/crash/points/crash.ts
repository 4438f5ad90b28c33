// `npm run crash`: stops the world at every change that each scenario makes, one after the other, and after each starts it
// again and judges what became of it. Ends non-zero if anything contradicts, and says how to repeat that very crash.
import { parseArgs } from 'node:util';
import { generator } from '../../helpers/random.ts';
import { cutImages, whyNoImages } from './image.ts';
import { cutPower, record, recoverKept } from './power.ts';
import { failureText, whereOf } from './report.ts';
import { crash, type CrashPlan, MODES, type Mode, type Outcome, whyNoStrace } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import type { LauncherKind, Sabotage } from './trace.ts';

const USAGE = `npm run crash -- [options]
  --scenario NAME   only this one (may be repeated): ${SCENARIOS.map(({ name }) => name).join(', ')}
  --mode MODE       only this one (may be repeated): ${MODES.join(', ')}
  --point N[,M]     only the crash at change N, and at change M of what follows
  --call NAME:N     only the death of a launcher or runner at its Nth call of NAME
  --single          no crashes of the recovery; without it, all of them in short scenarios
  --pairs           and in the others
  --power           only power cuts
  --states N        so many states of each scenario, a sample if there are more (1000)
  --seed N          of that sample (1)
  --images N        power cuts of a mounted ext4 image, as root, where no scenario or mode is named (5)
  --launcher KIND   native, bash or posix; without it, native, and the other two in short scenarios
  --cut FILE        only the state after a power cut that is kept there
  --sabotage WHAT   a wrong order, to see it found: 'unlink before link' or 'no claim'
  --jobs N          so many at one time (2)
  --verbose         tell of each`;

interface Count {
  /** Crashes of one daemon, command line, launcher or runner. */
  crashes: number;
  /** Crashes of a recovery: all that there are, and those that left a state which no other one had. */
  pairs: number;
  distinct: number;
  /** After power cuts: as the model has them, and of a mounted image. */
  states: number;
  images: number;
  violations: number;
}

const none = (): Count => ({ crashes: 0, pairs: 0, distinct: 0, states: 0, images: 0, violations: 0 });

const { values: given } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    mode: { type: 'string', multiple: true },
    point: { type: 'string' },
    call: { type: 'string' },
    single: { type: 'boolean', default: false },
    pairs: { type: 'boolean', default: false },
    cut: { type: 'string' },
    power: { type: 'boolean', default: false },
    states: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    images: { type: 'string' },
    launcher: { type: 'string' },
    sabotage: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (given.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const scenarios = SCENARIOS.filter(({ name }) => given.scenario?.includes(name) ?? true);
  const modes = MODES.filter((mode) => given.mode?.includes(mode) ?? true);
  const strange = [
    ...(given.scenario ?? []).filter((name) => !SCENARIOS.some((scenario) => scenario.name === name)),
    ...(given.mode ?? []).filter((name) => !MODES.some((mode) => mode === name)),
  ];
  if (strange.length > 0) {
    process.stderr.write(`there is no ${strange.join(', ')}\n${USAGE}\n`);
    return 2;
  }
  const numbers = { jobs: given.jobs, states: given.states, seed: given.seed, images: given.images ?? '0' };
  const noNumbers = Object.entries(numbers).filter(([, text]) => !/^\d+$/.test(text));
  if (noNumbers.length > 0) {
    process.stderr.write(`${noNumbers.map(([key, text]) => `--${key} ${text}: expected a number`).join('\n')}\n`);
    return 2;
  }
  if (given.cut !== undefined) return await repeatCut(given.cut);
  const noStrace = await whyNoStrace();
  const total = none();
  const since = performance.now();
  for (const scenario of scenarios) {
    for (const mode of given.power ? [] : modes) {
      if (!has(scenario, mode) || (byRunner(mode) && noStrace !== undefined)) continue;
      for (const launcher of launchersFor(scenario, mode)) await every(scenario, mode, launcher, total);
    }
    if (scenario.power && (given.power || given.mode === undefined)) await powerCuts(scenario, total);
  }
  const images = Number(given.images ?? (given.scenario === undefined && given.mode === undefined ? 5 : 0));
  if (images > 0) await realPowerCuts(images, total);
  if (noStrace !== undefined && modes.some(byRunner)) say(`launcher and runners were left out: ${noStrace}`);
  say(`in all: ${scenarios.length} scenarios, ${inWords(total, since)}`);
  const { crashes, distinct, states, images: cut, violations } = total;
  if (crashes + distinct + states + cut > 0) return violations === 0 ? 0 : 1;
  process.stderr.write('nothing was made to crash: no such scenario has such a mode\n');
  return 2;
}

/** Those of its counts that are not 0, and how long it took. */
function inWords({ crashes, pairs, distinct, states, images, violations }: Count, since: number): string {
  const minutes = ((performance.now() - since) / 60_000).toFixed(1);
  const words = [
    [crashes, `${crashes} crash points`],
    [pairs, `${pairs} pairs (${distinct} run, the others leave a state that was recovered from before)`],
    [states, `${states} states after power cuts`],
    [images, `${images} power cuts of a mounted ext4`],
  ] as const;
  return [...words.flatMap(([n, text]) => (n > 0 ? [text] : [])), `${violations} violations`, `${minutes} min`].join(
    ', ',
  );
}

function has(scenario: Scenario, mode: Mode): boolean {
  if (mode === 'client') return scenario.client === true;
  if (mode === 'rival') return scenario.rival === true;
  return !byRunner(mode) || scenario.runner === true;
}

function byRunner(mode: Mode): boolean {
  return mode === 'runner' || mode === 'all at runner';
}

function launchersFor(scenario: Scenario, mode: Mode): (LauncherKind | undefined)[] {
  if (given.launcher !== undefined) return [given.launcher as LauncherKind];
  return byRunner(mode) && scenario.short === true ? ['native', 'bash', 'posix'] : [undefined];
}

async function every(scenario: Scenario, mode: Mode, launcher: LauncherKind | undefined, total: Count): Promise<void> {
  const count = none();
  const since = performance.now();
  const sabotage = given.sabotage as Sabotage | undefined;
  const knownEnds = new Set<string>();
  const base: CrashPlan = { scenario, mode, knownEnds, ...(launcher && { launcher }), ...(sabotage && { sabotage }) };
  const attempt = async (plan: Partial<CrashPlan>): Promise<Outcome> => {
    const outcome = await crash({ ...base, ...plan });
    if (plan.points?.length !== 2) count.crashes += outcome.crashes;
    else if (outcome.crashes === 2) count.distinct += 1;
    report({ ...base, ...plan }, outcome, count);
    return outcome;
  };
  if (given.point !== undefined || given.call !== undefined) await attempt(asked());
  else if (byRunner(mode)) await everyCall(await attempt({}), attempt);
  else count.pairs = await everyPoint(scenario, mode, attempt);
  if (count.crashes + count.distinct === 0) {
    count.violations += 1;
    say(`VIOLATION in ${scenario.name}, ${mode}: it came to no crash, and nothing was tested`);
  }
  const name = launcher === undefined ? mode : `${mode} (${launcher})`;
  say(`${scenario.name}, ${name}: ${inWords(count, since)}`);
  for (const key of Object.keys(total) as (keyof Count)[]) total[key] += count[key];
}

type Attempt = (plan: Partial<CrashPlan>) => Promise<Outcome>;

async function everyCall({ calls }: Outcome, attempt: Attempt): Promise<void> {
  const all = Object.entries(calls).flatMap(([syscall, most]) =>
    Array.from({ length: most }, (_, i) => ({ syscall, when: i + 1 })),
  );
  await pool(all, (call) => attempt({ call }).then(() => undefined));
}

/**
 * Change after change until the scenario is over before it comes to the next; then each change of each recovery, where that
 * leaves a state from which none was made yet. Gives the number of those pairs, whether they were made or not.
 */
async function everyPoint(scenario: Scenario, mode: Mode, attempt: Attempt): Promise<number> {
  const withPairs = mode === 'daemon' || mode === 'all';
  const tellStates = withPairs && !given.single && (scenario.short === true || given.pairs);
  const whole = await attempt({ tellStates });
  const most = withPairs ? Math.max(...whole.changes) : whole.commandChanges.reduce((sum, n) => sum + n, 0);
  // Until something is handed over, nothing runs that could end with the daemon.
  const first = mode === 'all' ? whole.handedOverAt : 1;
  const known = new Set(whole.states);
  const pairs: { points: number[]; state: string }[] = [];
  await pool(range(first, most), async (point) => {
    const { statesAfter } = await attempt({ points: [point], tellStates });
    if (!tellStates) return;
    pairs.push(...statesAfter.map((state, index) => ({ points: [point, index + 1], state })));
  });
  const isNew = ({ state }: { state: string }) => !known.has(state) && known.add(state);
  await pool(pairs.filter(isNew), ({ points }) => attempt({ points }).then(() => undefined));
  return pairs.length;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

async function powerCuts(scenario: Scenario, total: Count): Promise<void> {
  const since = performance.now();
  const recorded = await record(scenario);
  const random = generator(Number(given.seed));
  const { states, isWhole, violations } = await cutPower(scenario, recorded, { most: Number(given.states), random });
  for (const { text, file } of violations.slice(0, 5))
    say(
      `VIOLATION after a power cut in ${scenario.name}\n  ${text.replaceAll('\n', '\n  ')}\n  again: npm run crash -- --cut ${file}`,
    );
  const seconds = ((performance.now() - since) / 1000).toFixed(0);
  const which = isWhole ? 'all' : `a sample (seed ${given.seed}) of`;
  say(`${scenario.name}, power cut: ${which} ${states} states, ${violations.length} violations, ${seconds} s`);
  total.states += states;
  total.violations += violations.length;
}

async function pool<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(given.jobs)) }, worker));
}

async function realPowerCuts(count: number, total: Count): Promise<void> {
  const why = whyNoImages();
  if (why !== undefined) return say(`power cuts of a mounted image were left out: ${why}`);
  const violations = await cutImages(count, generator(Number(given.seed)));
  for (const text of violations) say(`VIOLATION after a power cut of a mounted image\n  ${text}`);
  say(`ext4, mounted and copied: ${count} images, ${violations.length} violations`);
  total.images += count;
  total.violations += violations.length;
}

async function repeatCut(file: string): Promise<number> {
  const violations = await recoverKept(file);
  for (const { text } of violations) say(`VIOLATION after a power cut\n  ${text.replaceAll('\n', '\n  ')}`);
  if (violations.length === 0) say('recovered from without a violation');
  return violations.length === 0 ? 0 : 1;
}

function asked(): Partial<CrashPlan> {
  const [syscall = '', when = '1'] = (given.call ?? '').split(':');
  return {
    ...(given.point === undefined ? {} : { points: given.point.split(',').map(Number) }),
    ...(given.call === undefined ? {} : { call: { syscall, when: Number(when) } }),
  };
}

function report(plan: CrashPlan, outcome: Outcome, count: Count): void {
  const isGood = outcome.violations.length === 0;
  if (given.verbose) say(`  ${plan.scenario.name} ${plan.mode} ${whereOf(plan)}: ${isGood ? 'ok' : 'WRONG'}`);
  if (isGood) return;
  count.violations += 1;
  say(failureText(plan, outcome));
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
