import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPressure } from '../../src/host/pressure.ts';
import { scratch } from '../helpers/scratch.ts';

test('load and memory pressure are read as the kernel writes them', (context) => {
  const proc = scratch(context);
  writeFileSync(join(proc, 'loadavg'), '9.55 11.07 7.20 2/302 29440\n');
  mkdirSync(join(proc, 'pressure'));
  const memory = 'some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n';
  writeFileSync(join(proc, 'pressure', 'memory'), memory);
  assert.deepEqual(readPressure(proc), { cores: availableParallelism(), load: 9.55, memory: 12.34 });
});

test('a host that does not tell is no error: what it does not tell is not known', (context) => {
  const proc = scratch(context);
  assert.deepEqual(readPressure(proc), { cores: availableParallelism(), load: undefined, memory: undefined });
  writeFileSync(join(proc, 'loadavg'), 'nonsense');
  writeFileSync(join(proc, 'pressure'), 'no folder');
  assert.deepEqual(readPressure(proc), { cores: availableParallelism(), load: undefined, memory: undefined });
});

test('this host has a load', () => {
  assert.ok((readPressure().load ?? -1) >= 0);
});
