// In which step each task of a graph can run: after all that it depends on, and after all that these queued. Also for
// graphs with cycles in them, which only a rejected file can have: an edge that closes one counts for nothing.

export interface Dependent {
  dependencies: readonly string[];
  /** Who queued it, nearest first. */
  ancestors: readonly string[];
}

/** Task → its level, from 1. What is not in `tasks` is at level 0. */
export function levelsOf(tasks: ReadonlyMap<string, Dependent>): Map<string, number> {
  const members = new Map<string, string[]>();
  for (const [id, { ancestors }] of tasks)
    for (const root of ancestors) {
      const known = members.get(root);
      if (known === undefined) members.set(root, [id]);
      else known.push(id);
    }
  const tasksDone = new Map<string, number>();
  const familiesDone = new Map<string, number>();
  // Two kinds of steps, so that a family of many with many dependents costs their sum and not their product.
  type Step = { id: string; family: boolean; next: number; level: number; waits: readonly string[] };
  const stepOf = (id: string, family: boolean): Step => {
    const waits = family ? [id, ...(members.get(id) ?? [])] : (tasks.get(id)?.dependencies ?? []);
    return { id, family, next: 0, level: 0, waits };
  };
  for (const root of tasks.keys()) {
    if (tasksDone.has(root)) continue;
    const stack = [stepOf(root, false)];
    tasksDone.set(root, 0); // while it is open
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const id = top.waits[top.next++];
      const done = top.family ? tasksDone : familiesDone;
      const own = top.family ? familiesDone : tasksDone;
      if (id === undefined) {
        const level = top.family ? top.level : tasks.has(top.id) ? top.level + 1 : 0;
        own.set(top.id, level);
        stack.pop();
        const below = stack.at(-1);
        if (below !== undefined) below.level = Math.max(below.level, level);
      } else if (done.has(id)) top.level = Math.max(top.level, done.get(id) ?? 0);
      else {
        done.set(id, 0);
        stack.push(stepOf(id, !top.family));
      }
    }
  }
  return new Map([...tasks.keys()].map((id) => [id, tasksDone.get(id) ?? 1]));
}
