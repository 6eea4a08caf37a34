// What tenants use, by day: for their bills and for themselves.

import { Type } from '../../base/type.ts';
import { Id, Name } from '../../model/identifier.ts';
import { spanOfMonth, type UsageSpan, usageCsv, usageOf } from '../../trust/usage.ts';
import { fieldFault } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';

const Day = Type.String({ pattern: '^\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])$', examples: ['2026-11-21'] });
const QUERY = {
  from: Type.Optional(Type.String({ ...Day, description: 'first day (the first of this month)' })),
  to: Type.Optional(Type.String({ ...Day, description: 'last day (today)' })),
  month: Type.Optional(
    Type.String({
      pattern: '^\\d{4}-(?:0[1-9]|1[0-2])$',
      examples: ['2026-10'],
      description: 'all of a month, instead of "from" and "to"',
    }),
  ),
};
const Bytes = Type.Integer({ minimum: 0 });
const Count = Type.Integer({ minimum: 0 });
const closed = { additionalProperties: false } as const;
const AMOUNTS = {
  protectedBytes: Bytes,
  storedBytes: Bytes,
  egressBytes: Bytes,
  runs: Count,
  drillSeconds: Type.Integer({ minimum: 0, description: 'for how long drills ran' }),
};
const UsageList = Type.Object(
  { from: Day, to: Day, days: Type.Array(Type.Object({ tenantId: Id, day: Day, ...AMOUNTS }, closed)) },
  { ...closed, $id: 'Usage' },
);
const TenantUsage = Type.Object(
  {
    tenantId: Id,
    tenant: Name,
    protectedByteDays: Bytes,
    storedByteDays: Bytes,
    protectedBytesMax: Bytes,
    storedBytesMax: Bytes,
    egressBytes: Bytes,
    runs: Count,
    drillSeconds: Count,
    days: Type.Array(Type.Object({ day: Day, ...AMOUNTS }, closed)),
  },
  { ...closed, $id: 'TenantUsage' },
);
const UsageReport = Type.Object({ from: Day, to: Day, tenants: Type.Array(TenantUsage) }, { ...closed, $id: 'UsageReport' });
const DAYS_MAX = 400;
const DAY_MS = 86_400_000;
const JSON_LIST = { 200: { description: 'By day', schema: UsageList } };
const CSV = { 200: { description: 'By day, a line each, with a header', schema: Type.String(), media: 'text/csv' } };

export const USAGE_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/usage',
    name: 'getUsage',
    tag: 'usage',
    summary: 'What the tenant uses, by day',
    action: 'usage.read',
    query: QUERY,
    answers: JSON_LIST,
    handle: async (call) => {
      const span = spanOf(call);
      return { status: 200, body: { ...span, days: await call.catalog.usage.list(call.tenant.id, span.from, span.to) } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/usage.csv',
    name: 'getUsageCsv',
    tag: 'usage',
    summary: 'What the tenant uses, as CSV',
    action: 'usage.read',
    query: QUERY,
    answers: CSV,
    handle: async (call) => answerCsv(call, call.tenant.id),
  }),
  route({
    method: 'GET',
    path: '/v1/usage',
    name: 'getAllUsage',
    tag: 'usage',
    summary: 'What all tenants use: sums, and by day',
    action: 'provider.usage.read',
    query: QUERY,
    answers: { 200: { description: 'By tenant', schema: UsageReport } },
    handle: async (call) => ({ status: 200, body: await usageOf(call.catalog, spanOf(call)) }),
  }),
  route({
    method: 'GET',
    path: '/v1/usage.csv',
    name: 'getAllUsageCsv',
    tag: 'usage',
    summary: 'What all tenants use, as CSV',
    action: 'provider.usage.read',
    query: QUERY,
    answers: CSV,
    handle: async (call) => answerCsv(call),
  }),
];

type Query = { readonly from?: string; readonly to?: string; readonly month?: string };

async function answerCsv(call: Call<Query>, tenantId?: string): Promise<Answer> {
  const report = await usageOf(call.catalog, spanOf(call), tenantId);
  return { status: 200, body: usageCsv(report), headers: { 'content-type': 'text/csv; charset=utf-8' } };
}

function spanOf({ query, at }: Call<Query>): UsageSpan {
  if (query.month !== undefined) {
    if (query.from !== undefined || query.to !== undefined) throw fieldFault('query/month', 'goes without "from" and "to"');
    return spanOfMonth(query.month);
  }
  const today = at.toISOString().slice(0, 10);
  const { from = `${today.slice(0, 8)}01`, to = today } = query;
  const length = (Date.parse(to) - Date.parse(from)) / DAY_MS;
  // 31 February would be 3 March.
  const isDay = (text: string): boolean => new Date(`${text}T00:00:00Z`).toISOString().startsWith(text);
  if (Number.isNaN(length) || !isDay(from) || !isDay(to)) throw fieldFault('query', 'has a day that is not in the calendar');
  if (length < 0 && query.from !== undefined && query.to !== undefined) throw fieldFault('query/to', 'is before "from"');
  if (length > DAYS_MAX) throw fieldFault('query/from', `is more than ${DAYS_MAX} days before "to"`);
  return { from, to };
}
