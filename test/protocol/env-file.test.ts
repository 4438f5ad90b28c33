import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEnvFile } from '../../src/protocol/env-file.ts';

function reads(text: string, env: Record<string, string>): void {
  assert.deepEqual(parseEnvFile(text), { ok: true, env });
}

function refuses(text: string, line: number, words: RegExp): void {
  const parsed = parseEnvFile(text);
  assert.ok(!parsed.ok, JSON.stringify(parsed));
  assert.equal(parsed.line, line);
  assert.match(parsed.message, words);
  assert.doesNotMatch(parsed.message, /secret/);
}

test('an env_file has a variable on each line, blank lines and comments', () => {
  reads('', {});
  reads('A=1\n   \n\n# B=2\n  # C=3\nexport D=4\n E = 5 \nF=', { A: '1', D: '4', E: '5', F: '' });
  reads('\uFEFFA=1\r\nB=2\r\n', { A: '1', B: '2' });
  reads('A=1\nA=2', { A: '2' });
  reads('a.b-c=1\n__proto__x=2', { 'a.b-c': '1', __proto__x: '2' });
});

test('a value is kept whole: a # in it is its own, after a space it begins a comment', () => {
  reads("PW=a#b\nC=#fff\nD=1 # one\nE=it's $HOME \\n\nF=a=b\nG=C:\\\nH=x\u2028y\u00a0", {
    PW: 'a#b',
    C: '#fff',
    D: '1',
    E: "it's $HOME \\n",
    F: 'a=b',
    G: 'C:\\',
    H: 'x\u2028y\u00a0',
  });
});

test('a value in quotes may have spaces, # and lines; only double ones turn \\n into a line', () => {
  reads('A=" a # b "\nB=\'x\\ny\' # why\nC="x\\ny"\nD=`it\'s "so"`\nE="one\ntwo\n"\nF=\'\'', {
    A: ' a # b ',
    B: 'x\\ny',
    C: 'x\ny',
    D: 'it\'s "so"',
    E: 'one\ntwo\n',
    F: '',
  });
});

test('any other line is refused by its number, and nothing of the file is repeated', () => {
  refuses('A=1\nexport secret\nC=1', 2, /expected NAME=value/);
  refuses('A=1\n\n=secret', 3, /expected NAME=value/);
  refuses('A=secret\\\nsecret\nB=1', 2, /expected NAME=value/);
  refuses('1A=secret', 1, /expected NAME=value/);
  refuses('A="x\ny"\nB="secret\nC=1', 3, /not closed/);
  refuses('A="x"secret', 1, /more text/);
  refuses('A=1\nB=x\0secret', 2, /NUL/);
  refuses('__proto__=secret', 1, /no name/);
  refuses(`A=${'x'.repeat(131_070)}`, 1, /longer/);
});
