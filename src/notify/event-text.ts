// An event as people read it: one line, and a few.

import type { Event } from '../model/event.ts';

const SUBJECT_CHARS_MAX = 150;
/** Control characters, C1 ones, and the line and paragraph separators. */
const CONTROL = /[\p{Cc}\u2028\u2029]+/gu;

export function onOneLine(text: string): string {
  return text.replace(CONTROL, ' ').trim();
}

/** "[Holdfast critical] objective.broken: ..." */
export function subjectOf(event: Event): string {
  const text = `[Holdfast ${event.severity}] ${event.kind}: ${onOneLine(event.message)}`;
  return text.length > SUBJECT_CHARS_MAX ? `${text.slice(0, SUBJECT_CHARS_MAX - 3)}...` : text;
}

export function linesOf(event: Event): string[] {
  const { message, cause, action, tenantId, assetId, runId, at, id } = event;
  const lines = [message];
  if (cause !== undefined) lines.push('', `Cause: ${cause}`);
  if (action !== undefined) lines.push('', `What to do: ${action}`);
  const facts = [`At: ${at}`, `Event: ${id}`];
  if (tenantId !== undefined) facts.push(`Tenant: ${tenantId}`);
  if (assetId !== undefined) facts.push(`Asset: ${assetId}`);
  if (runId !== undefined) facts.push(`Run: ${runId}`);
  return [...lines, '', ...facts];
}
