// Positions in PostgreSQL's log as numbers, and its clock as Unix time. A position fits a double up to 8 PiB of log.

import { Fault } from '../base/faults.ts';

/** Unix time of PostgreSQL's epoch, 2000-01-01, in microseconds. */
const EPOCH_MICROS = 946_684_800_000_000;
const HALF = 0x1_0000_0000;

/** "0/3000060" */
export function formatLsn(position: number): string {
  return `${Math.floor(position / HALF)
    .toString(16)
    .toUpperCase()}/${(position % HALF).toString(16).toUpperCase()}`;
}

/** Undefined when it is none. */
export function parseLsn(text: string): number | undefined {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text.trim());
  if (match === null) return undefined;
  const position = Number.parseInt(match[1]!, 16) * HALF + Number.parseInt(match[2]!, 16);
  return Number.isSafeInteger(position) ? position : undefined;
}

export function mustParseLsn(text: string | null | undefined): number {
  const position = parseLsn(text ?? '');
  if (position === undefined) throw new Fault('PG_PROTOCOL', `The server answered "${text}" where a log position belongs`);
  return position;
}

/** A TimestampTz (microseconds since 2000) as Unix microseconds. */
export function unixMicros(timestamp: bigint): number {
  return Number(timestamp) + EPOCH_MICROS;
}

export function pgMicros(unixMicros: number): bigint {
  return BigInt(unixMicros) - BigInt(EPOCH_MICROS);
}

/** "000000010000000000000003": timeline, then the segment's number in two halves. */
export function segmentName(timeline: number, segment: number, segmentBytes: number): string {
  const perHalf = HALF / segmentBytes;
  return [timeline, Math.floor(segment / perHalf), segment % perHalf]
    .map((n) => n.toString(16).toUpperCase().padStart(8, '0'))
    .join('');
}

/** Undefined when it is not the name of a whole segment. */
export function parseSegmentName(
  name: string,
  segmentBytes: number,
): { readonly timeline: number; readonly segment: number } | undefined {
  const match = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name);
  if (match === null) return undefined;
  const [timeline, high, low] = match.slice(1).map((part) => Number.parseInt(part, 16)) as [number, number, number];
  return { timeline, segment: high * (HALF / segmentBytes) + low };
}
