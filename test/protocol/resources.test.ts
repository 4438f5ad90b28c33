import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig } from '../../src/protocol/config.ts';
import {
  formatHoldings,
  holdingVariables,
  type Holdings,
  parseAmount,
  parseHoldings,
  type Resources,
  unmeetable,
} from '../../src/protocol/resources.ts';
import { defaultsProblems, parseTask } from '../../src/protocol/task.ts';
import { formatProblem } from '../../src/protocol/validation.ts';

function supply(text: string): Resources {
  const parsed = parseConfig(`resources: ${text}`, 'config.yaml');
  if (!parsed.ok) assert.fail(parsed.problems.join('\n'));
  return parsed.config.resources;
}

function asks(resources: unknown): Resources {
  const parsed = parseTask({ command: 'true', resources }, 'x');
  if (!parsed.ok) assert.fail(parsed.problems.map(formatProblem).join('\n'));
  return parsed.spec.resources;
}

const complaints = (resources: unknown): string[] => {
  const parsed = parseTask({ command: 'true', resources }, 'x');
  assert.ok(!parsed.ok, 'it was taken for a task');
  return parsed.problems.map(formatProblem);
};

function refused(text: string): string[] {
  const parsed = parseConfig(text, 'config.yaml');
  assert.ok(!parsed.ok);
  return parsed.problems;
}

test('a whole number is a count of pieces, a text with a unit is a size', () => {
  assert.deepEqual(parseAmount(2), { unit: 'pieces', n: 2 });
  assert.deepEqual(parseAmount('2'), { unit: 'pieces', n: 2 });
  assert.deepEqual(parseAmount('1.5GB'), { unit: 'bytes', n: 1_500_000_000 });
  assert.deepEqual(parseAmount('16GiB'), { unit: 'bytes', n: 16 * 2 ** 30 });
  for (const none of [0, -1, 1.5, '0', '0GB', '', 'two', '4G', true, null, [], {}]) {
    assert.equal(parseAmount(none), undefined, JSON.stringify(none));
  }
});

test('a request that is no amount is refused in words', () => {
  const words = 'a whole number ≥ 1, or a size with its unit, as "4GB"';
  assert.deepEqual(complaints({ gpu: 0 }), [`resources.gpu: expected ${words}, got 0`]);
  assert.deepEqual(complaints({ gpu: 'two' }), [`resources.gpu: expected ${words}, got "two"`]);
  assert.deepEqual(complaints({ mem: '4G' }), [
    'resources.mem: "4G" could mean two things; write "4GB" (powers of 1000) or "4GiB" (of 1024)',
  ]);
  assert.deepEqual(complaints(['gpu']), ['resources: expected an object as {"gpu": 1, "mem": "4GB"}, got a list']);
  assert.deepEqual(complaints({ 'my gpu': 1 }), [
    'resources."my gpu": is no name of a resource: a letter, then up to 39 of letters, digits and _ . -',
  ]);
  assert.deepEqual(defaultsProblems({ resources: { dir: 1 } }).map(formatProblem), [
    'resources.dir: cannot be the name of a resource: SPOOLD_DIR tells a task something else',
  ]);
});

test('a config names each resource so that a task can be told of it', () => {
  assert.deepEqual(refused('resources:\n  a-b: 1\n  a_b: 2'), [
    'config.yaml:3:3: resources.a_b: is told to tasks as SPOOLD_A_B, and so is "a-b"; give one another name',
  ]);
  assert.deepEqual(refused('resources: {mem: 16000000000}'), [
    'config.yaml:1:13: resources.mem: is too many: at most 10000 pieces; for a size write its unit, as "16GB"',
  ]);
  assert.deepEqual(refused('resources: {job: 1}'), [
    'config.yaml:1:13: resources.job: cannot be the name of a resource: SPOOLD_JOB tells a task something else',
  ]);
});

test('why a request can never be met is said with what there is', () => {
  const there = supply('{gpu: 2, mem: 16GB}');
  const why = (resources: unknown) => unmeetable(asks(resources), there).map(formatProblem);
  assert.deepEqual(why({ gpu: 2, mem: '16GB' }), []);
  assert.deepEqual(why({}), []);
  assert.deepEqual(why({ gpu: 3, mem: '17GB' }), [
    'resources.gpu: asks for 3 where there is 2 in all (config.yaml, resources: gpu)',
    'resources.mem: asks for 17GB where there is 16GB in all (config.yaml, resources: mem)',
  ]);
  assert.deepEqual(why({ mem: 4 }), [
    'resources.mem: is a size in config.yaml (16GB): write it with its unit, as "4GB"',
  ]);
  assert.deepEqual(why({ gpu: '1GB' }), ['resources.gpu: is counted in config.yaml (2 pieces): write a whole number']);
  assert.deepEqual(why({ gqu: 1 }), ['resources.gqu: there is no such resource; did you mean "gpu"?']);
  assert.deepEqual(why({ constructor: 1 }), [
    'resources.constructor: there is no such resource; config.yaml names gpu, mem. Add it under resources: there, as resources: {constructor: 1}, and have the daemon read it: spoold restart',
  ]);
  assert.match(
    unmeetable(asks({ gpu: 1 }), new Map()).map(formatProblem)[0] ?? '',
    /config\.yaml names none\. .*have the daemon read it: spoold restart$/,
  );
});

test('what an attempt holds reads back from the line that says it', () => {
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,9}$/);
  const held = fc.oneof(
    fc.nat(1e15),
    fc.uniqueArray(fc.nat(9999), { minLength: 1, maxLength: 8 }).map((indexes) => indexes.sort((a, b) => a - b)),
  );
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, held), { selector: ([key]) => key, maxLength: 5 }), (entries) => {
      const holdings: Holdings = new Map(entries);
      assert.deepEqual(parseHoldings(formatHoldings(holdings)), holdings);
    }),
  );
  assert.equal(
    formatHoldings(
      new Map<string, number[] | number>([
        ['gpu', [0, 1]],
        ['mem', 4e9],
      ]),
    ),
    'gpu=0,1 mem=4000000000B',
  );
  assert.deepEqual(parseHoldings('gpu= =1 x=-1 mem=4'), new Map([['mem', [4]]]));
});

test('a task is told the indexes and the bytes that are its own', () => {
  const holdings: Holdings = new Map<string, number[] | number>([
    ['gpu', [0, 3]],
    ['mem', 5],
    ['scan.head-2', [7]],
  ]);
  assert.deepEqual(holdingVariables(holdings), {
    SPOOLD_GPU: '0,3',
    CUDA_VISIBLE_DEVICES: '0,3',
    SPOOLD_MEM: '5',
    SPOOLD_SCAN_HEAD_2: '7',
  });
});
