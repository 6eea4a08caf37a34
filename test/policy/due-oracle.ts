// The rules of due times, told once more in the slowest and plainest way: look at every minute. Shares no code with src/policy.

export type OracleCron = {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly monthDays: ReadonlySet<number> | 'any';
  readonly hasLastDay: boolean;
  readonly months: ReadonlySet<number>;
  readonly weekDays: ReadonlySet<number> | 'any';
  readonly isEveryHour: boolean;
};

const MINUTE = 60_000;
const MARGIN = 3 * 24 * 60;

/** Which local minute each minute of UTC shows. */
export class MinuteTable {
  readonly #labels: number[] = [];
  readonly #first: number;
  readonly #shown = new Map<number, number[]>();

  /** Of [from, to) and some days around. */
  constructor(timeZone: string, from: number, to: number) {
    const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
    this.#first = from - MARGIN * MINUTE;
    for (let at = this.#first; at < to + MARGIN * MINUTE; at += MINUTE) {
      const label = Date.parse(`${format.format(at).replace(' ', 'T')}Z`);
      this.#labels.push(label);
      this.#shown.set(label, [...(this.#shown.get(label) ?? []), at]);
    }
  }

  labelAt(at: number): number {
    return this.#labels[(at - this.#first) / MINUTE]!;
  }

  /** When a local minute is due. */
  instantsOf(label: number, isEveryHour: boolean): number[] {
    const shown = this.#shown.get(label);
    if (shown !== undefined) return isEveryHour ? shown : [shown[0]!];
    for (let i = 1; i < this.#labels.length; i++)
      if (this.#labels[i - 1]! < label && this.#labels[i]! > label) return [this.#first + i * MINUTE];
    return [];
  }

  get localRange(): readonly [number, number] {
    return [Math.min(...[this.#labels[0]!]), this.#labels.at(-1)!];
  }
}

/** All due times in (from, to]. */
export function oracleDue(
  cron: OracleCron,
  table: MinuteTable,
  from: number,
  to: number,
  window?: { readonly fromMinute: number; readonly toMinute: number },
): number[] {
  const due = new Set<number>();
  const [first, last] = table.localRange;
  for (let label = first; label <= last; label += MINUTE) {
    if (!isMatch(cron, label)) continue;
    for (const at of table.instantsOf(label, cron.isEveryHour)) {
      let moved = at;
      while (window !== undefined && moved <= to && !isOpen(window, table.labelAt(moved))) {
        moved += MINUTE;
        // An opening that the clock skips is the moment after the gap, whatever the local time then is.
        if (skipsOpening(window, table, moved)) break;
      }
      if (moved > from && moved <= to) due.add(moved);
    }
  }
  return [...due].sort((a, b) => a - b);
}

function isMatch(cron: OracleCron, label: number): boolean {
  const date = new Date(label);
  if (!cron.minutes.has(date.getUTCMinutes()) || !cron.hours.has(date.getUTCHours())) return false;
  if (!cron.months.has(date.getUTCMonth() + 1)) return false;
  const tomorrow = new Date(label + 86_400_000);
  const isLast = tomorrow.getUTCDate() === 1;
  const byMonth = cron.monthDays === 'any' || cron.monthDays.has(date.getUTCDate()) || (cron.hasLastDay && isLast);
  const byWeek = cron.weekDays === 'any' || cron.weekDays.has(date.getUTCDay());
  if (cron.monthDays !== 'any' && cron.weekDays !== 'any') return byMonth || byWeek;
  return byMonth && byWeek;
}

function minuteOf(label: number): number {
  const date = new Date(label);
  return date.getUTCHours() * 60 + date.getUTCMinutes();
}

function isOpen({ fromMinute, toMinute }: { readonly fromMinute: number; readonly toMinute: number }, label: number): boolean {
  const minute = minuteOf(label);
  if (fromMinute < toMinute) return fromMinute <= minute && minute < toMinute;
  return minute >= fromMinute || minute < toMinute;
}

function skipsOpening({ fromMinute }: { readonly fromMinute: number }, table: MinuteTable, at: number): boolean {
  const [before, now] = [table.labelAt(at - MINUTE), table.labelAt(at)];
  for (let label = before + MINUTE; label < now; label += MINUTE) if (minuteOf(label) === fromMinute) return true;
  return false;
}
