// A folder of the test's own, and processes of its own, both gone when it ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Layout } from '../../src/protocol/layout.ts';
import { openStateDir } from '../../src/store/state-dir.ts';

/** A fresh folder, removed when the test ends. */
export function scratch(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'spoold-test-')));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A fresh state directory, removed when the test ends. */
export function scratchStateDir(t: TestContext): Layout {
  return openStateDir(join(scratch(t), 'state'), { create: true });
}

/** True if the test runs as root: what it tries can then be tried at all. */
export const isRoot = process.getuid?.() === 0;

/** A module of the tests as a process of its own, started by `under` if told; killed when the test ends at the latest. */
export function forkModule(t: TestContext, module: URL, args: string[], under: string[] = []): ChildProcess {
  const argv = [...under, process.execPath, fileURLToPath(module), ...args];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => endOf(child, 'SIGKILL'));
  return child;
}

/** Signals a child and resolves when it has ended; at once if it has. */
export async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}
