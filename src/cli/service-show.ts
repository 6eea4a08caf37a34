// How things of the service are shown: a table for people, a record a thing for programs.

import { formatBytes } from '../base/units.ts';
import type { Approval, Run } from '../client/generated.ts';
import type { Output } from './output.ts';
import { type Column, formatTime, tableLines } from './table.ts';

export async function showList<T extends object>(
  output: Output,
  kind: string,
  items: AsyncIterable<T> | Iterable<T>,
  columns: readonly Column[],
  rowOf: (item: T) => readonly string[],
): Promise<number> {
  const rows: (readonly string[])[] = [];
  let count = 0;
  for await (const item of items) {
    count++;
    output.record(kind, item as Readonly<Record<string, unknown>>);
    if (!output.isJson) rows.push(rowOf(item));
  }
  if (count === 0) output.notice('Nothing there');
  else for (const line of tableLines(columns, rows)) output.line(line);
  return count;
}

/** A thing in full: a line for each of its fields. */
export function showOne(output: Output, kind: string, thing: object): void {
  output.record(kind, thing as Readonly<Record<string, unknown>>);
  const fields = Object.entries(thing).filter(([, value]) => value !== undefined);
  const width = Math.max(...fields.map(([name]) => name.length));
  for (const [name, value] of fields) output.line(`${name.padEnd(width)}  ${textOf(name, value)}`);
}

export function textOf(name: string, value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' && /Bytes$|^bytes/.test(name)) return formatBytes(value);
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return formatTime(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

export function whenOf(instant: string | undefined): string {
  return instant === undefined ? '-' : formatTime(instant);
}

export function showApproval(output: Output, approval: Approval): void {
  output.record('approval', approval);
  output.line(
    `Nothing is changed yet. ${approval.id} waits for the approval of a second person until ${formatTime(approval.expiresAt)}:`,
  );
  output.line(`  holdfast approval approve ${approval.id}`);
}

/** Whether an answer is a request for approval rather than the thing. */
export function isApproval(body: object | undefined): body is Approval {
  return body !== undefined && 'requestedBy' in body && 'expiresAt' in body && 'action' in body;
}

export function runLine({ kind, state, progress, fault, result, dueAt, notBefore }: Run): string {
  if (fault !== undefined) return `${kind}: ${state}: ${fault.message} [${fault.code}]`;
  if (state === 'queued' && notBefore > dueAt) return `${kind}: queued, not before ${formatTime(notBefore)}`;
  if (progress === undefined || state !== 'running') return `${kind}: ${[state, ...amountsOf(result ?? {})].join(', ')}`;
  const { phase, bytesDone, bytesTotal } = progress;
  return `${kind}: ${phase}, ${formatBytes(bytesDone)}${bytesTotal === undefined ? '' : ` of ${formatBytes(bytesTotal)}`}`;
}

/** Of a run's result, what people look for: how much it was, and what went wrong. */
function amountsOf(result: Readonly<Record<string, unknown>>): readonly string[] {
  const amount = (name: string, show: (n: number) => string, isShown = (_: number): boolean => true): readonly string[] => {
    const value = result[name];
    return typeof value === 'number' && isShown(value) ? [show(value)] : [];
  };
  const forgotten = result['forgotten'];
  return [
    ...amount('files', (n) => `${n} ${n === 1 ? 'file' : 'files'}`),
    ...amount('entries', (n) => `${n} ${n === 1 ? 'entry' : 'entries'}`),
    ...amount('bytesScanned', formatBytes),
    ...amount('bytes', formatBytes),
    ...amount('bytesStored', (n) => `${formatBytes(n)} stored`),
    ...amount('kept', (n) => `${n} kept`),
    ...(Array.isArray(forgotten) ? [`${forgotten.length} forgotten`] : []),
    ...amount(
      'problems',
      (n) => `${n} ${n === 1 ? 'problem' : 'problems'}`,
      (n) => n > 0,
    ),
  ];
}
