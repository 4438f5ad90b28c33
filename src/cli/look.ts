// The verbs that only look, for a bundle of one file without what the others need: it starts in half the time, and they
// are what people type most, and what prompts and scripts ask again and again. bin/spoold takes it where the first word
// is one of these; main.ts has them as well, for words in another order and for `help`.
import { endWith, perform } from './perform.ts';
import { StatusCommand } from './status.ts';
import { WhyCommand } from './why.ts';

const argv = process.argv.slice(2);
await endWith(argv[0] === 'why' ? perform(WhyCommand, 'why', argv) : perform(StatusCommand, 'status', argv));
