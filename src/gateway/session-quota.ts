// Whether a tenant has room for what an agent wants to store: the last measured usage, and what was granted since that was first seen (so that
// what a prune has freed is free with the next measure); and what its assets hold now, so that the backup after the one that was too much is refused, not the first of the next day.

import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Tenant } from '../model/tenant.ts';
import { protectedBytes } from '../trust/usage.ts';

const LOOK_BACK_DAYS = 31;
const DAY_MS = 86_400_000;

type Account = { readonly day: string; readonly storedBytes: number; grantedBytes: number };

export class SessionQuota {
  readonly #catalog: Catalog;
  readonly #now: () => Date;
  readonly #accounts = new Map<string, Account>();

  constructor(catalog: Catalog, now: () => Date) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** When a session begins. QUOTA_EXCEEDED when there is no room at all. */
  async check({ id, quota, label }: Tenant): Promise<void> {
    const { storedBytesMax, logicalBytesMax } = quota;
    if (storedBytesMax === undefined && logicalBytesMax === undefined) return;
    const to = this.#now();
    const from = new Date(to.getTime() - LOOK_BACK_DAYS * DAY_MS);
    const days = await this.#catalog.usage.list(id, from.toISOString().slice(0, 10), to.toISOString().slice(0, 10));
    const last = days.reduce<(typeof days)[number] | undefined>((a, b) => (a === undefined || b.day > a.day ? b : a), undefined);
    const before = this.#accounts.get(id);
    const day = last?.day ?? '';
    const storedBytes = last?.storedBytes ?? 0;
    if (before === undefined || before.day !== day || before.storedBytes !== storedBytes)
      this.#accounts.set(id, { day, storedBytes, grantedBytes: 0 });
    if (logicalBytesMax !== undefined && (await protectedBytes(this.#catalog, id)) > logicalBytesMax)
      throw new Fault('QUOTA_EXCEEDED', `The tenant "${label}" protects more than its ${logicalBytesMax} bytes`);
    this.#mustFit(id, label, storedBytesMax, 0);
  }

  /** Before a pack is granted for the first time. QUOTA_EXCEEDED. */
  take({ id, quota, label }: Tenant, bytes: number): void {
    this.#mustFit(id, label, quota.storedBytesMax, bytes);
    const account = this.#accounts.get(id);
    if (account !== undefined) account.grantedBytes += bytes;
  }

  #mustFit(id: string, label: string, bytesMax: number | undefined, bytes: number): void {
    if (bytesMax === undefined) return;
    const { storedBytes, grantedBytes } = this.#accounts.get(id) ?? { storedBytes: 0, grantedBytes: 0 };
    if (storedBytes + grantedBytes + bytes > bytesMax)
      throw new Fault(
        'QUOTA_EXCEEDED',
        `The tenant "${label}" may store ${bytesMax} bytes and stores ${storedBytes + grantedBytes}: no room for ${bytes} more`,
      );
  }
}
