// A process of its own that reads files as `spoold validate` and `submit` do: what would end it ends it alone. Told a path
// and a kind by a message; answers with the problems found, and what it took in ms of processor time.
import { validateFile, type FileKind } from '../../src/client/validate.ts';

process.on('message', ({ path, kind }: { path: string; kind: FileKind }) => {
  const before = process.cpuUsage();
  let problems: string[] | undefined;
  let failure: string | undefined;
  try {
    ({ problems } = validateFile(path, kind));
  } catch (error) {
    failure = (error as Error).stack;
  }
  const { user, system } = process.cpuUsage(before);
  process.send?.({ problems, failure, cpu: (user + system) / 1000 });
});
