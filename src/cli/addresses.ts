// Verbs that take many addresses: each is tried, whatever became of the ones before; what went wrong is said once for
// each, and the first failure is what the verb ends with.
import { knownError } from '../client/access.ts';
import type { Address } from '../protocol/names.ts';
import type { SpooldError } from '../errors.ts';
import { printError } from './print.ts';

export interface Tried<T> {
  done: T[];
  failures: SpooldError[];
}

/** Does `action` for each address, one after the other; failures of ours are collected. */
export async function tryEach<A extends Address, T>(
  addresses: readonly A[],
  action: (address: A) => T | Promise<T>,
): Promise<Tried<T>> {
  const tried: Tried<T> = { done: [], failures: [] };
  for (const address of addresses) {
    try {
      tried.done.push(await action(address));
    } catch (error) {
      const known = knownError(error);
      if (known === undefined) throw error;
      tried.failures.push(known);
    }
  }
  return tried;
}

/** Prints the failures; gives the exit status. */
export function printFailures({ failures }: Tried<unknown>): number {
  const statuses = failures.map(printError);
  return statuses[0] ?? 0;
}

/** The failures as they stand in a `--json` document. */
export function failuresJson({ failures }: Tried<unknown>): object[] {
  return failures.map(({ code, message }) => ({ code, message }));
}
