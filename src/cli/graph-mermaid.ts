// A graph as a Mermaid flowchart. Names go into quoted labels in which everything but plain letters is written as the
// number of its character (an empty label is an error), so that no name can end a label or mean something.
import type { DrawnNode } from './drawing.ts';

const FILLS: Readonly<Record<string, string>> = {
  succeeded: 'fill:#d7f0d7,stroke:#3c8c3c',
  failed: 'fill:#f8d3d3,stroke:#b03030',
  rejected: 'fill:#f8d3d3,stroke:#b03030',
  cancelled: 'fill:#ecdcf2,stroke:#80509a',
  skipped: 'fill:#ecdcf2,stroke:#80509a',
  running: 'fill:#d3ecf8,stroke:#2f7fa8',
  pending: 'fill:#fbf3cf,stroke:#a8902f',
  held: 'fill:#fbf3cf,stroke:#a8902f',
  unknown: 'fill:#eeeeee,stroke:#888888,stroke-dasharray:4',
};

export function mermaidText(nodes: readonly DrawnNode[]): string {
  const boxes = nodes.map((node) => {
    const count = node.tasks > 1 ? [`${node.tasks} tasks`] : [];
    const label = [node.name || '·', ...count, ...(node.state === null ? [] : [node.state])].map(safe).join('<br/>');
    return `  ${node.key}["${label}"]${node.state === null ? '' : `:::${node.state}`}`;
  });
  const arrows = nodes.flatMap((node) => [
    ...node.after.map((before) => `  ${before.key} ${ARROWS[node.run_if]} ${node.key}`),
    ...node.queued.map((child) => `  ${node.key} -.-> ${child.key}`),
  ]);
  const states = [...new Set(nodes.flatMap(({ state }) => state ?? []))];
  const classes = states.map((state) => `  classDef ${state} ${FILLS[state]},color:#222222`);
  return ['flowchart TD', ...boxes, ...arrows, ...classes].join('\n');
}

const ARROWS = { success: '-->', always: '-->|whatever comes|', failure: '-->|if it fails|' } as const;

function safe(text: string): string {
  return Array.from(text, (c) => (/[A-Za-z0-9 ._=+@:/…-]/.test(c) ? c : code(c))).join('');
}

/** `#35;`. Control characters and halves of characters have no place in a label. */
function code(c: string): string {
  const point = c.codePointAt(0) ?? 0;
  const isNone = point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0xd800 && point < 0xe000);
  return isNone ? '·' : `#${point};`;
}
