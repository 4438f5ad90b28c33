// Swaps the file that is named between texts of one letter each, for a minute at most; killed by whoever started it.
import { replaceWhole } from '../../src/host/atomic.ts';

const path = process.argv[2] as string;
const end = performance.now() + 60_000;
for (let n = 0; performance.now() < end; n++) replaceWhole(path, `${'abcdefghij'[n % 10]?.repeat(20_000)}\n`);
