import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findJsonError, parseJson, placesInJson } from '../../src/protocol/json.ts';
import { describeJsonError, describeProblems } from '../../src/protocol/problems.ts';
import { closest, distance } from '../../src/protocol/suggest.ts';
import { parseTask } from '../../src/protocol/task.ts';
import { formatPath, quote, weigh } from '../../src/protocol/validation.ts';

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

test('a problem of a task file is told with its line and column', () => {
  const text = '{\n  "shell": "x",\n  "retry": {"delay": 5,\n            "max": "three"}\n}\n';
  const parsed = parseTask(JSON.parse(text), 'x');
  assert.ok(!parsed.ok);
  assert.deepEqual(describeProblems(text, 'x.json', parsed.problems), [
    'x.json:4:13: retry.max: expected a whole number ≥ 0, got "three"',
  ]);
});

test('text that is no JSON is told what was found, and where', () => {
  const cases: [string, string][] = [
    ['', '1:1: it is empty'],
    [' \n', '1:1: it is empty'],
    ['{', '1:2: it ends in the middle of an object'],
    ['{"command": ["a",\n', '2:1: it ends in the middle of a list'],
    ['{"a": "b', '1:7: it ends in the middle of a text'],
    ['{"a": 1,}', '1:9: there is a comma before this }; JSON allows none there'],
    ['[1, 2, ]', '1:8: there is a comma before this ]; JSON allows none there'],
    ["{'a': 1}", '1:2: single quotes; JSON needs double quotes'],
    ['{“a”: 1}', '1:2: typographic quotes; JSON needs straight double quotes'],
    ['{a: 1}', '1:2: a key needs double quotes: write "a"'],
    ['{"a": hello}', '1:7: text needs double quotes: write "hello"'],
    ['{"a" 1}', '1:6: a colon is missing before 1'],
    ['{"a": 1\n "b": 2}', '2:2: a comma is missing before "b"'],
    ['{"a": True}', '1:7: True is no JSON; write true'],
    ['{"a": 007}', '1:7: 007 is no number as JSON writes it'],
    ['{"a":\n  // why\n 1}', '2:3: a comment; JSON has none'],
    ['// why\n{}', '1:1: a comment; JSON has none'],
    ['{"a": "b\nc"}', '1:7: this text has no closing quote on its line'],
    ['{"a": "\t"}', '1:8: a tab inside a text; write \\t'],
    ['{"a": "C:\\dir"}', '1:10: a lone backslash inside a text; write two'],
    ['{"a": [1}', '1:9: } closes what [ opened'],
    ['{} {}', '1:4: there is more after the end of the value; a file holds one'],
    ['\uFEFF{}', '1:1: it begins with a byte order mark (BOM); save it as UTF-8 without one'],
    ['{\0', '1:1: it is no text: it has NUL characters (is it UTF-16, or binary?)'],
    ['#!/bin/sh\nx', '1:1: it looks like a script, not JSON; name it: {"command": ["sh", "/path/to/it"]}'],
    ['command: x\n', '1:1: it looks like YAML; a file here is JSON, with { } and double quotes'],
    ['echo hi', '1:1: it looks like a command line, not JSON; write {"shell": "echo hi"}'],
  ];
  for (const [text, message] of cases) assert.equal(describeJsonError(text, 'x.json'), `x.json:${message}`);
});

const almostJson = fc
  .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', '\\', "'", '{', ':', '\n', '0', 'x', '\u0001'))
  .map(([text, at, piece]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + piece + text.slice(place + (at % 3));
  });

test('a text is found wrong exactly if JSON.parse refuses it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string(), almostJson), (text) => {
      assert.equal(
        findJsonError(text) === undefined,
        isJson(text),
        `${JSON.stringify(findJsonError(text))} in ${JSON.stringify(text)}`,
      );
    }),
    { numRuns: 3000 },
  );
});

test('every key of a JSON text is found where it is', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.array(fc.jsonValue())), (value) => {
      const text = JSON.stringify(value, undefined, 1);
      const keys = Object.keys(value);
      const { offsetOf, repeated } = placesInJson(
        text,
        keys.flatMap((key) => [[key], [key, 0]]),
      );
      assert.equal(repeated, undefined);
      for (const key of keys) {
        assert.ok(text.startsWith(`${JSON.stringify(key)}: [`, offsetOf([key])));
        const first = value[key]?.[0];
        if (first !== undefined) assert.ok(text.startsWith(JSON.stringify(first).slice(0, 1), offsetOf([key, 0])));
      }
    }),
  );
});

test('JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      assert.deepEqual(parseJson(text), JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
  assert.deepEqual(
    parseJson('{"1": {"a": ":\\"\\\\"}, "__proto__": {"a": null}}'),
    JSON.parse('{"1": {"a": ":\\"\\\\"}, "__proto__": {"a": null}}'),
  );
});

test('a key that an object has twice is refused with its place, however it is written and however deep it lies', () => {
  const cases: [text: string, message: string][] = [
    ['{"a": 1, "a": 1}', 'a: this key is there twice; keep one (line 1 column 10)'],
    ['{"a": 1,\n "\\u0061": {}}', 'a: this key is there twice; keep one (line 2 column 2)'],
    [
      '[1, {"b": [{"__proto__": 1, "__proto__": 2}]}]',
      '[1].b[0].__proto__: this key is there twice; keep one (line 1 column 29)',
    ],
    ['{"a": {"x": 1, "x": 2}, "a": {}}', 'a.x: this key is there twice; keep one (line 1 column 16)'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseJson(text), { name: 'SyntaxError', message });
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.jsonValue(), (value, other) => {
      const [key = ''] = Object.keys(value);
      const text = `${JSON.stringify(value).slice(0, -1)},${JSON.stringify(key)}:${JSON.stringify(other)}}`;
      assert.throws(() => parseJson(text), /this key is there twice/);
      assert.match(describeJsonError(text, 'x.json'), /^x\.json:1:\d+: .*: this key is there twice; keep one$/);
    }),
  );
});

test('a text of any depth or length is looked through without a deep stack', () => {
  const deep = '['.repeat(1_000_000);
  assert.equal(findJsonError(deep)?.message, 'it ends in the middle of a list');
  assert.equal(findJsonError(`"${'x'.repeat(10_000_000)}`)?.message, 'it ends in the middle of a text');
  assert.ok(Array.isArray(parseJson(`${deep}${']'.repeat(1_000_000)}`)));
  assert.equal(weigh(JSON.parse(`${deep}${']'.repeat(1_000_000)}`), Number.MAX_VALUE), Number.POSITIVE_INFINITY);
});

test('a value weighs what it has as JSON, or a little more', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const bytes = Buffer.byteLength(JSON.stringify(value));
      const weight = weigh(value, Number.MAX_VALUE);
      assert.ok(weight >= bytes && weight <= 3 * bytes, `${weight} of ${bytes}`);
    }),
  );
});

test('what is shown of a hostile text is short, on one line, and nothing a terminal obeys', () => {
  assert.equal(quote('a\u001b[2J\n\u202e\u009b'), '"a\\u001b[2J\\n\\u202e\\u009b"');
  assert.ok(quote('x'.repeat(1000)).length < 70);
  assert.equal(formatPath(['tasks', 'a.b', 'dependencies', 2]), 'tasks."a.b".dependencies[2]');
});

test('the nearest word is found within a third of its letters, and none beyond', () => {
  assert.equal(closest('timout', ['timeout', 'cwd']), 'timeout');
  assert.equal(closest('tiemout', ['timeout', 'cwd']), 'timeout');
  assert.equal(closest('abcdef', ['uvwxyz']), undefined);
  assert.equal(closest('Etl', ['etl']), 'etl');
  assert.equal(closest('X', ['y', 'x']), 'x', 'capitals are a slip in any word');
  for (const [word, other] of [
    ['a', 'b'],
    ['ab', 'ax'],
    ['t7', 't8'],
    ['part-12', 'part-13'],
  ] as const)
    assert.equal(closest(word, [other]), undefined, `${other} is no slip of ${word}`);
  assert.equal(
    closest('a'.repeat(200_000), ['b'.repeat(200_000)]),
    undefined,
    'words of which the table has 4e10 fields',
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      assert.equal(distance(a, b), distance(b, a));
      assert.equal(distance(a, b) === 0, a === b);
    }),
  );
});
