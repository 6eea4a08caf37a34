// What each tenant uses, a day at a time: what its assets hold, what the store holds of it, what was read out of it, how many runs there were and
// how long drills ran. Measured several times a day; the last measure of a day stands, but for runs and drills, which are counted to the end of
// the day on the next one. Bills are made of days: a month is the sum of its byte-days.

import type { Catalog, UsageDay } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { Tenant } from '../model/tenant.ts';

const DAY_MS = 86_400_000;

export type UsagePorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  /** What the store holds of a tenant. Undefined when it cannot be told now: the day keeps what was measured before. */
  readonly storedBytesOf: (tenant: Tenant) => Promise<number | undefined>;
};

/** Measures today (UTC) for every tenant that is not closed. */
export async function meterUsage({ catalog, now, storedBytesOf }: UsagePorts): Promise<void> {
  const at = now();
  const day = dayOf(at);
  const yesterday = dayOf(new Date(at.getTime() - DAY_MS));
  for await (const tenant of eachItem((page) => catalog.tenants.list(page))) {
    if (tenant.state === 'closed') continue;
    const known = await catalog.usage.list(tenant.id, yesterday, day);
    const before = known.find((one) => one.day === day);
    const ended = known.find((one) => one.day === yesterday);
    if (ended !== undefined) await catalog.usage.put({ ...ended, ...(await workOf(catalog, tenant.id, yesterday, at)) });
    await catalog.usage.put({
      tenantId: tenant.id,
      day,
      protectedBytes: await protectedBytes(catalog, tenant.id),
      storedBytes: (await storedBytesOf(tenant)) ?? before?.storedBytes ?? 0,
      ...(await workOf(catalog, tenant.id, day, at)),
    });
  }
}

/** Of the newest sound recovery point of each asset: what could be restored. */
export async function protectedBytes(catalog: Catalog, tenantId: string): Promise<number> {
  let sum = 0;
  for await (const { id } of eachItem((page) => catalog.assets.list(tenantId, page)))
    sum += (await catalog.recoveryPoints.latest(id))?.bytesScanned ?? 0;
  return sum;
}

/** Runs that were queued on a day, and for how long of it drills ran so far. */
async function workOf(
  catalog: Catalog,
  tenantId: string,
  day: string,
  now: Date,
): Promise<{ readonly runs: number; readonly drillSeconds: number }> {
  const fromMs = Date.parse(`${day}T00:00:00.000Z`);
  const untilMs = Math.min(fromMs + DAY_MS, now.getTime());
  let [runs, drillMs] = [0, 0];
  const since = instantOf(new Date(fromMs));
  for await (const { createdAt } of eachItem((page) => catalog.runs.list(tenantId, { since }, page)))
    if (Date.parse(createdAt) < fromMs + DAY_MS) runs++;
  // One that still runs at midnight was queued the day before.
  const drills = { kind: 'drill', since: instantOf(new Date(fromMs - DAY_MS)) } as const;
  for await (const { startedAt, endedAt } of eachItem((page) => catalog.runs.list(tenantId, drills, page))) {
    if (startedAt === undefined) continue;
    const endMs = Math.min(untilMs, endedAt === undefined ? untilMs : Date.parse(endedAt));
    drillMs += Math.max(0, endMs - Math.max(fromMs, Date.parse(startedAt)));
  }
  return { runs, drillSeconds: Math.round(drillMs / 1000) };
}

function dayOf(at: Date): string {
  return instantOf(at).slice(0, 10);
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
  readonly drillSeconds: number;
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
      drillSeconds: sum((day) => day.drillSeconds),
      days: days.map(({ tenantId: _, ...day }) => day),
    });
  }
  return { ...span, tenants };
}

/** RFC 4180: a line for each tenant and day. Ids, names, dates and numbers only: nothing that a spreadsheet takes for a formula. */
export function usageCsv({ tenants }: UsageReport): string {
  const lines = [['tenantId', 'tenant', 'day', 'protectedBytes', 'storedBytes', 'egressBytes', 'runs', 'drillSeconds']];
  for (const { tenantId, tenant, days } of tenants)
    for (const { day, protectedBytes, storedBytes, egressBytes, runs, drillSeconds } of days)
      lines.push([tenantId, tenant, day, ...[protectedBytes, storedBytes, egressBytes, runs, drillSeconds].map(String)]);
  return lines.map((fields) => `${fields.map(csvField).join(',')}\r\n`).join('');
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function* tenantsOf(catalog: Catalog, tenantId: string | undefined): AsyncGenerator<Tenant> {
  if (tenantId === undefined) yield* eachItem((page) => catalog.tenants.list(page));
  else {
    const tenant = await catalog.tenants.get(tenantId);
    if (tenant !== undefined) yield tenant;
  }
}
