// Everything that a drill measures, in order, from which its claims follow; and the file in which each measurement lies as soon as it is made,
// for whoever wants to know how far a drill came that was killed.

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Measurement, type MeasurementKind, measured, type Scalar } from '../../src/evidence/measurement.ts';

const TEXT_CHARS_MAX = 4_000;

export class DrillJournal {
  readonly #id: string;
  readonly #file: string;
  readonly #now: () => Date;
  #chain: readonly Measurement[] = [];

  constructor(id: string, directory: string, now: () => Date) {
    this.#id = id;
    this.#file = join(directory, 'measurements.jsonl');
    this.#now = now;
  }

  get chain(): readonly Measurement[] {
    return this.#chain;
  }

  add(kind: MeasurementKind, of: string, how: string, value: Readonly<Record<string, Scalar>>): void {
    const fields = Object.entries(value).map(([name, is]) => [name, typeof is === 'string' ? short(is) : is] as const);
    const one = { kind, at: this.#now().toISOString(), of: short(of), how: short(how), value: Object.fromEntries(fields) };
    this.#chain = measured(this.#id, this.#chain, one);
    appendFileSync(this.#file, `${JSON.stringify(this.#chain.at(-1))}\n`);
  }
}

/** The end says more than the beginning. */
function short(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `…${text.slice(-TEXT_CHARS_MAX)}`;
}
