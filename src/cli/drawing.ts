// A graph as it is drawn, in whatever format: nodes and arrows. What many tasks have in common is drawn once: children of
// one parent that are in one state, wait for the same and have nobody waiting for them by name are one node.
import type { GraphTask, TaskGraph } from '../client/graph.ts';

export interface DrawnNode {
  /** `n0`, `n1`: safe in every format. */
  key: string;
  name: string;
  /** More than 1: it stands for so many. */
  tasks: number;
  state: GraphTask['state'];
  run_if: GraphTask['run_if'];
  /** Nodes that must end first, in the order of the file. */
  after: DrawnNode[];
  /** Nodes that it queued. */
  queued: DrawnNode[];
  isChild: boolean;
}

/** So many alike are drawn one by one. */
const FEW = 8;

/** `all`: every task is drawn. */
export function drawn({ tasks }: TaskGraph, all: boolean): DrawnNode[] {
  const lifted = liftDependencies(tasks);
  const nodes: DrawnNode[] = [];
  const byId = new Map<string, DrawnNode>();
  for (const group of groupsOf(lifted, all ? Number.POSITIVE_INFINITY : FEW)) {
    const [first] = group;
    if (first === undefined) continue;
    const name = group.length === 1 ? first.id : `${first.id} … ${group.at(-1)?.id}`;
    const node: DrawnNode = {
      key: `n${nodes.length}`,
      name,
      tasks: group.length,
      state: first.for_each ? null : first.state, // what it stands for has states of its own
      run_if: first.run_if,
      after: [],
      queued: [],
      isChild: false,
    };
    nodes.push(node);
    for (const { id } of group) byId.set(id, node);
  }
  const linked = new Set<DrawnNode>();
  for (const { id, dependencies, parent } of lifted) {
    const node = byId.get(id);
    if (node === undefined || linked.has(node)) continue;
    linked.add(node);
    node.after = dependencies.flatMap((dependency) => byId.get(dependency) ?? []);
    const above = parent === null ? undefined : byId.get(parent);
    node.isChild = above !== undefined;
    above?.queued.push(node);
  }
  return nodes;
}

/** Where all that for_each made wait for the same, it is drawn as that which they stand under waiting for it. */
function liftDependencies(tasks: readonly GraphTask[]): GraphTask[] {
  const heads = new Set(tasks.filter((task) => task.for_each).map(({ id }) => id));
  const common = new Map<string, string | undefined>();
  for (const { parent, dependencies } of tasks) {
    if (parent === null || !heads.has(parent)) continue;
    const own = JSON.stringify(dependencies);
    common.set(parent, common.has(parent) && common.get(parent) !== own ? undefined : own);
  }
  return tasks.map((task) => {
    const ofHead = task.for_each ? common.get(task.id) : undefined;
    if (ofHead !== undefined) return { ...task, dependencies: JSON.parse(ofHead) as string[] };
    return task.parent !== null && common.get(task.parent) !== undefined ? { ...task, dependencies: [] } : task;
  });
}

function groupsOf(tasks: readonly GraphTask[], few: number): GraphTask[][] {
  const wanted = new Set(tasks.flatMap(({ dependencies }) => dependencies));
  const parents = new Set(tasks.map(({ parent }) => parent));
  const groups = new Map<string, GraphTask[]>();
  for (const task of tasks) {
    const { id, parent, state, dependencies, run_if } = task;
    const isAlone = parent === null || wanted.has(id) || parents.has(id);
    const key = isAlone ? `alone ${id}` : JSON.stringify([parent, state, dependencies, run_if]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
  }
  return [...groups.values()].flatMap((group) => (group.length > few ? [group] : group.map((task) => [task])));
}
