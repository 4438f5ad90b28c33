// The command line of the fuzzer.
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const MOST_TURN_MS = 150;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});
const [wanted, seed] = [Number(values.cases), Number(values.seed)];
if (!(Number.isInteger(wanted) && wanted > 0 && Number.isInteger(seed) && seed >= 0)) {
  console.error('usage: npm run fuzz -- [--cases N] [--seed S]: whole numbers, N from 1.');
  process.exit(2);
}
console.log(`seed ${seed}`);
const { failures, cases, longestTurn } = await fuzz(wanted, seed, MOST_TURN_MS, (text) => console.log(text));
for (const failure of failures) console.log(`FAILED: ${failure}`);
console.log(`${cases} cases: ${failures.length} failures, longest turn ${longestTurn.toFixed(0)} ms of processor time`);
process.exit(failures.length === 0 ? 0 : 1);
