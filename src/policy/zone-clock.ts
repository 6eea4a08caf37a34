// Local time and instants of a time zone. A local time is written as a number, too: the milliseconds that it would be if it were UTC.
//
// Intl answers only "which local time is this instant", slowly. So the offsets are found once for each stretch of 32 days: one look a day, and
// where two neighbours differ the moment of the change by halving. (Two changes within one day that cancel each other out would be
// overlooked; no zone ever had that.) Everything else is arithmetic on these.

export type Change = { readonly at: number; readonly before: number; readonly after: number };

/** Instants that show a local time: none (clocks were put forward over it), one, or two (put back), ascending. */
export type LocalInstants = {
  readonly at: readonly number[];
  /** When there is none: the first moment after the gap. */
  readonly afterGap?: number;
};

const DAY_MS = 86_400_000;
const STRETCH_MS = 32 * DAY_MS;
/** Local time and UTC were never further apart. */
const OFFSET_MS_MAX = 16 * 3_600_000;
const ZONES_MAX = 200;
const STRETCHES_MAX = 2000;

/** Changes in (start, end]; `offset` is that of the start. */
type Stretch = { readonly offset: number; readonly changes: readonly Change[] };

export class ZoneClock {
  readonly #format: Intl.DateTimeFormat;
  readonly #stretches = new Map<number, Stretch>();

  /** Throws a RangeError for a name that is no time zone. */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  localOf(instant: number): number {
    return instant + this.#offsetAt(instant);
  }

  instantsOf(local: number): LocalInstants {
    const from = local - OFFSET_MS_MAX;
    const to = local + OFFSET_MS_MAX;
    const changes = this.changesBetween(from, to);
    if (changes.length === 0) return { at: [local - this.#offsetAt(from)] };
    const at: number[] = [];
    let begin = from;
    for (const [i, { before, after, at: end }] of changes.entries()) {
      if (local - before >= begin && local - before < end) at.push(local - before);
      begin = end;
      if (i === changes.length - 1 && local - after >= end) at.push(local - after);
    }
    if (at.length > 0) return { at };
    const gap = changes.find((change) => local >= change.at + change.before && local < change.at + change.after);
    return { at, afterGap: gap?.at ?? local - changes.at(-1)!.after };
  }

  /** The offset when it is one and the same for all instants that may show a local time in [from, to] (both as local times). */
  steadyOffset(from: number, to: number): number | undefined {
    return this.changesBetween(from - OFFSET_MS_MAX, to + OFFSET_MS_MAX).length > 0 ? undefined : this.#offsetAt(from);
  }

  /** Changes of the offset in (from, to], ascending. */
  changesBetween(from: number, to: number): readonly Change[] {
    const found: Change[] = [];
    for (let n = Math.floor(from / STRETCH_MS); n <= Math.floor(to / STRETCH_MS); n++) {
      for (const change of this.#stretch(n).changes) if (change.at > from && change.at <= to) found.push(change);
    }
    return found;
  }

  #offsetAt(instant: number): number {
    const { offset, changes } = this.#stretch(Math.floor(instant / STRETCH_MS));
    return changes.findLast(({ at }) => at <= instant)?.after ?? offset;
  }

  #stretch(n: number): Stretch {
    const known = this.#stretches.get(n);
    if (known !== undefined) return known;
    const start = n * STRETCH_MS;
    const changes: Change[] = [];
    const offset = this.#lookAt(start);
    let before = offset;
    for (let day = start; day < start + STRETCH_MS; day += DAY_MS) {
      const after = this.#lookAt(day + DAY_MS);
      if (after !== before) changes.push({ at: this.#changeBetween(day, day + DAY_MS, before), before, after });
      before = after;
    }
    const stretch = { offset, changes };
    if (this.#stretches.size >= STRETCHES_MAX) this.#stretches.clear();
    this.#stretches.set(n, stretch);
    return stretch;
  }

  /** The first second in (from, to] that has another offset than `before`. */
  #changeBetween(from: number, to: number, before: number): number {
    let [low, high] = [from, to];
    while (high - low > 1000) {
      const middle = low + Math.floor((high - low) / 2000) * 1000;
      if (this.#lookAt(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }

  #lookAt(instant: number): number {
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(instant)) parts[type] = Number(value);
    return Date.UTC(parts.year!, parts.month! - 1, parts.day!, parts.hour!, parts.minute!, parts.second!) - instant;
  }
}

const clocks = new Map<string, ZoneClock>();

/** The same clock each time: what it has found out is used again. Throws a RangeError for a name that is no time zone. */
export function zoneClock(timeZone: string): ZoneClock {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    clock = new ZoneClock(timeZone);
    if (clocks.size >= ZONES_MAX) clocks.clear();
    clocks.set(timeZone, clock);
  }
  return clock;
}

export function isTimeZone(name: string): boolean {
  try {
    zoneClock(name);
    return true;
  } catch {
    return false;
  }
}
