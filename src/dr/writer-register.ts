// The writer record in a registry: read, and changed by the pure rules of writer-record.ts.

import { Fault } from '../base/faults.ts';
import type { Registry, RegistryOptions } from '../registry/registry.ts';
import { isRefusal, type Refusal, type WriterRecord } from './writer-record.ts';
import { decodeWriter, encodeWriter, writerKey } from './writer-text.ts';

/** Of swaps that lose against others, in one call. */
const ATTEMPTS_MAX = 16;

export type KnownWriter = { readonly record: WriterRecord; readonly revision: number };

export class WriterRegister {
  readonly incarnation: string;
  readonly #registry: Registry;

  constructor(registry: Registry, incarnation: string) {
    this.#registry = registry;
    this.incarnation = incarnation;
  }

  /** 'conflict': there is one already. */
  async create(record: WriterRecord, options?: RegistryOptions): Promise<KnownWriter | 'conflict'> {
    return this.swap({ record, revision: 0 }, record, options);
  }

  async find(options?: RegistryOptions): Promise<KnownWriter | undefined> {
    const found = await this.#registry.read(writerKey(this.incarnation), options);
    return found && { record: decodeWriter(found.value, this.incarnation), revision: found.revision };
  }

  /** DR_NOT_REGISTERED when there is none. */
  async read(options?: RegistryOptions): Promise<KnownWriter> {
    const found = await this.find(options);
    if (found === undefined) throw new Fault('DR_NOT_REGISTERED', `The database ${this.incarnation} is not in the registry`);
    return found;
  }

  /** One swap, from what is known. A fault means that it may have taken place, or still may. */
  async swap(known: KnownWriter, next: WriterRecord, options?: RegistryOptions): Promise<KnownWriter | 'conflict'> {
    const answer = await this.#registry.swap(writerKey(this.incarnation), encodeWriter(next), known.revision, options);
    return answer === 'conflict' ? answer : { record: next, revision: answer };
  }

  /** Applies a rule to the newest record until that takes place or is refused. The rule must be one that may take place twice. */
  async change(rule: (record: WriterRecord) => WriterRecord | Refusal, options?: RegistryOptions): Promise<KnownWriter | Refusal> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const known = await this.read(options);
      const next = rule(known.record);
      if (isRefusal(next)) return next;
      if (next === known.record) return known;
      const swapped = await this.swap(known, next, options);
      if (swapped !== 'conflict') return swapped;
    }
    throw new Fault('REGISTRY_UNREACHABLE', `The register of ${this.incarnation} changes faster than it can be swapped`);
  }
}
