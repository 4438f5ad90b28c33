// Makes a state directory, and in it a config.yaml that says every default as a comment. Both only if missing.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SpooldError, unless } from '../errors.ts';
import { publish } from '../host/atomic.ts';
import type { Layout } from '../protocol/layout.ts';
import { isStateDir } from '../store/state-dir.ts';
import { currentFolder, openDirectory } from './directory.ts';

export interface Initialised {
  layout: Layout;
  isNew: boolean;
}

/** `dir`: what --dir said; else `.spoold` in `folder`, or in the working directory. Errors: USAGE, STATE_DIR_…. */
export function initDirectory(dir: string | undefined, folder: string | undefined): Initialised {
  if (dir !== undefined && folder !== undefined) {
    throw new SpooldError('USAGE', `Both DIR (${folder}) and --dir (${dir}) are given.`, {
      hint: 'DIR gets a .spoold/ in it; --dir is the state directory itself.',
    });
  }
  const path = resolve(currentFolder(), dir ?? join(folder ?? '.', '.spoold'));
  const isNew = !isStateDir(path);
  const layout = openDirectory(path, { create: true });
  publish(layout.config, exampleConfig(), { sync: true });
  return { layout, isNew };
}

/** config.example.yaml of this installation, every line of it a comment. */
function exampleConfig(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, 'config.example.yaml');
    if (!existsSync(path)) continue;
    const text = unless(['ENOENT', 'EACCES'], () => readFileSync(path, 'utf8')) ?? '';
    return text.replaceAll(/^(?!\s*#)(?=.*\S)/gm, '# ');
  }
  return '# Settings of this state directory. Nothing is set: every default holds.\n';
}
