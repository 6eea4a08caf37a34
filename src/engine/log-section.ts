// A section of a log while it fills in memory.

import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { LogFrame } from './log-frames.ts';
import { sectionOf } from './log-objects.ts';

export type LogSection = {
  readonly start: number;
  readonly bytes: Uint8Array;
  /** Where this epoch's bytes begin in it. */
  from: number;
  filled: number;
  shipped: number;
  shippedMarks: number;
  /** Where the first record begins that is not complete at `shipped`. */
  shippedRecord: number;
  ranges: number;
  /** What was shipped, as the ranges have it. */
  frames: LogFrame[];
  marks: LogMark[];
  /** The latest time of all marks of the epoch before. */
  timeBefore: number;
  recordFrom: number;
};

/** `bytes`: of a section that nobody needs any more. */
export function newSection(from: number, timeBeforeIt: number, bytes?: Uint8Array): LogSection {
  const start = sectionOf(from);
  return {
    start,
    bytes: bytes ?? new Uint8Array(LOG_SECTION_BYTES),
    from: from - start,
    filled: from - start,
    shipped: from - start,
    shippedMarks: 0,
    shippedRecord: from,
    ranges: 0,
    frames: [],
    marks: [],
    timeBefore: timeBeforeIt,
    recordFrom: from,
  };
}

/** The latest time of all marks before the `count`-th of a section. */
export function timeBefore(section: LogSection, count: number): number {
  return section.marks.slice(0, count).reduce((max, { time }) => Math.max(max, time), section.timeBefore);
}

/** What lies before `record` is not stored by this epoch. The last section stays. Answers the latest time of all marks that are left. */
export function leaveOut(sections: LogSection[], record: number): number {
  while (sections.length > 1 && sections[0]!.start + LOG_SECTION_BYTES <= record) sections.shift();
  const first = sections[0]!;
  const begin = Math.min(record - first.start, first.filled);
  if (begin > first.from) {
    first.from = begin;
    first.shipped = begin;
    first.marks = first.marks.filter(({ end }) => end > record);
  }
  let latest = 0;
  for (const section of sections) {
    section.timeBefore = latest;
    latest = timeBefore(section, section.marks.length);
  }
  return latest;
}
