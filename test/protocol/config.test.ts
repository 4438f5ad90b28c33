import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONFIG_KEYS, type Config, DEFAULT_CONFIG, parseConfig } from '../../src/protocol/config.ts';
import type { Amount } from '../../src/protocol/resources.ts';
import { projectRoot } from './root.ts';

function config(text: string): Config {
  const parsed = parseConfig(text, 'config.yaml');
  if (!parsed.ok) assert.fail(parsed.problems.join('\n'));
  return parsed.config;
}

function refuses(text: string, ...problems: string[]): void {
  const parsed = parseConfig(text, 'config.yaml');
  assert.deepEqual(parsed.ok ? parsed : parsed.problems, problems);
}

const deepIndents = (depth: number): string =>
  Array.from({ length: depth }, (_, indent) => `${' '.repeat(indent)}a:`).join('\n');

const example = readFileSync(join(projectRoot(), 'config.example.yaml'), 'utf8');

test('an empty file, one of comments, and the example mean every default', () => {
  for (const text of ['', '\n\n', '# nothing\n', '{}', '\uFEFF', example])
    assert.deepEqual(config(text), DEFAULT_CONFIG);
});

test('the example documents every setting, each with its default', () => {
  const settings = example.split('\n').filter((line) => /^# [a-z_]+:/.test(line));
  assert.deepEqual(new Set(settings.map((line) => line.slice(2).split(':')[0])), new Set(CONFIG_KEYS));
  // The default number of cores is no number that a file could show.
  assert.deepEqual(
    { ...config(settings.map((line) => line.slice(2)).join('\n')), maxParallel: undefined },
    DEFAULT_CONFIG,
  );
});

test('every setting is taken as it says', () => {
  const text = `
poll_interval: 500ms
max_concurrent_runners: 3
task_timeout: 1h30m
kill_after: 1m
min_free: {inodes: 5}
log_level: debug
log_format: text
env: {A: 1, B: true, C: x}
inherit_env: [PATH, HOME]
allowed_owners: [bob, 1000]
resources: {gpu: 2, mem: 16GB}
starvation_after: none
max_depth: 3
max_children: 0
`;
  assert.deepEqual(config(text), {
    pollInterval: 0.5,
    maxParallel: 3,
    resources: new Map<string, Amount>([
      ['gpu', { unit: 'pieces', n: 2 }],
      ['mem', { unit: 'bytes', n: 16e9 }],
    ]),
    starvationAfter: 'none',
    maxDepth: 3,
    maxChildren: 0,
    taskTimeout: 5400,
    killAfter: 60,
    minFree: { bytes: 64_000_000, inodes: 5 },
    logLevel: 'debug',
    logFormat: 'text',
    env: { A: '1', B: 'true', C: 'x' },
    inheritEnv: ['PATH', 'HOME'],
    allowedOwners: ['bob', 1000],
  });
  assert.deepEqual(config('min_free: 1GiB').minFree, { bytes: 2 ** 30, inodes: 1000 });
  assert.deepEqual(config('{"max_parallel": 2}').maxParallel, 2);
});

test('each problem has its line and column, and all are named at once', () => {
  refuses(
    'poll_interval: 1ms\n\n# a comment\nconcurrency: 4\nmin_free:\n  bytes: 64M\nenv:\n  SPOOLD_DIR: x\n  A: [1]\n',
    'config.yaml:4:1: concurrency: there is no such key; it is called "max_parallel" here',
    'config.yaml:1:1: poll_interval: must be from 50ms to 1h',
    'config.yaml:6:3: min_free.bytes: "64M" could mean two things; write "64MB" (powers of 1000) or "64MiB" (of 1024)',
    'config.yaml:9:3: env.A: expected text, a number, or true or false, got a list',
  );
  refuses(
    'env:\n  SPOOLD_DIR: x\n',
    'config.yaml:2:3: env.SPOOLD_DIR: is set by spoold for every attempt and cannot be given',
  );
  refuses('log_level: loud', 'config.yaml:1:1: log_level: expected debug, info, warn or error, got "loud"');
  refuses('poll_intervall: 5', 'config.yaml:1:1: poll_intervall: there is no such key; did you mean "poll_interval"?');
  refuses('max_depth: deep', 'config.yaml:1:1: max_depth: expected a whole number ≥ 0, got "deep"');
  refuses(
    'max_parallel: 2\nmax_concurrent_runners: 3',
    'config.yaml:2:1: max_concurrent_runners: is another name for max_parallel, which says something else; keep one',
  );
  refuses(
    'kill_after:',
    'config.yaml:1:1: kill_after: expected a duration: seconds, or text as "90s", "5m", "1h30m", got nothing (null)',
  );
});

test('what is no YAML, or no settings, is told with its place', () => {
  refuses('kill_after: 5\nkill_after: 6', 'config.yaml:2:1: "kill_after": this key is there twice; keep one');
  refuses('env:\n\tA: 1', 'config.yaml:2:1: a tab; YAML is indented by spaces');
  refuses('a: 1\n---\nb: 2', 'config.yaml:2:1: a second document begins here (---); a file holds one');
  refuses('env: !!python/object {}', 'config.yaml:1:6: a tag (!name) that means nothing here');
  refuses('- 1', 'config.yaml:1:1: expected settings, as poll_interval: 5, got a list');
  refuses(
    'env: {A: x',
    'config.yaml:1:11: this is no YAML: flow map in block collection must be sufficiently indented and end with a }',
  );
  refuses('env: *a', 'config.yaml:1:6: there is no &a above for this alias');
  refuses('env: &a {A: *a}', 'config.yaml:1:13: this alias lies inside what it names');
  refuses('<<: 7', 'config.yaml:1:1: << takes a map, or aliases of maps');
  refuses('a\0', 'config.yaml: is no text: it has NUL characters in it');
  for (const deep of ['['.repeat(100_000), '- '.repeat(100_000), '{a: '.repeat(2000), deepIndents(1500)])
    refuses(deep, 'config.yaml: is nested too deeply');
});

test('any text at all gives a config or a reason, never an exception', () => {
  const line = fc.tuple(fc.constantFrom(...CONFIG_KEYS, '*a', '&a', '<<', '? ', '- '), fc.string());
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(line).map((all) => all.map(([key, value]) => `${key}: ${value}`).join('\n')),
      ),
      (text) => {
        const parsed = parseConfig(text, 'c');
        assert.ok(
          parsed.ok || (parsed.problems.length > 0 && parsed.problems.every((problem) => problem.startsWith('c:'))),
        );
      },
    ),
    { numRuns: 500 },
  );
});
