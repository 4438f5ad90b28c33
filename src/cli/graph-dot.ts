// A graph in the DOT language of Graphviz. Names are labels in quotes, in which quotes, backslashes and what would be read
// as an entity of HTML are escaped.
import type { DrawnNode } from './drawing.ts';

const FILLS: Readonly<Record<string, string>> = {
  succeeded: '#d7f0d7',
  failed: '#f8d3d3',
  rejected: '#f8d3d3',
  cancelled: '#ecdcf2',
  skipped: '#ecdcf2',
  running: '#d3ecf8',
  pending: '#fbf3cf',
  held: '#fbf3cf',
  unknown: '#eeeeee',
};

export function dotText(job: string, nodes: readonly DrawnNode[]): string {
  const boxes = nodes.map(({ key, name, tasks, state }) => {
    const lines = [name, ...(tasks > 1 ? [`${tasks} tasks`] : []), ...(state === null ? [] : [state])];
    const fill = state === null ? '' : `, fillcolor="${FILLS[state]}"`;
    return `  ${key} [label="${lines.map(safe).join('\\n')}"${fill}];`;
  });
  const arrows = nodes.flatMap((node) => [
    ...node.after.map((before) => `  ${before.key} -> ${node.key}${ATTRIBUTES[node.run_if]};`),
    ...node.queued.map((child) => `  ${node.key} -> ${child.key} [style=dotted];`),
  ]);
  const head = [
    `digraph "${safe(job)}" {`,
    '  rankdir=TB;',
    '  node [shape=box, style="rounded,filled", fillcolor="#ffffff"];',
  ];
  return [...head, ...boxes, ...arrows, '}'].join('\n');
}

const ATTRIBUTES = { success: '', always: ' [label="whatever comes"]', failure: ' [label="if it fails"]' } as const;

function safe(text: string): string {
  return text
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]|\p{Cs}/gu, '·')
    .replaceAll('&', '&amp;')
    .replaceAll(/[\\"]/g, '\\$&');
}
