import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_JOB_SETTINGS, parseJob } from '../../src/protocol/job.ts';
import { formatProblem } from '../../src/protocol/validation.ts';

function refuses(value: unknown, ...messages: string[]): void {
  const parsed = parseJob(value);
  assert.deepEqual(parsed.ok ? parsed : parsed.problems.map(formatProblem), messages);
}

test('an empty job.json has every default, and settings are taken as they say', () => {
  assert.deepEqual(parseJob({}), { ok: true, settings: NO_JOB_SETTINGS });
  const defaults = { timeout: '5m', env: { A: 1 }, 'x-team': 'a' };
  assert.deepEqual(parseJob({ description: 'd', max_parallel: 'none', defaults, $schema: 's', 'x-own': [] }), {
    ok: true,
    settings: { ...NO_JOB_SETTINGS, description: 'd', maxParallel: 'none', defaults },
  });
});

test('a wrong setting is told what was expected', () => {
  refuses(
    { max_parallel: 0 },
    'max_parallel: expected a whole number ≥ 1, or "none" for no limit but the global one, got 0',
  );
  refuses({ concurrency: 2 }, 'concurrency: there is no such key; it is called "max_parallel" here');
  refuses({ retry: 2 }, 'retry: there is no such key; write "defaults": {"retry": …}');
  refuses({ notify: {} }, 'notify: this version of spoold does not have it yet');
  refuses({ notify: 'me' }, 'notify: this version of spoold does not have it yet');
  refuses([], 'job.json is an object, as {"max_parallel": 2}; expected one, got an empty list');
});

test('defaults are any keys of a task but those that belong to one task', () => {
  refuses(
    { defaults: { id: 'x', dependencies: [], timeot: 1, retry: 'x' } },
    'defaults.id: belongs to one task and cannot be a default',
    'defaults.dependencies: belongs to one task and cannot be a default',
    'defaults.timeot: there is no such key; did you mean "timeout"?',
    'defaults.retry: expected a whole number ≥ 0, or an object as {"max": 3, "delay": "10s", "backoff": 2}, got "x"',
  );
  refuses({ defaults: 7 }, 'defaults: expected an object of task keys, got 7');
});

test('any JSON at all gives settings or a reason', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.jsonValue(), fc.record({ max_parallel: fc.jsonValue(), defaults: fc.jsonValue() })),
      (value) => {
        const parsed = parseJob(value);
        assert.ok(parsed.ok || parsed.problems.length > 0);
      },
    ),
  );
});
