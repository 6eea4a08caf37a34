// From outside: what belongs to another tenant is answered exactly as what does not exist. Made from the table of routes, so that a new
// route is covered by being there.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { paramNames } from '../../src/api/params.ts';
import type { Route } from '../../src/api/route.ts';
import { ROUTES } from '../../src/api/route-table.ts';
import { sampleOf } from './sample.ts';
import { type Reply, ServiceUnderTest } from './service-under-test.ts';
import { everyRole, nothings, populate, type Things } from './world.ts';

const OF_TENANTS = ROUTES.filter(({ path }) => path.includes('{tenant}'));

const THING_OF_FIELD: Readonly<Record<string, string>> = {
  assetId: 'asset',
  agentId: 'agent',
  snapshot: 'snapshot',
  policy: 'policy',
  plan: 'plan',
};
const fieldsOf = ({ body }: Route): string[] =>
  Object.keys((body as { properties?: object })?.properties ?? {}).filter((field) => field in THING_OF_FIELD);
const ID_FIELDS = OF_TENANTS.flatMap((route) => fieldsOf(route).map((field) => [route.name, field] as const));

let service: ServiceUnderTest;
let ours: Things;
let theirs: Things;
let none: Things;
/** Every role that there is in tenant A, and none elsewhere: as a token, and as a person who may also decide. */
const principals: Record<string, string> = {};

beforeAll(async () => {
  service = await ServiceUnderTest.start({ config: { rate: { requestsMax: 1e6, windowMs: 60_000 } } });
  const [a, b] = [await service.addTenant('bureau-a'), await service.addTenant('bureau-b')];
  [ours, theirs, none] = [await populate(service, a), await populate(service, b), nothings(service)];
  principals['a token'] = await service.addToken(...everyRole(a));
  principals['a person'] = await service.sessionOf('anna', ...everyRole(a));
});
afterAll(() => service.close());

function ask(
  route: Route,
  things: Things,
  token: string,
  body: unknown = route.body === undefined ? undefined : sampleOf(route.body),
): Promise<Reply> {
  const url = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => things[name]!);
  return service.ask(route.method, url, { token, body, headers: route.isConditional === undefined ? {} : { 'if-match': '"1"' } });
}

/** What an answer tells, without what is new with every request. */
function told({ status, headers, text }: Reply, things: Things): unknown {
  const { date: _, 'x-request-id': id, 'x-ratelimit-remaining': __, 'x-ratelimit-reset': ___, ...rest } = headers;
  let neutral = text.replaceAll(String(id), 'REQUEST');
  for (const [name, value] of Object.entries(things)) neutral = neutral.replaceAll(value, name.toUpperCase());
  return { status, headers: rest, text: neutral };
}

describe.each(['a token', 'a person'])('%s with every role in tenant A', (who) => {
  describe.each(OF_TENANTS.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', (_, route) => {
    it('answers for tenant B as for a tenant that does not exist', async () => {
      const token = principals[who]!;
      const [of, nothing] = [await ask(route, theirs, token), await ask(route, none, token)];
      expect(of.status).toBe(404);
      expect(told(of, theirs)).toEqual(told(nothing, none));
    });

    if (route.stream === undefined && route.method === 'GET')
      it('shows nothing of tenant B among what is of A', async () => {
        const answer = await ask(route, ours, principals[who]!);
        expect(answer.status).toBe(200);
        for (const [name, value] of Object.entries(theirs)) expect(answer.text, name).not.toContain(value);
        expect(answer.text).not.toContain('bureau-b');
      });

    const names = paramNames(route.path).filter((name) => name !== 'tenant');
    if (names.length === 0) return;
    it('answers in tenant A for ids of tenant B as for ids of nothing', async () => {
      const token = principals[who]!;
      const [of, nothing] = [
        await ask(route, { ...theirs, tenant: ours.tenant }, token),
        await ask(route, { ...none, tenant: ours.tenant }, token),
      ];
      // Only a PUT makes what is not there.
      if (route.name !== 'putPolicy' && route.name !== 'putPlan') expect(of.status).toBe(404);
      expect(of.text).not.toContain('bureau-b');
      expect(told(of, theirs)).toEqual(told(nothing, none));
    });
  });

  it.each(ID_FIELDS)('%s: an id of tenant B in %s of the body is as one of nothing', async (name, field) => {
    const route = OF_TENANTS.find((one) => one.name === name)!;
    // What does not go with a snapshot of files.
    const { at: _, verify: __, extract: ___, ...sample } = sampleOf(route.body!) as Readonly<Record<string, unknown>>;
    const right = { ...sample, ...Object.fromEntries(fieldsOf(route).map((one) => [one, ours[THING_OF_FIELD[one]!]])) };
    const asked = (things: Things): Promise<Reply> =>
      ask(route, ours, principals[who]!, { ...right, [field]: things[THING_OF_FIELD[field]!] });
    const [of, nothing] = [await asked(theirs), await asked(none)];
    expect(of.status).toBe(400);
    expect(of.json.errors[0].field).toBe(`body/${field}`);
    expect(told(of, theirs)).toEqual(told(nothing, none));
  });
});

describe('a tenant that nobody asked about', () => {
  it('is not changed by any of this', async () => {
    const b = theirs.tenant;
    expect(await service.catalog.assets.get(b, theirs['asset']!)).toMatchObject({ version: 1, state: 'active' });
    expect(await service.catalog.runs.get(b, theirs['run']!)).toMatchObject({ state: 'queued' });
    expect(await service.catalog.approvals.get(b, theirs['approval']!)).toMatchObject({ state: 'pending' });
    expect(await service.catalog.agents.get(theirs['agent']!, b)).toMatchObject({ state: 'active' });
    expect((await service.catalog.audit.after(0, b, 100)).length).toBe(0);
  });
});
