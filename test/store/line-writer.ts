// Appends a thousand lines of one letter each, in groups, to the file that is named; their length varies.
import { LineLog } from '../../src/store/events.ts';

const [, , path = '', letter = ''] = process.argv;
const log = new LineLog(path);
for (let n = 0; n < 1000; n++) {
  log.add(letter.repeat(1 + ((n * 37) % 3000)));
  if (n % 7 === 0) log.flush();
}
log.flush();
log.close();
process.disconnect?.();
