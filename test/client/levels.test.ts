// In which step a task can run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Dependent, levelsOf } from '../../src/client/levels.ts';

const task = (dependencies: string[] = [], ancestors: string[] = []): Dependent => ({ dependencies, ancestors });

test('a task is one level above all that it depends on, and above all that these queued', () => {
  const levels = levelsOf(
    new Map([
      ['merge', task(['split', 'elsewhere'])],
      ['split', task(['fetch'])],
      ['fetch', task()],
      ['late', task(['other'], ['split'])],
      ['other', task(['split-not'])],
      ['split-not', task(['fetch'])],
    ]),
  );
  assert.deepEqual(Object.fromEntries(levels), { merge: 5, split: 2, fetch: 1, late: 4, other: 3, 'split-not': 2 });
});

test('cycles and tasks that wait for themselves end it all the same, and what no cycle touches keeps its level', () => {
  const levels = levelsOf(
    new Map([
      ['a', task(['b'])],
      ['b', task(['a'])],
      ['self', task(['self'])],
      ['x', task()],
      ['y', task(['x'])],
    ]),
  );
  assert.equal(levels.size, 5);
  assert.deepEqual([levels.get('x'), levels.get('y')], [1, 2]);
});

test('a chain of 100,000 tasks, and a family of 20,000 with as many dependents, cost no more than their edges', () => {
  const chain = new Map(Array.from({ length: 100_000 }, (_, i) => [`t${i}`, task(i === 0 ? [] : [`t${i - 1}`])]));
  assert.equal(levelsOf(chain).get('t99999'), 100_000);
  const family = new Map([['p', task()]]);
  for (let i = 0; i < 20_000; i++) family.set(`c${i}`, task([], ['p'])).set(`d${i}`, task(['p']));
  assert.equal(levelsOf(family).get('d19999'), 2);
});

test('levels agree with the longest way down, in any graph without cycles', () => {
  const graph = fc
    .array(fc.record({ dependencies: fc.array(fc.nat(20)), parent: fc.option(fc.nat(20)) }), { maxLength: 15 })
    .map((lists) =>
      lists.map(({ dependencies, parent }, i) => ({
        dependencies: dependencies.filter((j) => j < i).map((j) => `t${j}`),
        ancestors: parent !== null && parent < i ? [`t${parent}`] : [],
      })),
    );
  fc.assert(
    fc.property(graph, (list) => {
      const tasks = new Map(list.map((one, i) => [`t${i}`, one]));
      // A child above its parent's dependents would be a cycle: left out.
      const waits = (id: string): string[] =>
        (tasks.get(id)?.dependencies ?? []).flatMap((d) => [
          d,
          ...[...tasks].filter(([, { ancestors }]) => ancestors.includes(d)).map(([member]) => member),
        ]);
      const open = new Set<string>();
      const level = (id: string): number => {
        if (open.has(id)) return Number.NaN;
        open.add(id);
        const below = waits(id).map(level);
        open.delete(id);
        return 1 + Math.max(0, ...below);
      };
      const expected = [...tasks.keys()].map((id) => [id, level(id)] as const);
      fc.pre(expected.every(([, n]) => !Number.isNaN(n)));
      assert.deepEqual([...levelsOf(tasks)], expected);
    }),
  );
});
