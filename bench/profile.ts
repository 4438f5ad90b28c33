// A profile of V8's sampling profiler → what each function cost by itself. Pure. Calls into the system have no file, and
// Node's own have `node:`: both count for the nearest function of ours that called them, and are named beside it.

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string };
  children?: readonly number[];
}

/** What `node --cpu-prof` writes. Times are in µs. */
export interface Profile {
  nodes: readonly ProfileNode[];
  /** Ids of nodes, one a sample. */
  samples: readonly number[];
  timeDeltas: readonly number[];
}

const IDLE = '(idle)';

const isOurs = ({ callFrame: { url } }: ProfileNode): boolean => url !== '' && !url.startsWith('node:');

/** `[name, µs]`, the dearest first; `writeScript: open` is what writeScript spent in open. Idling is left out. */
export function ownCosts({ nodes, samples, timeDeltas }: Profile): [string, number][] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const nameOf = (id: number): string => {
    const node = byId.get(id);
    let ours = node;
    while (ours !== undefined && !isOurs(ours)) ours = parents.get(ours.id);
    const own = node?.callFrame.functionName || '(anonymous)';
    if (ours === undefined || ours === node) return own;
    return `${ours.callFrame.functionName || '(anonymous)'}: ${own}`;
  };
  const costs = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = nameOf(id);
    costs.set(name, (costs.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  });
  costs.delete(IDLE);
  return [...costs].sort(([, a], [, b]) => b - a);
}
