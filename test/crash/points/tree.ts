// A state directory as it lies there: every name, what it is, its inode and its content. Telemetry and caches, and who
// serves, are left out: they say nothing of the tasks.
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Image } from './disk.ts';

export interface Tree {
  /** Path in the directory → what is there. */
  entries: ReadonlyMap<string, string>;
  /** For people. */
  lines(): string[];
}

const LEFT_OUT = /^(events\.ndjson|daemon\.log|daemon\.json|daemon\.lock)|(^|\/)state\.json$/;
/** What a writer of ours calls its work until it is done. */
const UNFINISHED = /^\.(new|submit|archived|bundle|bundled)-|\.json\.\d+$/;

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
  return UNFINISHED.test(path.slice(path.lastIndexOf('/') + 1)) || /(^|\/)\.(new|submit|archived)-/.test(path);
}

/**
 * A word for a state as the next daemon will find it: the same for two that differ only in what is another each time (PIDs,
 * times, inodes, names that are made up).
 */
export function stateOf(root: string, account: string): string {
  const hash = createHash('sha256').update(readFileSync(account));
  for (const [path, entry] of imageOf(root)) {
    if (/^(events\.ndjson|daemon\.log)/.test(path)) continue;
    hash.update(
      `\0${path.replaceAll(/(\.[a-z-]+)-[0-9a-f]{8}-[0-9a-z]+/g, '$1').replace(/\.json\.\d+$/, '.json.n')}\0`,
    );
    if (entry.kind === 'link') hash.update(entry.target);
    if (entry.kind === 'file') hash.update(lasting(entry.data.toString('latin1').replaceAll(dirname(root), '')));
  }
  return hash.digest('base64').slice(0, 12);
}

/** Text without what is another each time. */
function lasting(text: string): string {
  return text
    .replace(/^\d+ \d+ (\S+ \S+ \S+) \d+$/m, 'P T $1 I')
    .replace(/^exited (\d+) \d+ \.$/m, 'exited $1')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'T')
    .replaceAll(/"(at|pid|startTicks|directory|\w+_s|\w+_bytes)": ?(null|"?[\d.]+"?)/g, '"$1":N');
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

function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined; // gone since its folder was read
  }
}

/** All that lies in a folder, with contents. */
export function imageOf(root: string, folder = '', image: Image = new Map()): Image {
  for (const name of namesIn(join(root, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
    if (stat === undefined) continue; // gone since its folder was read
    if (stat.isSymbolicLink()) {
      const target = targetOf(join(root, path));
      if (target !== undefined) image.set(path, { kind: 'link', target });
    }
    if (stat.isFile()) {
      const data = contentOf(join(root, path));
      if (data !== undefined) image.set(path, { kind: 'file', data, node: stat.ino });
    }
    if (stat.isDirectory()) {
      image.set(path, { kind: 'folder' });
      imageOf(root, path, image);
    }
  }
  return image;
}
