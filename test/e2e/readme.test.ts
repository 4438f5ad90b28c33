// The worked examples of the README, run as it prints them: its programs are written from its own text, each line after
// `$ ` goes to a shell in a scratch place, and what comes back must be what is printed below it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { bin, hasPython, programs } from '../helpers/place.ts';
import { scratch } from '../helpers/scratch.ts';
import { projectRoot } from '../protocol/root.ts';

const README = readFileSync(join(projectRoot(), 'README.md'), 'utf8');
const [, section = ''] = /^## Graphs that grow\n([\s\S]*?)^## /m.exec(README) ?? [];

interface Block {
  language: string;
  text: string;
}

const blocks: Block[] = [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}));

/** Language of a block → the program it prints, and what else it needs to be run. */
const PROGRAMS: Record<string, string> = {
  sh: 'drop-children.sh',
  python: 'drop-children.py',
  js: 'drop-children.mjs',
};

it('the programs in the README are those in fixtures/programs', () => {
  for (const [language, name] of Object.entries(PROGRAMS)) {
    const block = blocks.find((one) => one.language === language);
    assert.equal(block?.text, readFileSync(join(programs, name), 'utf8'), name);
  }
});

it('tasks in three languages that queue others run as the README prints them', {
  skip: hasPython ? false : 'there is no python3 here',
}, async (t) => {
  const place = scratch(t);
  mkdirSync(join(place, 'bin'));
  symlinkSync(bin, join(place, 'bin', 'spoold'));
  for (const { language, text } of blocks) {
    const name = PROGRAMS[language];
    if (name === undefined) continue;
    writeFileSync(join(place, name), text);
    chmodSync(join(place, name), 0o755);
  }
  const clean = Object.entries(process.env).filter(([name]) => !/^(SPOOLD|NODE)_/.test(name));
  const env = {
    ...Object.fromEntries(clean),
    PATH: `${join(place, 'bin')}:${process.env.PATH}`,
    HOME: place,
    LC_ALL: 'C',
  };
  const say = async (command: string): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)('/bin/sh', ['-c', command], { cwd: place, env });
    return stdout + stderr;
  };
  const steps = blocks
    .filter(({ language }) => language === 'console')
    .flatMap(({ text }) => text.split(/^\$ /m).slice(1));
  assert.ok(steps.length >= 6);
  await say('spoold init && spoold start');
  try {
    for (const step of steps) {
      const [command = '', ...printed] = step.split('\n');
      assert.equal(await say(command), printed.join('\n'), command);
    }
  } finally {
    await say('spoold stop --kill');
  }
});
