// What each tenant uses, a day at a time: what its assets hold, what the store holds of it, what was read out of it, how many runs there were.
// Measured several times a day; the last measure of a day stands. Bills are made of days: a month is the sum of its byte-days.

import type { Catalog, UsageDay } from '../catalog/catalog.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import type { Page, PageRequest } from '../model/page.ts';
import type { Tenant } from '../model/tenant.ts';

const PAGE_ITEMS = 500;

export type UsagePorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  /** What the store holds of a tenant. Undefined when it cannot be told now: the day keeps what was measured before. */
  readonly storedBytesOf: (tenant: Tenant) => Promise<number | undefined>;
};

/** Measures today (UTC) for every tenant that is not closed. */
export async function meterUsage({ catalog, now, storedBytesOf }: UsagePorts): Promise<void> {
  const day = instantOf(now()).slice(0, 10);
  for await (const tenant of everyItem((page) => catalog.tenants.list(page))) {
    if (tenant.state === 'closed') continue;
    const before = (await catalog.usage.list(tenant.id, day, day))[0];
    await catalog.usage.put({
      tenantId: tenant.id,
      day,
      protectedBytes: await protectedBytes(catalog, tenant.id),
      storedBytes: (await storedBytesOf(tenant)) ?? before?.storedBytes ?? 0,
      runs: await runsSince(catalog, tenant.id, `${day}T00:00:00.000Z`),
    });
  }
}

/** Of the newest sound recovery point of each asset: what could be restored. */
async function protectedBytes(catalog: Catalog, tenantId: string): Promise<number> {
  let sum = 0;
  for await (const { id } of everyItem((page) => catalog.assets.list(tenantId, page)))
    sum += (await catalog.recoveryPoints.latest(id))?.bytesScanned ?? 0;
  return sum;
}

async function runsSince(catalog: Catalog, tenantId: string, since: Instant): Promise<number> {
  let count = 0;
  for await (const _ of everyItem((page) => catalog.runs.list(tenantId, { since }, page))) count++;
  return count;
}

export type TenantUsage = {
  readonly tenantId: string;
  readonly tenant: string;
  /** Sums over the days: what a price per byte and day is multiplied with. */
  readonly protectedByteDays: number;
  readonly storedByteDays: number;
  readonly protectedBytesMax: number;
  readonly storedBytesMax: number;
  readonly egressBytes: number;
  readonly runs: number;
  readonly days: readonly Omit<UsageDay, 'tenantId'>[];
};

/** Days, both included. */
export type UsageSpan = { readonly from: string; readonly to: string };
export type UsageReport = UsageSpan & { readonly tenants: readonly TenantUsage[] };

/** "2026-11". Its last day may not be one of the calendar: no usage is of it. */
export function spanOfMonth(month: string): UsageSpan {
  return { from: `${month}-01`, to: `${month}-31` };
}

/** Of one tenant or of all. */
export async function usageOf(catalog: Catalog, span: UsageSpan, tenantId?: string): Promise<UsageReport> {
  const tenants: TenantUsage[] = [];
  for await (const { id, name } of tenantsOf(catalog, tenantId)) {
    const days = await catalog.usage.list(id, span.from, span.to);
    const sum = (of: (day: UsageDay) => number): number => days.reduce((total, day) => total + of(day), 0);
    const most = (of: (day: UsageDay) => number): number => days.reduce((max, day) => Math.max(max, of(day)), 0);
    tenants.push({
      tenantId: id,
      tenant: name,
      protectedByteDays: sum((day) => day.protectedBytes),
      storedByteDays: sum((day) => day.storedBytes),
      protectedBytesMax: most((day) => day.protectedBytes),
      storedBytesMax: most((day) => day.storedBytes),
      egressBytes: sum((day) => day.egressBytes),
      runs: sum((day) => day.runs),
      days: days.map(({ tenantId: _, ...day }) => day),
    });
  }
  return { ...span, tenants };
}

/** RFC 4180: a line for each tenant and day. Ids, names, dates and numbers only: nothing that a spreadsheet takes for a formula. */
export function usageCsv({ tenants }: UsageReport): string {
  const lines = [['tenantId', 'tenant', 'day', 'protectedBytes', 'storedBytes', 'egressBytes', 'runs']];
  for (const { tenantId, tenant, days } of tenants)
    for (const { day, protectedBytes, storedBytes, egressBytes, runs } of days)
      lines.push([tenantId, tenant, day, `${protectedBytes}`, `${storedBytes}`, `${egressBytes}`, `${runs}`]);
  return lines.map((fields) => `${fields.map(csvField).join(',')}\r\n`).join('');
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function* tenantsOf(catalog: Catalog, tenantId: string | undefined): AsyncGenerator<Tenant> {
  if (tenantId === undefined) yield* everyItem((page) => catalog.tenants.list(page));
  else {
    const tenant = await catalog.tenants.get(tenantId);
    if (tenant !== undefined) yield tenant;
  }
}

async function* everyItem<T>(list: (page: PageRequest) => Promise<Page<T>>): AsyncGenerator<T> {
  for (let after: string | undefined; ; ) {
    const { items, next } = await list(after === undefined ? { limit: PAGE_ITEMS } : { limit: PAGE_ITEMS, after });
    yield* items;
    if (next === undefined) return;
    after = next;
  }
}
