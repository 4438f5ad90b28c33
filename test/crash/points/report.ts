// What is said of a violation: what contradicts, the change at which it was crashed with all that lay there then, and the
// one command that repeats it.
import type { CrashPlan, Outcome } from './run.ts';

export function failureText(plan: CrashPlan, { violations, story }: Outcome): string {
  return [
    `VIOLATION in ${plan.scenario.name}, ${plan.mode}, ${whereOf(plan)}`,
    ...violations.map((line) => `  ${line}`),
    ...story.map((line) => `  ${line}`),
    `  again: ${commandFor(plan)}`,
  ].join('\n');
}

/** The crash itself, as an option of `npm run crash`. */
export function whereOf({ points, call }: CrashPlan): string {
  return call === undefined ? `--point ${points?.join(',') ?? 0}` : `--call ${call.syscall}:${call.when}`;
}

function commandFor(plan: CrashPlan): string {
  const launcher = plan.launcher === undefined ? '' : ` --launcher ${plan.launcher}`;
  const sabotage = plan.sabotage === undefined ? '' : ` --sabotage '${plan.sabotage}'`;
  return `npm run crash -- --scenario '${plan.scenario.name}' --mode '${plan.mode}' ${whereOf(plan)}${launcher}${sabotage}`;
}
