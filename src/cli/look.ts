// The verbs that only look, for a bundle of one file without what the others need: it starts in half the time, and they
// are what people type most, and what prompts and scripts ask again and again. bin/spoold takes it where the first word
// is one of these; main.ts has them as well, for words in another order and for `help`.
import { endWith, perform } from './perform.ts';
import { StatusCommand } from './status.ts';

await endWith(perform(StatusCommand, 'status', process.argv.slice(2)));
