import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePidFile } from '../../src/protocol/pid-file.ts';

const LINE = '4711 1234567 boot-1 4026531836 host-1 99';
const runner = { pid: 4711, startTicks: 1234567, boot: 'boot-1', pidns: '4026531836', host: 'host-1', inode: '99' };

test('line 1 says who the runner is, line 2 how the command ended', () => {
  assert.deepEqual(parsePidFile(`${LINE}\n`), { runner });
  assert.deepEqual(parsePidFile(`${LINE}\nexited 143 12 .\n`), { runner, lastWord: { status: 143, cpuTicks: 12 } });
});

test('a line that is cut short anywhere counts as absent', () => {
  for (let length = 0; length <= LINE.length; length++) assert.deepEqual(parsePidFile(LINE.slice(0, length)), {});
  const word = 'exited 143 12 .';
  for (let length = 0; length <= word.length; length++)
    assert.deepEqual(parsePidFile(`${LINE}\n${word.slice(0, length)}`), { runner });
});

test('a last word that did not fit at first is said again on a line of its own', () => {
  assert.deepEqual(parsePidFile(`${LINE}\nexited 1\nexited 143 12 .\n`).lastWord, { status: 143, cpuTicks: 12 });
});

test('what is no runner is not taken for one, and nothing after it for a last word', () => {
  for (const line of ['', '1', '0 1 b n h 9', 'x 1 b n h 9', '1  b n h 9', '1 1 b n h', '1 1 b n h x', '1 1 b n h 9 9'])
    assert.deepEqual(parsePidFile(`${line}\nexited 0 1 .\n`), {}, line);
});
