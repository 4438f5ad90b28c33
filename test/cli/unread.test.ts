// What is done where nobody reads what is printed, or it cannot be written: a closed pipe, a full disk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bin, Place, speak } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { Desk } from './desk.ts';

const toFullDisk = ['sh', '-c', 'exec "$@" >/dev/full', 'sh'];

describe('spoold run', () => {
  const desk = new Desk();
  after(() => desk.place.close());

  it('ends with the status of its work, where nobody reads its remarks', async () => {
    const { child, end } = desk.spawn('--shell', 'echo hi; exit 7');
    child.stderr?.destroy();
    assert.equal(await end, 7);
  });

  it('goes on cancelling when it is interrupted twice, where nobody reads its remarks', async () => {
    const go = join(desk.root, 'go');
    const stubborn = `trap 'echo asked; while [ ! -e ${go} ]; do sleep 0.02; done; exit 1' TERM; echo begun; while :; do sleep 0.1; done`;
    const { child, out, end } = desk.spawn('--shell', stubborn);
    child.stderr?.destroy();
    await waitUntil('it has begun', () => out().includes('begun'), out);
    child.kill('SIGINT');
    await waitUntil('it is being ended', () => out().includes('asked'), out);
    child.kill('SIGINT');
    child.kill('SIGTERM');
    writeFileSync(go, '');
    assert.equal(await end, 130);
    await waitUntil('nothing is left', () => desk.processes().length === 0, desk.processes);
  });

  it('says that its output cannot be written, ends the work and ends with 125', async () => {
    const { status, err } = await speak(['run', '--shell', 'echo hi; sleep 1000'], {
      cwd: desk.root,
      env: desk.env,
      under: toFullDisk,
    });
    assert.equal(status, 125);
    assert.match(err, /^spoold: Standard output cannot be written: ENOSPC/m);
    await waitUntil('nothing is left', () => desk.processes().length === 0, desk.processes);
  });
});

describe('spoold', () => {
  const place = new Place();
  before(() => place.start());
  after(() => place.close());

  it('says that standard output cannot be written, in a sentence, and ends with 1', async () => {
    const { status, err } = await speak(['--version'], { under: toFullDisk });
    assert.equal(status, 1);
    assert.match(err, /^spoold: Standard output cannot be written: ENOSPC: [^\n]*\n$/);
  });

  it('submit --wait waits for the end, though nobody reads the name of the job', async () => {
    const file = place.aside('bad.yaml');
    writeFileSync(file, 'tasks: {a: {shell: exit 3}}');
    const child = spawn(process.execPath, [bin, 'submit', '--dir', place.dir, '--wait', file], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.stdout.destroy();
    const status = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(status, 1);
    assert.deepEqual(place.job('bad').ids('failed'), ['a']);
  });

  it('serves on in the foreground when nobody reads its log any more', async () => {
    place.daemon?.stdout?.destroy();
    place.daemon?.stderr?.destroy();
    writeFileSync(place.at('config.yaml'), 'max_parallel: nonsense\n');
    place.daemon?.kill('SIGHUP');
    place.job('default').drop('bad', { nonsense: true });
    await place.job('default').rejects('bad');
    place.job('default').drop('a', { command: 'true' });
    await place.job('default').comesTo('succeeded', 'a');
    assert.equal(await place.end(), 0);
  });
});
