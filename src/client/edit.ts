// Editing a task's file as a person would with care: a copy is edited and checked, and put back in one rename, unless
// the task has moved or changed meanwhile. Whatever keeps it from going back, the copy is kept and named.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SpooldError } from '../errors.ts';
import { createExclusive, publish, remove, removeTree, replaceWhole, syncFolder } from '../host/atomic.ts';
import type { Layout } from '../protocol/layout.ts';
import { parseJson } from '../protocol/json.ts';
import { describeJsonError, describeProblems } from '../protocol/problems.ts';
import { mergeDefaults, parseTask, type Raw } from '../protocol/task.ts';
import { claimedAttempt } from '../store/runs.ts';
import { fileStamp, foldersHolding } from '../store/tasks.ts';
import { dirOption } from './directory.ts';
import { jobDefaults, readTask } from './facts.ts';
import { findTask, type FoundTask } from './find.ts';
import { type OwnFolders, ownFolders } from './own-folders.ts';
import { recordEvents } from './who.ts';

export interface Draft {
  task: FoundTask;
  /** Where the task's own file lies. */
  path: string;
  /** The copy that is edited. */
  copy: string;
  before: string;
  /** What the file was when it was copied. */
  stamp: string | undefined;
}

/** Copies a task's file for editing. `only`: states it may be in. Errors: JOB_UNKNOWN, TASK_UNKNOWN, EDIT_STATE, JOB_LEFT_ALONE. */
export function draftOf(layout: Layout, job: string, id: string, only: readonly string[]): Draft {
  const task = findTask(layout, job, id);
  if (!only.includes(task.state) || task.state === 'held') throw notEditable(layout, task);
  ownFolders(layout, job, [task.state, 'pending']); // before somebody has edited it in vain
  const path = task.layout.task(task.state, id);
  const stamp = fileStamp(path);
  const read = readTask(path);
  const before = read.kind === 'missing' ? undefined : read.text;
  if (before === undefined) {
    throw new SpooldError(
      'EDIT_UNREADABLE',
      `${path} cannot be edited: ${read.kind === 'damaged' ? read.reason : 'it has just moved'}.`,
      { path },
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'spoold-edit-'));
  const copy = join(folder, `${id}.json`);
  createExclusive(copy, before, { mode: 0o600 });
  return { task, path, copy, before, stamp };
}

function notEditable(layout: Layout, { job, id, layout: files, state }: FoundTask): SpooldError {
  const address = `${job}/${id}`;
  const again = `spoold retry${dirOption(layout)} --edit ${address}`;
  const hints: Record<string, string> = {
    pending: `To change it: spoold edit${dirOption(layout)} ${address}`,
    running: `What runs is not changed any more. Cancel it, then: ${again}`,
    held: `Edit the file itself: it is held back in ${files.folder('pending')}`,
  };
  const words = state === 'pending' ? 'waits already' : `does not wait: it is ${state}`;
  return new SpooldError('EDIT_STATE', `${address} ${words}.`, {
    path: files.root,
    exit: 1,
    hint: hints[state] ?? `To change it and run it again: ${again}`,
  });
}

/** Has the user edit the copy. Errors: EDITOR_FAILED. */
export function runEditor(copy: string, env: NodeJS.ProcessEnv): void {
  const editor = env.VISUAL || env.EDITOR || 'vi';
  // By a shell, as other tools do, so that EDITOR='code --wait' works.
  const ended = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', copy], { stdio: 'inherit' });
  if (ended.status === 0) return;
  throw new SpooldError(
    'EDITOR_FAILED',
    `The editor (${editor}) ended with ${ended.signal ?? `exit status ${ended.status}`}; nothing was changed.`,
    {
      path: copy,
      exit: 1,
      hint: `Your copy: ${copy}\nAnother editor can be named in $VISUAL or $EDITOR.`,
    },
  );
}

/** What is wrong with the copy, one line each; none if it is a valid task. */
export function problemsWith({ task, copy }: Draft): string[] {
  const text = readFileSync(copy, 'utf8');
  const name = `${task.id}.json`;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return [describeJsonError(text, name, error)];
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = isObject ? mergeDefaults(jobDefaults(task.layout), value as Raw) : value;
  const parsed = parseTask(merged, task.id, { isFile: existsSync });
  return parsed.ok ? [] : describeProblems(text, name, parsed.problems);
}

/**
 * Puts the edited copy in the place of the task's file; `unchanged` if it is the same text. What was rejected is
 * dropped anew and taken out of rejected/ in one go (`queued`), since the daemon takes in what changes there by itself.
 * Errors: JOB_LEFT_ALONE, JOB_TAKEN, MOVE_IN_THE_WAY; EDIT_OVERTAKEN, if the task has started, moved, or been changed by somebody else meanwhile.
 */
export function putBack(layout: Layout, draft: Draft): 'changed' | 'unchanged' | 'queued' {
  const { task, path, copy, before, stamp } = draft;
  const text = readFileSync(copy, 'utf8');
  if (text === before) {
    discard(draft);
    return 'unchanged';
  }
  if (fileStamp(path) !== stamp || (task.state === 'pending' && claimedAttempt(task.layout, task.id) !== undefined))
    throw overtaken(layout, draft);
  const state = task.state === 'held' ? 'pending' : task.state;
  const folders = ownFolders(layout, task.job, [state, 'pending']);
  if (task.state === 'rejected') return dropAnew(layout, draft, text, folders);
  replaceWhole(path, text, { sync: true });
  if (task.state === 'pending' && leftMeanwhile(draft, text)) throw overtaken(layout, draft);
  syncFolder(task.layout.folder(state));
  folders.confirm();
  recordEvents(layout, [{ job: task.job, task: task.id, event: 'edited' }]);
  discard(draft);
  return 'changed';
}

function dropAnew(layout: Layout, draft: Draft, text: string, folders: OwnFolders): 'queued' {
  const { job, id, layout: jobLayout } = draft.task;
  const target = jobLayout.task('pending', id);
  if (!publish(target, text, { sync: true })) {
    throw new SpooldError('MOVE_IN_THE_WAY', `${job}/${id} cannot be queued: there is a file ${target} already.`, {
      path: target,
      exit: 1,
      hint: `Your copy: ${draft.copy}`,
    });
  }
  syncFolder(jobLayout.folder('pending'));
  folders.confirm();
  remove(draft.path);
  remove(jobLayout.rejection(id));
  recordEvents(layout, [{ job, task: id, event: 'edited', from: 'rejected', to: 'pending' }]);
  discard(draft);
  return 'queued';
}

/** It left between our look and our rename: then another folder has either our text, or the one before and ours is one too many. */
function leftMeanwhile({ task, path }: Draft, text: string): boolean {
  const elsewhere = foldersHolding(task.layout, task.id).find((state) => state !== 'pending');
  if (elsewhere === undefined) return false;
  const there = readTask(task.layout.task(elsewhere, task.id));
  if (there.kind !== 'ok' || there.text === text) return false;
  const ours = readTask(path);
  if (ours.kind === 'ok' && ours.text === text) remove(path);
  return true;
}

function overtaken(layout: Layout, { task, copy }: Draft): SpooldError {
  const address = `${task.job}/${task.id}`;
  const now = findTask(layout, task.job, task.id).state;
  const what = now === task.state ? 'was changed by somebody else' : `is ${now} by now`;
  return new SpooldError('EDIT_OVERTAKEN', `${address} ${what}; your change was not made.`, {
    path: copy,
    exit: 1,
    hint: `Your copy: ${copy}`,
  });
}

/** Removes the copy. */
function discard({ copy }: Draft): void {
  removeTree(join(copy, '..'));
}
