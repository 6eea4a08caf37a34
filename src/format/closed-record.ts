// Closed validation of JSON records: every field is asked for by name and kind, and a field that nobody asked for is damage too.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;

/** RFC 3339 in UTC, and a moment that there is. */
export function isMoment(value: unknown): value is string {
  return typeof value === 'string' && MOMENT.test(value) && !Number.isNaN(Date.parse(value));
}

/** For encoders: `decode` reads what they have made. */
export function mustDecode(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    invariant(false, `what is written can be read; ${(error as Error).message}`);
  }
}

export class ClosedRecord {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #what: string;
  #asked = 0;

  /** `what` names the record in faults. */
  constructor(value: unknown, what: string) {
    this.#what = what;
    const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
    this.#fields = isRecord ? (value as Record<string, unknown>) : this.damaged('it is not a record');
  }

  damaged(why: string): never {
    throw new Fault('FORMAT_DAMAGED', `${this.#what} is damaged: ${why}`);
  }

  check(condition: boolean, why: string): void {
    if (!condition) this.damaged(why);
  }

  /** Whether an optional field is there. */
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  text(name: string, lengthMax: number): string {
    const value = this.#take(name);
    return typeof value === 'string' && value.length <= lengthMax
      ? value
      : this.damaged(`"${name}" is not a text of at most ${lengthMax} characters`);
  }

  /** Lower-case hex of exactly `digits` digits. */
  hex(name: string, digits: number): string {
    const value = this.#take(name);
    return isHex(value, digits) ? value : this.damaged(`"${name}" is not ${digits} hex digits`);
  }

  hexOrNull(name: string, digits: number): string | null {
    const value = this.#take(name);
    return value === null || isHex(value, digits) ? value : this.damaged(`"${name}" is neither null nor ${digits} hex digits`);
  }

  /** A whole number from 0 on. */
  count(name: string, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#take(name);
    return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
      ? (value as number)
      : this.damaged(`"${name}" is not a number from 0 to ${max}`);
  }

  /** RFC 3339 in UTC. */
  moment(name: string): string {
    const value = this.#take(name);
    return isMoment(value) ? value : this.damaged(`"${name}" is not a moment`);
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.#take(name);
    return choices.includes(value as T) ? (value as T) : this.damaged(`"${name}" is none of ${choices.join(', ')}`);
  }

  records<T>(name: string, max: number, decode: (item: ClosedRecord) => T): T[] {
    return this.#list(name, max).map((value) => {
      const item = new ClosedRecord(value, this.#what);
      const decoded = decode(item);
      item.end();
      return decoded;
    });
  }

  hexes(name: string, max: number, digits: number): string[] {
    return this.#list(name, max).map((value) =>
      isHex(value, digits) ? value : this.damaged(`"${name}" holds something else than ${digits} hex digits`),
    );
  }

  /** Whoever asks looks at it himself. */
  any(name: string): unknown {
    return this.#take(name);
  }

  /** Call it last: nothing may be there that was not asked for. */
  end(): void {
    this.check(Object.keys(this.#fields).length === this.#asked, 'it has a field that does not belong to it');
  }

  #list(name: string, max: number): readonly unknown[] {
    const value = this.#take(name);
    if (!Array.isArray(value)) return this.damaged(`"${name}" is not a list`);
    if (value.length > max) this.damaged(`"${name}" has ${value.length} items, more than ${max}`);
    return value;
  }

  #take(name: string): unknown {
    this.#asked++;
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : this.damaged(`"${name}" is missing`);
  }
}

function isHex(value: unknown, digits: number): value is string {
  if (typeof value !== 'string' || value.length !== digits) return false;
  for (let i = 0; i < digits; i++) {
    const c = value.charCodeAt(i);
    if (!((c >= 48 && c <= 57) || (c >= 97 && c <= 102))) return false;
  }
  return true;
}
