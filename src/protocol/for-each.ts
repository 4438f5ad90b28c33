// `for_each` of a task in a workflow: one task for each entry of a list, or for each line of a file. They are a family: its
// members have the task's id as their parent, and what depends on that id waits for all of them. Nobody runs under the id
// itself: it is queued as a task that has succeeded, or, for an empty list, as one that does nothing in its turn.
import { idPart, type MadeIds } from './made-ids.ts';
import { FOR_EACH_KEY } from './names.ts';
import { MAX_BUNDLE_BYTES } from './task.ts';
import { expected, isObject, type Problem, quote, type Raw, show, weigh } from './validation.ts';
import { type Filler, fillKeys, isScalar, MOST_SUGGESTED, type Scalar, type Scope } from './variables.ts';

/** What of the disk a workflow needs: the lines of a file beside it, or why there are none. */
export type LinesOf = (path: string) => { lines: string[] } | { problem: string };

export type Item = Scalar | Readonly<Record<string, Scalar>>;

export interface Family {
  /** Ids of the members → what becomes their files. */
  members: Map<string, Raw>;
  /** The task under the id itself. */
  head: Raw;
}

/** Members of one family. */
export const MAX_ITEMS = 100_000;

const FOR_EACH_WORDS = 'a list as [a, b], or {lines_of: FILE}';

interface Around {
  variables: Scope;
  filler: Filler;
  ids: MadeIds;
  linesOf: LinesOf;
}

/** A task with `for_each` → its family; undefined if that is wrong, which `filler.problems` then says. */
export function expandTask(id: string, task: Raw, around: Around): Family | undefined {
  const { for_each: written, ...template } = task;
  const items = itemsOf(written, ['tasks', id, 'for_each'], around);
  if (items === undefined) return undefined;
  if (items.length === 0) return { members: new Map(), head: emptyHead(id, template, around) };
  if (weigh(template, MAX_BUNDLE_BYTES) * items.length > MAX_BUNDLE_BYTES) {
    around.filler.problems.push({
      path: ['tasks', id, 'for_each'],
      message: 'makes tasks of more than 64 MB together',
    });
    return undefined;
  }
  const members = new Map<string, Raw>();
  const known = new Set<string>();
  const { filler } = around;
  const told = filler.problems.length;
  for (const [index, item] of items.entries()) {
    const raw = fillKeys(template, scopeOf(item, index, around.variables), ['tasks', id], filler);
    const wanted = `${id}.${partOf(item) || index}`;
    members.set(around.ids.take(wanted), { ...raw, parent: id, ancestors: [id] });
    if (filler.problems.length - told >= MOST_SUGGESTED) break; // what is wrong with the rest is most likely the same
  }
  // What is wrong for each of them is said once.
  const repeated = filler.problems.splice(told).filter(({ path, message }) => {
    const what = JSON.stringify([path, message]);
    return !known.has(what) && known.add(what);
  });
  for (const problem of repeated) filler.problems.push(problem);
  const count = members.size === 1 ? 'one task' : `${members.size} tasks`;
  const [first = ''] = members.keys();
  const description = `for_each: what depends on ${id} waits for its ${count}, ${first}${members.size > 1 ? ' and so on' : ''}`;
  return { members, head: { command: ['true'], description, [FOR_EACH_KEY]: members.size } };
}

/**
 * With nothing to wait for, what depends on it still waits for what it would have waited for. All of it is filled in, so that
 * the same is wrong with it as if there were entries.
 */
function emptyHead(id: string, template: Raw, { variables, filler }: Around): Raw {
  const scope: Scope = {
    valueOf: (name) => (/^(item|index)\b/.test(name) ? '' : variables.valueOf(name)),
    names: variables.names,
  };
  const { dependencies: filled, run_if } = fillKeys(template, scope, ['tasks', id], filler);
  const named = Array.isArray(template.dependencies) ? (template.dependencies as unknown[]) : [];
  const dependencies = named.flatMap((one, i) => (isOfItem(one) ? [] : [(filled as unknown[])[i]]));
  return {
    command: ['true'],
    description: 'for_each of an empty list: there was nothing to do',
    ...(dependencies.length > 0 && { dependencies }),
    ...(run_if !== undefined && !isOfItem(template.run_if) && { run_if }),
  };
}

function isOfItem(value: unknown): boolean {
  return typeof value === 'string' && /\$\{(item|index)\b/.test(value);
}

function itemsOf(written: unknown, path: Problem['path'], { variables, filler, linesOf }: Around): Item[] | undefined {
  const complain = (message: string, at: Problem['path'] = path) => {
    filler.problems.push({ path: at, message });
    return undefined;
  };
  const value = filler.fill(written, variables, path, true);
  if (isObject(value)) {
    const { lines_of: file, ...others } = value;
    const [other] = Object.keys(others);
    if (other !== undefined) return complain(`there is no such key here; expected ${FOR_EACH_WORDS}`, [...path, other]);
    if (typeof file !== 'string' || file === '')
      return complain(expected('the path of a file')({ input: file }), [...path, 'lines_of']);
    const read = linesOf(file);
    if ('problem' in read) return complain(read.problem, [...path, 'lines_of']);
    const lines = read.lines.filter((line) => line.trim() !== '');
    return lines.length > MAX_ITEMS ? complain(tooMany(lines.length)) : lines;
  }
  if (!Array.isArray(value)) return complain(expected(FOR_EACH_WORDS)({ input: value }));
  if (value.length > MAX_ITEMS) return complain(tooMany(value.length));
  const wrong = value.findIndex((item) => !isItem(item));
  if (wrong < 0) return value as Item[];
  return complain(`expected text, a number, or a map of these as {lr: 0.1}, got ${show(value[wrong])}`, [
    ...path,
    wrong,
  ]);
}

function tooMany(count: number): string {
  return `has ${count} entries; at most ${MAX_ITEMS} are allowed`;
}

function isItem(item: unknown): item is Item {
  return isScalar(item) || (isObject(item) && Object.keys(item).length > 0 && Object.values(item).every(isScalar));
}

/** What of an id an item makes: itself, or `lr=0.1+depth=3`. */
function partOf(item: Item): string {
  if (typeof item !== 'object') return idPart(String(item));
  return idPart(
    Object.entries(item)
      .map(([key, value]) => `${key}=${value}`)
      .join('+'),
  );
}

function scopeOf(item: Item, index: number, variables: Scope): Scope {
  const own = new Map<string, Scalar>([['index', index]]);
  if (typeof item !== 'object') own.set('item', item);
  else for (const [key, value] of Object.entries(item)) own.set(`item.${key}`, value);
  return {
    valueOf: (name) => own.get(name) ?? variables.valueOf(name),
    names: () => [...own.keys(), ...variables.names()],
    why: (name) => {
      if (!/^item\b/.test(name)) return undefined;
      const keys = [...own.keys()].filter((key) => key.startsWith('item.')).map((key) => `\${${key}}`);
      if (typeof item === 'object') return `: this item has ${keys.join(', ')}.`;
      return `: the item ${quote(String(item))} has no keys; write \${item}.`;
    },
  };
}
