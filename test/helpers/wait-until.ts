// Waiting for what a user would see, instead of sleeping for as long as it might take.

/** Milliseconds after which nothing is expected any more. Generous: a busy machine is not a failure. */
const PATIENCE = 300_000;

/**
 * Polls until `look` gives something other than undefined, null or false, and gives that. Fails with `what` and
 * what `describeLastSeen` says of the last state, so that a failure tells what was there instead.
 */
export async function waitUntil<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  describeLastSeen: () => unknown = () => 'nothing',
  patience = PATIENCE,
): Promise<T> {
  const deadline = performance.now() + patience;
  for (let pause = 2; ; pause = Math.min(pause * 1.5, 50)) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen;
    if (performance.now() > deadline) {
      throw new Error(`not seen within ${patience} ms: ${what}; last seen: ${describe(describeLastSeen())}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function describe(seen: unknown): string {
  return typeof seen === 'string' ? seen : JSON.stringify(seen);
}
