import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LineLog } from '../../src/store/events.ts';
import { forkModule, scratch } from '../helpers/scratch.ts';

function say(log: LineLog, line: string): void {
  log.add(line);
  log.flush();
}

const lines = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

test('lines are kept until the flush, then written in order, after what was there', (t) => {
  const path = join(scratch(t), 'events.ndjson');
  writeFileSync(path, 'before\n');
  const log = new LineLog(path);
  log.add('one');
  log.add('two');
  assert.deepEqual(lines(path), ['before']);
  log.flush();
  log.flush();
  log.add('three');
  log.flush();
  log.close();
  assert.deepEqual(lines(path), ['before', 'one', 'two', 'three']);
});

test('lines of many writers never mix, and none is lost', async (t) => {
  const path = join(scratch(t), 'events.ndjson');
  const letters = ['a', 'b', 'c', 'd'];
  const writers = letters.map((letter) => forkModule(t, new URL('line-writer.js', import.meta.url), [path, letter]));
  await Promise.all(writers.map((writer) => new Promise((resolve) => writer.once('exit', resolve))));
  const all = lines(path);
  assert.equal(all.length, 4000);
  for (const letter of letters) {
    const own = all.filter((line) => line[0] === letter);
    assert.deepEqual(
      own.map((line) => line.length),
      Array.from({ length: 1000 }, (_, n) => 1 + ((n * 37) % 3000)),
    );
    assert.ok(own.every((line) => line === letter.repeat(line.length)));
  }
});

test('a log that grows over 64 MB is put aside as .1, over the one before, and goes on in a new file that is closed to others', (t) => {
  const path = join(scratch(t), 'events.ndjson');
  writeFileSync(`${path}.1`, 'the generation before');
  const log = new LineLog(path);
  const long = 'x'.repeat(1024 * 1024 - 1);
  for (let n = 0; n < 65; n++) {
    log.add(`${n}`.padStart(3, '0') + long.slice(3));
    log.flush();
  }
  log.add('after');
  log.flush();
  log.close();
  assert.deepEqual(lines(path), ['after']);
  assert.equal(statSync(path).mode & 0o077, 0);
  const old = lines(`${path}.1`);
  assert.equal(old.length, 65);
  assert.deepEqual(
    old.map((line) => Number(line.slice(0, 3))),
    old.map((_, n) => n),
  );
});

test('a writer goes on in the new file after another one has put the old one aside, or somebody has removed it', (t) => {
  const path = join(scratch(t), 'events.ndjson');
  const [one, other] = [new LineLog(path), new LineLog(path)];
  say(one, 'one');
  say(other, 'other');
  truncateSync(path, 64 * 1024 * 1024 + 1);
  say(other, 'in the new file');
  say(one, 'one again');
  assert.deepEqual(lines(path), ['in the new file', 'one again']);
  rmSync(path);
  say(one, 'once more');
  say(other, 'other again');
  assert.deepEqual(lines(path), ['once more', 'other again']);
  one.close();
  other.close();
});

test('what cannot be written is counted and stops nobody; once there is room again, lines are written again', (t) => {
  const dir = join(scratch(t), 'gone');
  const path = join(dir, 'events.ndjson');
  const log = new LineLog(path);
  log.add('one');
  log.add('two');
  log.flush();
  assert.equal(log.lost, 2);
  mkdirSync(dir);
  log.add('three');
  log.flush();
  log.close();
  assert.deepEqual(lines(path), ['three']);
  rmSync(dir, { recursive: true });
  const full = new LineLog('/dev/full');
  full.add('x');
  full.flush();
  assert.equal(full.lost, 1);
  assert.equal(existsSync('/dev/full'), true);
});
