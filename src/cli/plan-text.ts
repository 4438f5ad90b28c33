// The plan of `submit --dry-run`, a line for each task: its level, the turn in which it would run, and what it waits for.
import type { Plan, PlannedTask } from '../client/plan.ts';
import { styled } from './print.ts';
import { count, list } from './words.ts';

export function planText(job: string, { tasks, levels, turns, limit, said_by }: Plan): string {
  const title = `${styled('bold', job)}: ${count(tasks.length, 'task')} in ${count(levels, 'level')}, at most ${limit} at a time (${said_by})`;
  const all = rowsOf(tasks);
  const width = all.reduce((most, { name }) => Math.max(most, name.length), 4);
  const rows = all.map(({ level, turns: when, name, first }, i) => {
    const number = all[i - 1]?.level === level ? '' : `${level}`;
    return `${number.padStart(5)}  ${when.padStart(5)}  ${name.padEnd(width)}  ${waitsFor(first)}`.trimEnd();
  });
  const head = styled('dim', 'level   turn  task');
  const closing = `${count(turns, 'turn')}, if all tasks took equally long and succeeded; nothing was written.`;
  return [title, '', head, ...rows, '', closing].join('\n');
}

/** Of a family that is larger than this, one line tells about all in a level. */
const MOST_SHOWN = 5;

interface Row {
  level: number;
  turns: string;
  name: string;
  first: PlannedTask;
}

function rowsOf(tasks: readonly PlannedTask[]): Row[] {
  const rows: Row[] = [];
  const families = new Map<string, PlannedTask[]>();
  for (const task of tasks) {
    const { id, level, turn, parent } = task;
    const key = JSON.stringify([level, parent]);
    const family = parent === null ? undefined : (families.get(key) ?? membersOf(tasks, level, parent));
    if (family !== undefined && !families.has(key)) families.set(key, family);
    if (family === undefined || family.length <= MOST_SHOWN)
      rows.push({ level, turns: turn === null ? '-' : `${turn}`, name: id, first: task });
    else if (family[0] === task)
      rows.push({ level, turns: span(family), name: `${parent} (${count(family.length, 'task')})`, first: task });
  }
  return rows;
}

function membersOf(tasks: readonly PlannedTask[], level: number, parent: string): PlannedTask[] {
  return tasks.filter((task) => task.level === level && task.parent === parent);
}

function span(family: readonly PlannedTask[]): string {
  const turns = family.flatMap(({ turn }) => turn ?? []);
  const [first, last] = [turns.reduce((a, b) => Math.min(a, b), Infinity), turns.reduce((a, b) => Math.max(a, b), 0)];
  return last === 0 ? '-' : first === last ? `${first}` : `${first}-${last}`;
}

function waitsFor({ dependencies, run_if, lacks }: PlannedTask): string {
  if (lacks !== null) return `would be rejected: ${lacks}`;
  if (dependencies.length === 0) return '';
  const names = list(dependencies, 5);
  if (run_if === 'failure') return `only if ${names} fail${dependencies.length === 1 ? 's' : ''}`;
  return run_if === 'always' ? `after ${names}, come what may` : `after ${names}`;
}
