// The file `stop` of a state directory: how the SIGTERM that follows is meant. Its reader removes it. On a full disk it is
// a link that has the word for its target, which takes no room.
import { readlinkSync } from 'node:fs';
import { unless } from '../errors.ts';
import { claimLink, remove, replaceWhole } from '../host/atomic.ts';
import { readRegular } from '../host/regular.ts';
import type { Layout } from '../protocol/layout.ts';
import type { StopHow } from '../store/daemon-record.ts';

/** Says how the next SIGTERM is meant. */
export function leaveStopRequest({ stopRequest: path }: Layout, how: StopHow): void {
  if (how === 'now') return void remove(path);
  const isWritten = unless(['ENOSPC', 'EDQUOT'], () => (replaceWhole(path, `${how}\n`), true));
  if (isWritten) return;
  remove(path);
  claimLink(how, path);
}

/** What was asked for, and no longer is; undefined: nothing was, or nothing that has a meaning. */
export function takeStopRequest({ stopRequest: path }: Layout): Exclude<StopHow, 'now'> | undefined {
  const text =
    unless(['ENOENT', 'EINVAL', 'EACCES'], () => readlinkSync(path)) ??
    unless(['ENOENT', 'EINVAL', 'EACCES'], () => readRegular(path))?.trim();
  if (text === undefined) return undefined;
  unless(['EISDIR', 'EACCES', 'EROFS'], () => remove(path));
  return text === 'drain' || text === 'kill' ? text : undefined;
}
