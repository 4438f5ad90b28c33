import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findIdleIo } from '../../src/host/idle-io.ts';
import { scratch } from '../helpers/scratch.ts';

/** A folder with an executable of this name in it. */
function folderWith(root: string, folder: string, name: string): string {
  const path = join(root, folder);
  mkdirSync(path);
  writeFileSync(join(path, name), '#!/bin/sh\n');
  chmodSync(join(path, name), 0o755);
  return path;
}

test('idle I/O is asked for where the host has an ionice that starts the command in any case', (context) => {
  const root = scratch(context);
  const own = folderWith(root, 'own', 'ionice');
  assert.deepEqual(findIdleIo(`relative:${root}/none:${own}`), [join(own, 'ionice'), '-c', '3', '-t']);
  const box = folderWith(root, 'box', 'busybox');
  symlinkSync('busybox', join(box, 'ionice'));
  assert.deepEqual(findIdleIo(`${box}:${own}`), []);
  const plain = folderWith(root, 'plain', 'ionice');
  chmodSync(join(plain, 'ionice'), 0o644);
  if (process.getuid?.() !== 0) assert.deepEqual(findIdleIo(plain), []);
  assert.deepEqual(findIdleIo(`${root}/none`), []);
});

test('the words start a command, and put it into the idle class', (context) => {
  const words = findIdleIo(process.env.PATH);
  if (words.length === 0) return context.skip('this host has no ionice');
  const [program = '', ...rest] = words;
  const { stdout, status } = spawnSync(program, [...rest, program], { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /^(idle|none: prio \d)$/m); // the latter where the system refuses
});
