// `npm run crash`: stops the world at every change that each scenario makes, one after the other, and after each starts it
// again and judges what became of it. Ends non-zero if anything contradicts, and says how to repeat that very crash.
import { parseArgs } from 'node:util';
import { generator } from '../../helpers/random.ts';
import { cutPower, record } from './power.ts';
import { crash, type CrashPlan, MODES, type Mode, type Outcome, whyNoStrace } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import type { LauncherKind } from './trace.ts';

const USAGE = `npm run crash -- [options]
  --scenario NAME   only this one (may be repeated): ${SCENARIOS.map(({ name }) => name).join(', ')}
  --mode MODE       only this one (may be repeated): ${MODES.join(', ')}
  --point N[,M]     only the crash at change N, and at change M of what follows
  --call NAME:N     only the death of a launcher or runner at its Nth call of NAME
  --pairs           every crash during the recovery from every crash too (short scenarios, or the one named)
  --power           only power cuts
  --states N        so many states of each scenario, a sample if there are more (1000)
  --seed N          of that sample (1)
  --launcher KIND   native, bash or posix
  --jobs N          so many at one time (2)
  --verbose         tell of each`;

interface Count {
  runs: number;
  crashes: number;
  violations: number;
  /** Of power cuts. */
  states: number;
}

const { values: given } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    mode: { type: 'string', multiple: true },
    point: { type: 'string' },
    call: { type: 'string' },
    pairs: { type: 'boolean', default: false },
    power: { type: 'boolean', default: false },
    states: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    launcher: { type: 'string' },
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
  const noStrace = await whyNoStrace();
  const total: Count = { runs: 0, crashes: 0, violations: 0, states: 0 };
  for (const scenario of scenarios) {
    for (const mode of given.power ? [] : modes) {
      if (byRunner(mode) && (noStrace !== undefined || !scenario.runner)) continue;
      if (mode === 'client' && !scenario.client) continue;
      await every(scenario, mode, total);
    }
    if (scenario.power && (given.power || given.mode === undefined)) await powerCuts(scenario, total);
  }
  if (noStrace !== undefined && modes.some(byRunner)) say(`launcher and runners were left out: ${noStrace}`);
  say(
    `in all: ${scenarios.length} scenarios, ${total.crashes} crashes in ${total.runs} runs, ${total.states} states after power cuts, ${total.violations} violations`,
  );
  return total.violations === 0 ? 0 : 1;
}

function byRunner(mode: Mode): boolean {
  return mode === 'runner' || mode === 'all at runner';
}

async function every(scenario: Scenario, mode: Mode, total: Count): Promise<void> {
  const count: Count = { runs: 0, crashes: 0, violations: 0, states: 0 };
  const since = performance.now();
  const base: CrashPlan = { scenario, mode, ...(given.launcher && { launcher: given.launcher as LauncherKind }) };
  const attempt = async (plan: Partial<CrashPlan>): Promise<Outcome> => {
    const outcome = await crash({ ...base, ...plan });
    report({ ...base, ...plan }, outcome, count);
    return outcome;
  };
  if (given.point !== undefined || given.call !== undefined) await attempt(asked());
  else {
    const whole = await attempt({});
    if (byRunner(mode)) {
      const calls = Object.entries(whole.calls).flatMap(([syscall, most]) =>
        Array.from({ length: most }, (_, i) => ({ syscall, when: i + 1 })),
      );
      await pool(calls, (call) => attempt({ call }).then(() => undefined));
    } else await everyPoint(mode, whole, scenario.short === true || given.scenario !== undefined, attempt);
  }
  const seconds = ((performance.now() - since) / 1000).toFixed(0);
  say(
    `${scenario.name}, ${mode}: ${count.crashes} crashes in ${count.runs} runs, ${count.violations} violations, ${seconds} s`,
  );
  for (const key of ['runs', 'crashes', 'violations'] as const) total[key] += count[key];
}

async function powerCuts(scenario: Scenario, total: Count): Promise<void> {
  const since = performance.now();
  const recorded = await record(scenario);
  const random = generator(Number(given.seed));
  const { states, isWhole, violations } = await cutPower(scenario, recorded, { most: Number(given.states), random });
  for (const text of violations.slice(0, 5)) say(`VIOLATION after a power cut\n  ${text.replaceAll('\n', '\n  ')}`);
  const seconds = ((performance.now() - since) / 1000).toFixed(0);
  const which = isWhole ? 'all' : `a sample (seed ${given.seed}) of`;
  say(`${scenario.name}, power cut: ${which} ${states} states, ${violations.length} violations, ${seconds} s`);
  total.states += states;
  total.violations += violations.length;
}

/** Change after change until the scenario is over before it comes to the next; with pairs, each change of what recovers from it. */
async function everyPoint(
  mode: Mode,
  whole: Outcome,
  mayPair: boolean,
  attempt: (plan: Partial<CrashPlan>) => Promise<Outcome>,
): Promise<void> {
  const most = mode === 'client' ? whole.commandChanges.reduce((sum, n) => sum + n, 0) : Math.max(...whole.changes);
  const points = Array.from({ length: most }, (_, i) => i + 1);
  const pairs: [number, number][] = [];
  await pool(points, async (point) => {
    const outcome = await attempt({ points: [point] });
    const recovery = outcome.changesAfter;
    if (given.pairs && mayPair && mode !== 'client') for (let m = 1; m <= recovery; m++) pairs.push([point, m]);
  });
  await pool(pairs, (pair) => attempt({ points: pair }).then(() => undefined));
}

async function pool<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(given.jobs)) }, worker));
}

function asked(): Partial<CrashPlan> {
  const [syscall = '', when = '1'] = (given.call ?? '').split(':');
  return {
    ...(given.point === undefined ? {} : { points: given.point.split(',').map(Number) }),
    ...(given.call === undefined ? {} : { call: { syscall, when: Number(when) } }),
  };
}

function report(plan: CrashPlan, outcome: Outcome, count: Count): void {
  count.runs += 1;
  count.crashes += outcome.crashes;
  const where =
    plan.call === undefined
      ? `--point ${plan.points?.join(',') ?? 0}`
      : `--call ${plan.call.syscall}:${plan.call.when}`;
  if (given.verbose)
    say(`  ${plan.scenario.name} ${plan.mode} ${where}: ${outcome.violations.length === 0 ? 'ok' : 'WRONG'}`);
  if (outcome.violations.length === 0) return;
  count.violations += 1;
  const launcher = given.launcher === undefined ? '' : ` --launcher ${given.launcher}`;
  say(
    [
      `VIOLATION in ${plan.scenario.name}, ${plan.mode}, ${where}`,
      ...outcome.violations.map((line) => `  ${line}`),
      ...outcome.story.map((line) => `  ${line}`),
      `  again: npm run crash -- --scenario '${plan.scenario.name}' --mode '${plan.mode}' ${where}${launcher}`,
    ].join('\n'),
  );
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
