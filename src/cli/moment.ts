// Moments as people give them to options: with an offset, or in the local time of this machine where that can mean one moment only.

import { dateOfMicros, microsOfText } from '../model/instant-text.ts';
import { usage } from './option.ts';
import { formatTime } from './table.ts';

const LOCAL = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?$/;
const MINUTE_MS = 60_000;
/** By so much clocks are set when summer time begins or ends. */
const CLOCK_CHANGES_MS = [30, 60, 120].map((minutes) => minutes * MINUTE_MS);
const EXAMPLE = '2026-05-04T10:15:30+08:00';

/** Undefined where nothing was given. USAGE when it has no offset, or is none. */
export function momentOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : dateOfMicros(microsOf(text));
}

/** Unix microseconds. USAGE, as `momentOf`. */
export function microsOf(text: string): number {
  const micros = microsOfText(text);
  if (micros !== undefined) return micros;
  const hint = `Give RFC 3339 with an offset, e.g. ${EXAMPLE}: without one nobody knows which moment is meant.`;
  throw usage(`"${text}" is not a moment`, hint);
}

/** Unix microseconds of a moment with an offset, or in local time. USAGE also for a local time that a clock change left out or had twice. */
export function localMicrosOf(text: string): number {
  const match = LOCAL.exec(text.trim());
  if (match === null) {
    const micros = microsOfText(text);
    if (micros !== undefined) return micros;
    throw usage(`"${text}" is no instant`, `It looks like "2026-05-04 10:15" (local time) or ${EXAMPLE}.`);
  }
  const [, day, time, second = '00', fraction = ''] = match as unknown as [string, string, string, string?, string?];
  const wanted = `${day} ${time}:${second}`;
  const at = new Date(`${day}T${time}:${second}`).getTime();
  const isSo = (ms: number): boolean => formatTime(new Date(ms)) === wanted;
  if (!isSo(at)) throw usage(`There is no "${text}" in the local time of this machine`, `Give an offset, e.g. ${EXAMPLE}.`);
  if (CLOCK_CHANGES_MS.some((change) => isSo(at - change) || isSo(at + change)))
    throw usage(
      `"${text}" was there twice in the local time of this machine: a clock was set back`,
      `Give an offset, e.g. ${EXAMPLE}.`,
    );
  return at * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}
