// Follows the whole audit, once at a time for all who ask meanwhile, and lets other requests through on its way.

import { setImmediate as turn } from 'node:timers/promises';
import type { Catalog } from '../catalog/catalog.ts';
import type { AuditEntry } from '../model/audit-entry.ts';
import { type AuditMark, type AuditVerdict, verifyAudit } from '../trust/audit-chain.ts';
import { auditEntries } from '../trust/audit-checkpoint.ts';

const ENTRIES_AT_ONCE = 200;

export class AuditProver {
  readonly #catalog: Catalog;
  readonly #marks: () => Promise<readonly AuditMark[]>;
  #proving: Promise<AuditVerdict> | undefined;

  constructor(catalog: Catalog, marks: () => Promise<readonly AuditMark[]>) {
    this.#catalog = catalog;
    this.#marks = marks;
  }

  /** An answer to who asks later than the proof began may not know the newest lines yet. */
  prove(): Promise<AuditVerdict> {
    this.#proving ??= this.#prove().finally(() => {
      this.#proving = undefined;
    });
    return this.#proving;
  }

  async #prove(): Promise<AuditVerdict> {
    return verifyAudit(patiently(auditEntries(this.#catalog)), await this.#marks());
  }
}

async function* patiently(entries: AsyncIterable<AuditEntry>): AsyncGenerator<AuditEntry> {
  let count = 0;
  for await (const entry of entries) {
    if (++count % ENTRIES_AT_ONCE === 0) await turn();
    yield entry;
  }
}
