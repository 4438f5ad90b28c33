import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatEvent, parseEvent } from '../../src/protocol/event.ts';
import { type AttemptResult, describeExit, parseResult } from '../../src/protocol/result.ts';

const result: AttemptResult = {
  job: 'j',
  task: 't',
  attempt: 2,
  outcome: 'failed',
  to: 'pending',
  reason: 'signal',
  message: 'exit status 137: killed by SIGKILL (often: out of memory)',
  exit_code: 137,
  signal: 'SIGKILL',
  queued_at: '2030-01-31T09:00:00.000Z',
  started_at: '2030-01-31T09:00:01.000Z',
  finished_at: '2030-01-31T09:00:02.500Z',
  duration_s: 1.5,
  cpu_s: null,
  max_rss_bytes: null,
  output_bytes: 0,
  host: 'h',
};

test('a result reads back as it was written', () => {
  assert.deepEqual(parseResult(`${JSON.stringify(result)}\n`), result);
});

test('a result that is cut short anywhere counts as absent', () => {
  const text = JSON.stringify(result);
  for (let length = 0; length < text.length; length++) assert.equal(parseResult(text.slice(0, length)), undefined);
});

test('a result that lacks or bends what settles a task counts as absent; one of a newer version does not', () => {
  for (const wrong of [
    { to: 'rejected' },
    { outcome: 'lost' },
    { attempt: 0 },
    { finished_at: 'now' },
    { reason: '' },
    { exit_code: '1' },
  ]) {
    assert.equal(parseResult(JSON.stringify({ ...result, ...wrong })), undefined, JSON.stringify(wrong));
  }
  for (const text of ['', 'null', '[]', '7', '{}']) assert.equal(parseResult(text), undefined);
  assert.deepEqual(parseResult(JSON.stringify({ ...result, later: 1 })), result);
});

test('an exit status is put into words', () => {
  const cases: [number, string][] = [
    [0, 'exit status 0: success'],
    [7, 'exit status 7'],
    [
      126,
      'exit status 126: the command was found but cannot be executed (is it executable, and does its #! line name a program?)',
    ],
    [127, 'exit status 127: the command was not found (is it installed, and in PATH?)'],
    [128, 'exit status 128'],
    [129, 'exit status 129: killed by SIGHUP (its terminal was closed)'],
    [137, 'exit status 137: killed by SIGKILL (often: out of memory)'],
    [139, 'exit status 139: killed by SIGSEGV (it crashed: bad memory access)'],
    [143, 'exit status 143: killed by SIGTERM (it was asked to end)'],
    [159, 'exit status 159: killed by SIGSYS (a system call it may not make)'],
    [162, 'exit status 162: killed by signal 34'],
    [200, 'exit status 200'],
  ];
  for (const [code, words] of cases) assert.equal(describeExit(code).words, words);
  assert.equal(describeExit(137).signal, 'SIGKILL');
  assert.equal(describeExit(1).signal, undefined);
});

test('an event is one line that reads back, and half a line is none', () => {
  const line = formatEvent({
    t: '2030-01-31T09:00:00Z',
    job: 'j',
    task: 't',
    event: 'settled',
    to: 'failed',
    reason: 'a\nb',
  });
  assert.equal(
    line,
    '{"t":"2030-01-31T09:00:00Z","job":"j","task":"t","event":"settled","to":"failed","reason":"a\\nb"}\n',
  );
  assert.deepEqual(parseEvent(line), {
    t: '2030-01-31T09:00:00Z',
    job: 'j',
    task: 't',
    event: 'settled',
    to: 'failed',
    reason: 'a\nb',
  });
  for (let length = 0; length < line.length - 1; length++) assert.equal(parseEvent(line.slice(0, length)), undefined);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (reason, by) => {
      const text = formatEvent({ t: '2030-01-31T09:00:00Z', event: 'e', reason, by });
      assert.equal(text.indexOf('\n'), text.length - 1);
      assert.equal(parseEvent(text)?.by, by);
    }),
  );
});
