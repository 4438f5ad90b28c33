// A graph as a tree of lines. Each task stands once: under who queued it, else under that of its dependencies which ends
// last as far as the graph tells; the others are named beside it.
import { levelsOf } from '../client/levels.ts';
import type { TaskGraph } from '../client/graph.ts';
import type { DrawnNode } from './drawing.ts';
import { styled } from './print.ts';
import { coloured } from './status-text.ts';
import { count, list, oneLine } from './words.ts';

/** Deeper than this a branch goes on at the left. */
const DEEPEST = 40;

export function treeText({ job, tasks }: TaskGraph, nodes: readonly DrawnNode[]): string {
  const above = parentsOf(nodes);
  const below = new Map<DrawnNode, DrawnNode[]>();
  for (const node of nodes) {
    const under = above.get(node);
    const others = under === undefined ? undefined : below.get(under);
    if (others !== undefined) others.push(node);
    else if (under !== undefined) below.set(under, [node]);
  }
  for (const nodesBelow of below.values()) nodesBelow.sort(byLineage);
  const lines = [`${styled('bold', oneLine(job))}: ${totals(tasks)}`];
  const done = new Set<DrawnNode>();
  // Roots first; then what only a cycle leads to, and what lies too deep.
  const roots = [...nodes.filter((node) => !above.has(node)), ...nodes];
  for (const root of roots) if (!done.has(root)) draw(root, below, done, lines, above);
  if (nodes.some(({ isChild }) => isChild))
    lines.push(styled('dim', '╌ queued by the task above, or made by its for_each'));
  return lines.join('\n');
}

function byLineage(a: DrawnNode, b: DrawnNode): number {
  return Number(b.isChild) - Number(a.isChild);
}

function parentsOf(nodes: readonly DrawnNode[]): Map<DrawnNode, DrawnNode> {
  const above = new Map<DrawnNode, DrawnNode>();
  for (const node of nodes) for (const child of node.queued) above.set(child, node);
  const levels = levelsOf(
    new Map(
      nodes.map((node) => {
        const parent = above.get(node);
        return [
          node.key,
          { dependencies: node.after.map(({ key }) => key), ancestors: parent === undefined ? [] : [parent.key] },
        ];
      }),
    ),
  );
  const levelOf = ({ key }: DrawnNode) => levels.get(key) ?? 0;
  for (const node of nodes) {
    if (above.has(node)) continue;
    const last = node.after
      .filter((one) => one !== node)
      .reduce<DrawnNode | undefined>(
        (best, one) => (best === undefined || levelOf(one) > levelOf(best) ? one : best),
        undefined,
      );
    if (last !== undefined) above.set(node, last);
  }
  return above;
}

interface Step {
  node: DrawnNode;
  /** What stands before its lines, and before those below it. */
  lead: string;
  rest: string;
  depth: number;
}

function draw(
  root: DrawnNode,
  below: ReadonlyMap<DrawnNode, DrawnNode[]>,
  done: Set<DrawnNode>,
  lines: string[],
  above: ReadonlyMap<DrawnNode, DrawnNode>,
): void {
  const stack: Step[] = [{ node: root, lead: '', rest: '', depth: 0 }];
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    const { node, lead, rest, depth } = step;
    if (done.has(node)) continue;
    done.add(node);
    const under = (below.get(node) ?? []).filter((one) => !done.has(one));
    const more = depth === DEEPEST && under.length > 0 ? styled('dim', '  … goes on further down') : '';
    lines.push(`${styled('dim', lead)}${nodeText(node, depth === 0 ? undefined : above.get(node))}${more}`);
    if (depth === DEEPEST) continue;
    for (const [i, one] of [...under.entries()].toReversed()) {
      const isLast = i === under.length - 1;
      const corner = `${isLast ? '└' : '├'}${one.isChild ? '╌' : '─'} `;
      stack.push({ node: one, lead: rest + corner, rest: rest + (isLast ? '   ' : '│  '), depth: depth + 1 });
    }
  }
}

function nodeText(node: DrawnNode, under: DrawnNode | undefined): string {
  const name = oneLine(node.name);
  const many = node.tasks > 1 ? ` (${count(node.tasks, 'task')})` : '';
  const state =
    node.state === null
      ? ''
      : `  ${node.state === 'unknown' ? styled('red', 'not queued by anybody') : coloured(node.state)}`;
  const others = node.after.filter((one) => one !== under).map((one) => oneLine(one.name));
  const also =
    others.length === 0 ? '' : `${under === undefined || node.isChild ? 'after' : 'and after'} ${list(others, 5)}`;
  const when = { success: '', always: 'whatever comes', failure: 'only if that fails' }[node.run_if];
  const notes = [also, when].filter((note) => note !== '').join('; ');
  return `${name}${many}${state}${notes === '' ? '' : `  ${styled('dim', `(${notes})`)}`}`;
}

function totals(tasks: TaskGraph['tasks']): string {
  const own = tasks.filter(({ for_each }) => !for_each);
  const states = new Map<string, number>();
  for (const { state } of own) if (state !== null) states.set(state, (states.get(state) ?? 0) + 1);
  const parts = [...states].map(([state, n]) => `${n} ${state}`);
  return [count(own.length, 'task'), ...parts].join(', ');
}
