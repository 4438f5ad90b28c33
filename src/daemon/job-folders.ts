// The folders of a job: made when it is taken up, and looked at then and whenever something in the job's own folder
// changes. One that is a link would lead out of the state directory, and one that others may write to lets them run
// commands as us: the job is left alone until that is mended.
import { lstatSync, type Stats } from 'node:fs';
import { unless } from '../errors.ts';
import { createFolder } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { STATES } from '../protocol/states.ts';

/** All folders are there from the beginning, so that every move a person may want is one `mv`. */
export function makeFolders(job: JobLayout): void {
  for (const path of foldersOf(job)) createFolder(path);
}

/** `owners`: those whose tasks are run. Others than we may then write to pending/, and to nothing else. */
export function folderProblem({ root }: Layout, job: JobLayout, owners: ReadonlySet<number>): string | undefined {
  const reachable = ((statOf(root)?.mode ?? 0) & 0o001) !== 0;
  for (const path of [job.root, ...foldersOf(job)]) {
    const stat = statOf(path);
    if (stat === undefined) continue; // made again, or gone with its job
    if (!stat.isDirectory())
      return `${path} is ${stat.isSymbolicLink() ? 'a link' : 'no folder'}: move it away, and put a folder there`;
    const mayBeOpen = !reachable || (owners.size > 1 && path === job.folder('pending'));
    if ((stat.mode & 0o002) !== 0 && !mayBeOpen) return `every user of this host may write to ${path}: chmod o-w`;
  }
  return undefined;
}

/** True if something else than a folder has its name: what is looked at through it lies elsewhere. */
export function isDisplaced(path: string): boolean {
  return statOf(path)?.isDirectory() === false;
}

function foldersOf(job: JobLayout): string[] {
  return [...STATES.map((state) => job.folder(state)), job.runs];
}

function statOf(path: string): Stats | undefined {
  return unless('ENOTDIR', () => lstatSync(path, { throwIfNoEntry: false }));
}
