// The workflow of the README, run as it prints it, without a daemon.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { bin } from '../helpers/place.ts';
import { scratch } from '../helpers/scratch.ts';
import { projectRoot } from '../protocol/root.ts';

const README = readFileSync(join(projectRoot(), 'README.md'), 'utf8');
const [, section = ''] = /^## Workflows\n([\s\S]*?)^## /m.exec(README) ?? [];
const textsOf = (language: string) =>
  [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, of, text]) =>
    of === language ? [text as string] : [],
  );

it('the workflow in the README does what the README prints', (t) => {
  const place = scratch(t);
  mkdirSync(join(place, 'bin'));
  symlinkSync(bin, join(place, 'bin', 'spoold'));
  writeFileSync(join(place, 'sweep.yaml'), textsOf('yaml')[0] ?? '');
  const clean = Object.entries(process.env).filter(([name]) => !/^(SPOOLD|NODE|XDG)_/.test(name));
  const env = { ...Object.fromEntries(clean), PATH: `${join(place, 'bin')}:${process.env.PATH}`, HOME: place };
  const steps = textsOf('console').flatMap((text) => text.split(/^\$ /m).slice(1));
  assert.equal(steps.length, 4);
  for (const step of steps) {
    const [command = '', ...printed] = step.split('\n');
    const { stdout, stderr } = spawnSync('/bin/sh', ['-c', command], { cwd: place, env, encoding: 'utf8' });
    assert.equal(stdout + stderr, printed.join('\n'), command);
  }
  assert.deepEqual(readFileSync(join(place, 'log.txt'), 'utf8').split('\n').filter(Boolean).sort(), [
    'lr 0.01, depth 2, 3 epochs',
    'lr 0.1, depth 2, 3 epochs',
    'lr 0.1, depth 4, 3 epochs',
  ]);
});
