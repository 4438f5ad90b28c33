// Takes the state directory that is named, says what came of it, and holds it until told to free it, or killed.
import { ownIdentity } from '../../src/host/identity.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { acquireLock } from '../../src/store/lock.ts';

const layout = new Layout(process.argv[2] as string);
const taken = await acquireLock(
  layout,
  ownIdentity(),
  'test',
  () => new Date().toISOString(),
  () => undefined,
);
if (taken.kind === 'busy') {
  process.send?.({ kind: 'busy', pid: taken.record?.identity.pid });
  process.disconnect?.();
} else {
  process.send?.({ kind: 'held', takenByAge: taken.lock.takenByAge, isOurs: taken.lock.isOurs() });
  process.on('message', (message) => {
    if (message === 'free') void taken.lock.free().then(() => process.disconnect?.());
  });
  process.on('disconnect', () => process.exit(0));
}
