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
console.log(`seed ${values.seed}`);
const { failures, cases, longestTurn } = await fuzz(Number(values.cases), Number(values.seed), MOST_TURN_MS, (text) =>
  console.log(text),
);
for (const failure of failures) console.log(`FAILED: ${failure}`);
console.log(`${cases} cases: ${failures.length} failures, longest turn ${longestTurn.toFixed(0)} ms of processor time`);
process.exit(failures.length === 0 ? 0 : 1);
