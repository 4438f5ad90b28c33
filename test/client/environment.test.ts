import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturable } from '../../src/client/environment.ts';

test('an environment is kept without what speaks of the terminal, the shell, or the task that it was taken in', () => {
  const env = {
    PATH: '/bin',
    WORD: 'x',
    TERM: 'xterm',
    SSH_AUTH_SOCK: '/s',
    SPOOLD_TASK: 't',
    OLDPWD: '/',
    UNSET: undefined,
  };
  assert.deepEqual(capturable(env), { PATH: '/bin', WORD: 'x' });
});

test('inside a task that holds a GPU, which one it is does not go on to what that queues', () => {
  const inside = { PATH: '/bin', SPOOLD_GPU: '1', CUDA_VISIBLE_DEVICES: '1' };
  assert.deepEqual(capturable(inside), { PATH: '/bin' });
  const outside = { PATH: '/bin', CUDA_VISIBLE_DEVICES: '1' };
  assert.deepEqual(capturable(outside), outside);
});
