// The plan of `submit --dry-run`, a line for each task: its level, the turn in which it would run, and what it waits for.
import type { Plan, PlannedTask } from '../client/plan.ts';
import { styled } from './print.ts';
import { count, list } from './words.ts';

export function planText(job: string, { tasks, levels, turns, limit, said_by }: Plan): string {
  const title = `${styled('bold', job)}: ${count(tasks.length, 'task')} in ${count(levels, 'level')}, at most ${limit} at a time (${said_by})`;
  const width = tasks.reduce((most, { id }) => Math.max(most, id.length), 4);
  const rows = tasks.map((task, i) => {
    const level = tasks[i - 1]?.level === task.level ? '' : `${task.level}`;
    return `${level.padStart(5)}  ${(task.turn === null ? '-' : `${task.turn}`).padStart(4)}  ${task.id.padEnd(width)}  ${waitsFor(task)}`.trimEnd();
  });
  const head = styled('dim', `level  turn  task`);
  const closing = `${count(turns, 'turn')}, if all tasks took equally long and succeeded; nothing was written.`;
  return [title, '', head, ...rows, '', closing].join('\n');
}

function waitsFor({ dependencies, run_if, lacks }: PlannedTask): string {
  if (lacks !== null) return `would be rejected: ${lacks}`;
  if (dependencies.length === 0) return '';
  const names = list(dependencies, 5);
  if (run_if === 'failure') return `only if ${names} fail${dependencies.length === 1 ? 's' : ''}`;
  return run_if === 'always' ? `after ${names}, come what may` : `after ${names}`;
}
