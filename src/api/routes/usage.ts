// What tenants use, by day: for their bills and for themselves.

import { Type } from 'typebox';
import type { UsageDay } from '../../catalog/catalog.ts';
import { Id } from '../../model/identifier.ts';
import { fieldFault } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';

const Day = Type.String({ pattern: '^\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])$', examples: ['2026-11-21'] });
const QUERY = {
  from: Type.Optional(Type.String({ ...Day, description: 'first day (the first of this month)' })),
  to: Type.Optional(Type.String({ ...Day, description: 'last day (today)' })),
};
const Bytes = Type.Integer({ minimum: 0 });
const UsageList = Type.Object(
  {
    from: Day,
    to: Day,
    days: Type.Array(
      Type.Object(
        {
          tenantId: Id,
          day: Day,
          protectedBytes: Bytes,
          storedBytes: Bytes,
          egressBytes: Bytes,
          runs: Type.Integer({ minimum: 0 }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false, $id: 'Usage' },
);
const COLUMNS = ['tenantId', 'day', 'protectedBytes', 'storedBytes', 'egressBytes', 'runs'] as const;
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
    handle: async (call) => answerJson(call, [call.tenant.id]),
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
    handle: async (call) => answerCsv(call, [call.tenant.id]),
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
    handle: async (call) => answerCsv(call, await allTenants(call)),
  }),
];

type Query = { readonly from?: string; readonly to?: string };
type Span = { readonly from: string; readonly to: string };

async function answerJson(call: Call<Query>, tenants: readonly string[]): Promise<Answer> {
  const span = spanOf(call);
  return { status: 200, body: { ...span, days: await read(call, tenants, span) } };
}

async function answerCsv(call: Call<Query>, tenants: readonly string[]): Promise<Answer> {
  const days = await read(call, tenants, spanOf(call));
  // Ids, dates and numbers only: nothing that a spreadsheet takes for a formula.
  const lines = days.map((day) => COLUMNS.map((column) => String(day[column])).join(','));
  return {
    status: 200,
    body: `${[COLUMNS.join(','), ...lines].join('\n')}\n`,
    headers: { 'content-type': 'text/csv; charset=utf-8' },
  };
}

async function read({ catalog }: Call, tenants: readonly string[], { from, to }: Span): Promise<UsageDay[]> {
  const days: UsageDay[] = [];
  for (const tenantId of tenants) days.push(...(await catalog.usage.list(tenantId, from, to)));
  return days;
}

function spanOf({ query, at }: Call<Query>): Span {
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

async function allTenants({ catalog }: Call): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  do {
    const page = await catalog.tenants.list({ limit: 500, ...(after === undefined ? {} : { after }) });
    ids.push(...page.items.map(({ id }) => id));
    after = page.next;
  } while (after !== undefined);
  return ids;
}
