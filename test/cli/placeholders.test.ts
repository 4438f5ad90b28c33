// A command and lists of arguments → commands, as GNU parallel 20221122 gave them in `parallel -k --dry-run`; where a
// shell is in between there, words are compared after it has split them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { combinations, fillScript, fillWords, templateOf } from '../../src/cli/placeholders.ts';

function commands(...words: string[]): string[][] {
  const template = templateOf(words);
  assert.ok(template !== undefined);
  return combinations(template.lists.map(({ values }) => values)).map((args, i) =>
    fillWords(template.words, args, i + 1),
  );
}

test('without ::: it is a command like any other', () => {
  assert.equal(templateOf(['echo', '{}', '::', ':::x']), undefined);
});

test('{} is the argument, however often; without any placeholder the arguments come last', () => {
  assert.deepEqual(commands('echo', '{}', 'x{}y{}', ':::', 'x y', 'b'), [
    ['echo', 'x y', 'xx yyx y'],
    ['echo', 'b', 'xbyb'],
  ]);
  assert.deepEqual(commands('echo', ':::', 'a', ':::', 'c', 'd'), [
    ['echo', 'a', 'c'],
    ['echo', 'a', 'd'],
  ]);
});

const parts = (path: string) => commands('{.}', '{/}', '{//}', '{/.}', ':::', path)[0];

test('{.} {/} {//} {/.} take a path apart', () => {
  assert.deepEqual(parts('d/x.tar.gz'), ['d/x.tar', 'x.tar.gz', 'd', 'x.tar']);
  assert.deepEqual(parts('.hid'), ['', '.hid', '.', '']);
  assert.deepEqual(parts('d.e/f'), ['d.e/f', 'f', 'd.e', 'f']);
  assert.deepEqual(parts('plain'), ['plain', 'plain', '.', 'plain']);
  assert.deepEqual(parts('a/'), ['a/', '', '.', '']);
  assert.deepEqual(parts('./x'), ['./x', 'x', '.', 'x']);
  assert.deepEqual(parts('/x'), ['/x', 'x', '/', 'x']);
});

test('several lists are crossed, the last one changing first; {2} {1.} {1/} {2//} are of one of them, {#} counts', () => {
  assert.deepEqual(commands('{2}', '{1.}', '{1/}', '{2//}', '{#}', ':::', 'a/x.c', 'b/y.c', ':::', 'p/q', 'r'), [
    ['p/q', 'a/x', 'x.c', 'p', '1'],
    ['r', 'a/x', 'x.c', '.', '2'],
    ['p/q', 'b/y', 'y.c', 'p', '3'],
    ['r', 'b/y', 'y.c', '.', '4'],
  ]);
  assert.deepEqual(commands('echo', '{}', ':::', 'a', ':::', 'c d'), [['echo', 'a', 'c d']]);
  assert.deepEqual(commands('echo', '{}', ':::', 'a', ':::'), []);
});

test('what is no placeholder stays', () => {
  assert.deepEqual(commands('awk', '{print $1} {x} {-1} {+/} {}', ':::', 'a'), [['awk', '{print $1} {x} {-1} {+/} a']]);
});

test('in a script, what is filled in is quoted for the shell, and only that', () => {
  const template = templateOf(['wc {} | sort >{.}.out', ':::', 'a b', "it's.x", 'plain.txt']);
  assert.deepEqual(
    combinations(template?.lists.map(({ values }) => values) ?? []).map((args, i) =>
      fillScript(template?.words ?? [], args, i + 1),
    ),
    [`wc 'a b' | sort >'a b'.out`, `wc 'it'\\''s.x' | sort >'it'\\''s'.out`, 'wc plain.txt | sort >plain.out'],
  );
});

test('a list that is missing, pairs, no command, and too many combinations are told', () => {
  assert.throws(() => commands('echo', '{3}', ':::', 'a', ':::', 'b'), /\{3\}: there are 2 lists, counted from 1/);
  assert.throws(() => commands('echo', '{0}', ':::', 'a'), /\{0\}: there is one list/);
  assert.throws(() => templateOf(['echo', ':::', 'a', ':::+', 'b']), /lists are crossed, not paired/);
  assert.throws(() => templateOf([':::', 'a']), /no command before :::/);
  assert.throws(() => templateOf(['echo', '::::']), /no file after ::::/);
  const long = Array.from({ length: 400 }, (_, i) => `${i}`);
  assert.throws(() => combinations([long, long]), /160000 combinations; at most 100000/);
});
