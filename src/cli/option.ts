// Options as data: parsing, help and completion are all made from these.

import { Fault } from '../base/faults.ts';
import { GIB, KIB, MIB } from '../base/units.ts';

export type OptionKind =
  /** Given or not. */
  | 'flag'
  | 'text'
  /** A path, which completion knows. */
  | 'file'
  | 'directory'
  /** A whole number. */
  | 'count'
  /** Bytes, with a unit: 512KiB, 10M, 1.5G. */
  | 'bytes'
  | 'choice';

export type Option = {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  readonly kind: OptionKind;
  /** May be given more than once. */
  readonly many?: boolean;
  /** How help names the value. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** Of a count. */
  readonly min?: number;
  readonly help: string;
};

/** Options as they were given. Asking for one that the verb does not have is a bug. */
export class OptionValues {
  readonly #options: ReadonlyMap<string, Option>;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(options: readonly Option[], values: ReadonlyMap<string, readonly string[]>) {
    this.#options = new Map(options.map((option) => [option.name, option]));
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.texts(name).length > 0;
  }

  text(name: string): string | undefined {
    return this.texts(name).at(-1);
  }

  texts(name: string): readonly string[] {
    if (!this.#options.has(name)) throw new Error(`Invariant broken: this verb has no option --${name}`);
    return this.#values.get(name) ?? [];
  }

  count(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }

  bytes(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseBytes(text);
  }
}

/** Why a value is not one of this option, or undefined. */
export function faultOfValue(option: Option, value: string): string | undefined {
  const { kind, choices = [], min = 0 } = option;
  if (kind === 'count' && (!/^\d{1,15}$/.test(value) || Number(value) < min)) return `a whole number from ${min} on`;
  if (kind === 'bytes' && parseBytes(value) === undefined) return 'a number of bytes, such as 512KiB, 10M or 1.5G';
  if (kind === 'choice' && !choices.includes(value)) return `one of ${choices.join(', ')}`;
  if (value === '') return 'not empty';
  return undefined;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: KIB, m: MIB, g: GIB, t: 1024 * GIB };

/** "10M" and "10MiB" -> 10485760. Undefined when it is no number of bytes, or none at all. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(?:i?b)?(?:\/s)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

export function usage(message: string, hint?: string): Fault {
  return new Fault('USAGE', message, hint === undefined ? {} : { hint });
}
