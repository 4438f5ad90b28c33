// Environments as `add` captures them: env/<sha256> holds one, as a JSON object with its names sorted, written once
// however many tasks run under it. A task names it by `env_from`.
import { createHash } from 'node:crypto';
import { unless } from '../errors.ts';
import { ensureFolderDurably, publish, syncFolder } from '../host/atomic.ts';
import type { Layout } from '../protocol/layout.ts';

/** Of the terminal and the shell that add was typed into, not of the work. */
const NOT_CAPTURED = /^(SPOOLD_.*|SSH_.*|TERM|SHLVL|_|OLDPWD|PWD)$/;

/** What a task is to inherit of an environment. */
export function capturable(env: NodeJS.ProcessEnv): Record<string, string> {
  // Inside a task that holds a GPU it says which: not what the tasks that it queues are to use.
  const held = env.SPOOLD_GPU === undefined ? undefined : 'CUDA_VISIBLE_DEVICES';
  const names = Object.keys(env).filter((name) => env[name] !== undefined && name !== held && !NOT_CAPTURED.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, env[name] as string]));
}

const synced = new Set<string>();

/** Keeps an environment durably; gives its SHA-256, for `env_from`. */
export function keepEnvironment(layout: Layout, env: NodeJS.ProcessEnv): string {
  const text = `${JSON.stringify(capturable(env))}\n`;
  const sha256 = createHash('sha256').update(text).digest('hex');
  const path = layout.environment(sha256);
  if (synced.has(path)) return sha256;
  // By content: one that is there is the same, but its writer may not have synced the folder yet.
  const write = () => publish(path, text, { sync: true });
  if (unless('ENOENT', write) === undefined) {
    ensureFolderDurably(layout.env);
    write();
  }
  syncFolder(layout.env);
  synced.add(path);
  return sha256;
}
