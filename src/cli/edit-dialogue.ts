// Editing with a person at the terminal: the editor, what is wrong, and the editor again until it is right or given up.
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { type Draft, draftOf, problemsWith, putBack, runEditor } from '../client/edit.ts';
import { SpooldError } from '../errors.ts';
import type { Layout } from '../protocol/layout.ts';
import { note } from './print.ts';

/** Has a task edited and puts it back. Errors: EDIT_GIVEN_UP, EDIT_INVALID where nobody can be asked, and those of client/edit.ts. */
export async function editTask(
  layout: Layout,
  job: string,
  task: string,
  states: readonly string[],
): Promise<'changed' | 'unchanged' | 'queued'> {
  const draft = draftOf(layout, job, task, states);
  for (;;) {
    runEditor(draft.copy, process.env);
    const problems = problemsWith(draft);
    if (problems.length === 0) return putBack(layout, draft);
    if (!process.stdin.isTTY) throw invalid(draft, problems);
    for (const problem of problems) note(problem);
    if (await isWanted('Edit it again? [Y/n] ')) continue;
    throw new SpooldError('EDIT_GIVEN_UP', `${job}/${task} was not changed.`, {
      path: draft.copy,
      exit: 1,
      hint: `Your copy: ${draft.copy}`,
    });
  }
}

function invalid({ copy }: Draft, problems: readonly string[]): SpooldError {
  return new SpooldError('EDIT_INVALID', problems.join('\n'), {
    path: copy,
    hint: `Nothing was changed. Your copy: ${copy}`,
  });
}

async function isWanted(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C and Ctrl-D close it without an answer.
    const closed = once(terminal, 'close').then(() => 'n');
    return !/^\s*n/i.test(await Promise.race([terminal.question(question).catch(() => 'n'), closed]));
  } finally {
    terminal.close();
  }
}
