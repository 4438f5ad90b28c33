// What events.ndjson has on a task, newest first. It is searched from its end by the text that every line of a task has in
// it, so an answer that is near costs little however long the file is. Lines may be missing: nothing is decided by them.
import { closeSync, fstatSync, readSync } from 'node:fs';
import { unless } from '../errors.ts';
import { openRegular } from '../host/regular.ts';
import { type EventLine, parseEvent } from '../protocol/event.ts';
import type { Layout } from '../protocol/layout.ts';

const CHUNK_BYTES = 1024 * 1024;
/** Further back than this is not looked. */
const MOST_BYTES = 32 * CHUNK_BYTES;

/** Events of a job, or of one task of it, newest first; of the file that is written now, and the one before. */
export function* eventsOf(layout: Layout, job: string, task?: string): IterableIterator<EventLine> {
  const mark = `"job":${JSON.stringify(job)},${task === undefined ? '' : `"task":${JSON.stringify(task)},`}`;
  for (const path of [layout.events, `${layout.events}.1`]) {
    for (const line of linesWith(path, mark)) {
      const event = parseEvent(line);
      if (event !== undefined) yield event;
    }
  }
}

/** Lines of a file that have `mark` in them, the last one first. */
function* linesWith(path: string, mark: string): IterableIterator<string> {
  const fd = unless(['ENOENT', 'EACCES', 'EINVAL', 'ELOOP', 'ENXIO'], () => openRegular(path));
  if (fd === undefined) return;
  try {
    const needle = Buffer.from(mark);
    let end = fstatSync(fd).size;
    const least = Math.max(0, end - MOST_BYTES);
    let rest = Buffer.alloc(0); // the beginning of what was read last: the end of a line that begins before it
    while (end > least) {
      const start = Math.max(least, end - CHUNK_BYTES);
      const chunk = Buffer.alloc(end - start);
      const length = readSync(fd, chunk, 0, chunk.length, start);
      const text = Buffer.concat([chunk.subarray(0, length), rest]);
      const first = start === 0 ? 0 : text.indexOf(10) + 1;
      for (let at = text.lastIndexOf(needle); at >= first; ) {
        const from = text.lastIndexOf(10, at) + 1;
        const to = text.indexOf(10, at);
        yield text.toString('utf8', from, to < 0 ? text.length : to);
        if (from <= first) break;
        at = text.lastIndexOf(needle, from - 1);
      }
      rest = text.subarray(0, first);
      end = start;
    }
  } finally {
    closeSync(fd);
  }
}
