// Instants as text and as Unix microseconds. A text without an offset is refused: nobody knows which moment it means.

const INSTANT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?:(:\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)$/i;

/** RFC 3339, an offset included; seconds may be left out. Undefined when it is not, or when there is no such moment. */
export function microsOfText(text: string): number | undefined {
  const match = INSTANT.exec(text.trim());
  if (match === null) return undefined;
  const [, day, time, second = ':00', fraction = '', zone] = match as unknown as [...string[], string];
  const offset = /^z$/i.test(zone) ? 'Z' : `${zone.slice(0, 3)}:${zone.replace(':', '').slice(3, 5) || '00'}`;
  const seconds = Date.parse(`${day}T${time}${second}${offset}`);
  if (Number.isNaN(seconds) || !isRealDay(day)) return undefined;
  return seconds * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}

/** To the millisecond, of which an earlier part counts. */
export function dateOfMicros(micros: number): Date {
  return new Date(Math.floor(micros / 1000));
}

/** In UTC, to the microsecond. */
export function textOfMicros(micros: number): string {
  const text = dateOfMicros(micros).toISOString();
  return `${text.slice(0, -1)}${String(((micros % 1000) + 1000) % 1000).padStart(3, '0')}Z`;
}

/** Date.parse takes February 30 for March 2. */
function isRealDay(day: string): boolean {
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
}
