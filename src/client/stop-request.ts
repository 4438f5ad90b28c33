// The file `stop` of a state directory: how the SIGTERM that follows is meant. Its reader removes it.
import { unless } from '../errors.ts';
import { remove } from '../host/atomic.ts';
import { readRegular } from '../host/regular.ts';
import type { Layout } from '../protocol/layout.ts';
import type { StopHow } from '../store/daemon-record.ts';

/** What was asked for, and no longer is; undefined: nothing was, or nothing that has a meaning. */
export function takeStopRequest(layout: Layout): Exclude<StopHow, 'now'> | undefined {
  const text = unless(['ENOENT', 'EINVAL', 'EACCES'], () => readRegular(layout.stopRequest))?.trim();
  if (text === undefined) return undefined;
  unless(['EISDIR', 'EACCES', 'EROFS'], () => remove(layout.stopRequest));
  return text === 'drain' || text === 'kill' ? text : undefined;
}
