// A state directory as it lies there: every name, what it is, its inode and its content. Telemetry and caches, and who
// serves, are left out: they say nothing of the tasks.
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './disk.ts';

export interface Tree {
  /** Path in the directory → what is there. */
  entries: ReadonlyMap<string, string>;
  /** For people. */
  lines(): string[];
}

const LEFT_OUT = /^(events\.ndjson|daemon\.log|daemon\.json|daemon\.lock)|(^|\/)state\.json$/;
/** What a writer of ours calls its work until it is done. */
const UNFINISHED = /^\.(new|submit|bundle|bundled)-|\.json\.\d+$/;

export function treeOf(root: string): Tree {
  const entries = new Map<string, string>();
  collect(root, '', entries);
  return { entries, lines: () => [...entries].map(([path, what]) => `    ${path}  ${what}`) };
}

function collect(root: string, folder: string, entries: Map<string, string>): void {
  for (const name of namesIn(join(root, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (LEFT_OUT.test(path)) continue;
    const what = describe(join(root, path));
    if (what === undefined) continue;
    entries.set(path, what);
    if (what.startsWith('folder')) collect(root, path, entries);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // gone since its parent was read
  }
}

function describe(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  try {
    if (stat.isDirectory()) return `folder ${stat.ino}`;
    if (stat.isSymbolicLink()) return `→ ${readlinkSync(path)}`;
    const hash = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 8);
    return `${stat.size} bytes, inode ${stat.ino}, ${hash}${stat.nlink > 1 ? `, ${stat.nlink} names` : ''}`;
  } catch {
    return undefined;
  }
}

export function isUnfinished(path: string): boolean {
  return UNFINISHED.test(path.slice(path.lastIndexOf('/') + 1)) || /(^|\/)\.(new|submit)-/.test(path);
}

/** What differs, in words; names of unfinished work are not compared, as they are to go. */
export function changesBetween(before: Tree, after: Tree): string[] {
  const wrong: string[] = [];
  for (const [path, what] of before.entries) {
    if (isUnfinished(path)) continue;
    const now = after.entries.get(path);
    if (now === undefined) wrong.push(`${path} is gone (${what})`);
    else if (now !== what) wrong.push(`${path} was ${what} and is ${now}`);
  }
  for (const [path, what] of after.entries) {
    if (!before.entries.has(path) && !isUnfinished(path)) wrong.push(`${path} is new (${what})`);
  }
  return wrong;
}

/** All that lies in a folder, with contents. */
export function imageOf(root: string, folder = '', image: Image = new Map()): Image {
  for (const name of namesIn(join(root, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const stat = lstatSync(join(root, path));
    if (stat.isSymbolicLink()) image.set(path, { kind: 'link', target: readlinkSync(join(root, path)) });
    else if (stat.isFile()) image.set(path, { kind: 'file', data: readFileSync(join(root, path)), node: stat.ino });
    else if (stat.isDirectory()) {
      image.set(path, { kind: 'folder' });
      imageOf(root, path, image);
    }
  }
  return image;
}
