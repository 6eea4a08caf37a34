// Random and malformed requests, made from the table of routes with a seed, and what must hold of every answer: never a 500, always what the
// document says, never a word of another tenant.

import { Compile } from 'typebox/compile';
import { Problem } from '../../src/api/problem.ts';
import type { Route } from '../../src/api/route.ts';
import { ROUTES } from '../../src/api/route-table.ts';
import { sampleOf } from './sample.ts';
import { type Reply, ServiceUnderTest } from './service-under-test.ts';
import { everyRole, nothings, populate, type Things } from './world.ts';

const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  2 ** 53,
  0.5,
  '',
  ' ',
  'a'.repeat(5000),
  '\u0000',
  '\ud800',
  '\u202e\u0007\r\nx: y',
  "'; DROP TABLE tenants; --",
  '../../../etc/passwd',
  '%00%ff%2e%2e',
  '{{7*7}}${7*7}',
  '__proto__',
  'constructor',
  [],
  {},
  [[[[[[[[[[]]]]]]]]]],
  { toString: 1, length: -1 },
  '2026-02-31T25:61:61.000Z',
  `ten_${'z'.repeat(26)}`,
  '9'.repeat(400),
];
const RAW_BODIES = [
  '',
  '{',
  '[]',
  'null',
  '"text"',
  '{"a":1}}',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{"x":1}}}',
  '\ufeff{}',
  '{"a":\u0000}',
  '['.repeat(3000),
  '1e999',
];
const TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'application/yaml',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  '',
  'application/json, text/html',
];
const REFRESH_EACH = 400;

export type FuzzReport = {
  readonly requests: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
};

/** mulberry32: the same seed is the same run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export async function fuzz(seed: number, requests: number, onProgress: (done: number) => void = () => {}): Promise<FuzzReport> {
  const streams = { totalMax: 50, perPrincipalMax: 10, pollMs: 1, heartbeatMs: 1, lifeMs: 2 };
  const service = await ServiceUnderTest.start({ config: { rate: { requestsMax: 1e9, windowMs: 60_000 }, streams } });
  const run = new FuzzRun(service, seeded(seed));
  const crashes: string[] = [];
  const onCrash = (error: unknown): void => void crashes.push(`crash: ${error instanceof Error ? error.stack : String(error)}`);
  process.on('uncaughtException', onCrash).on('unhandledRejection', onCrash);
  try {
    await run.begin();
    for (let i = 0; i < requests && run.failures.length < 20; i++) {
      if (i % REFRESH_EACH === 0) await run.refresh();
      await run.one();
      if (i % 1000 === 999) onProgress(i + 1);
    }
    await run.end();
    return { requests, statuses: run.statuses, failures: [...run.failures, ...crashes] };
  } finally {
    process.off('uncaughtException', onCrash).off('unhandledRejection', onCrash);
    await service.close();
  }
}

type Principal = { readonly name: string; readonly token: string | undefined; readonly isOfProvider: boolean };

class FuzzRun {
  readonly failures: string[] = [];
  readonly statuses: Record<string, number> = {};
  readonly #service: ServiceUnderTest;
  readonly #chance: () => number;
  readonly #isProblem = Compile(Problem);
  readonly #answers = new Map<string, ReturnType<typeof Compile>>();
  #principals: Principal[] = [];
  #ours!: Things;
  #theirs!: Things;
  #before = '';

  constructor(service: ServiceUnderTest, chance: () => number) {
    this.#service = service;
    this.#chance = chance;
    for (const route of ROUTES)
      for (const [status, { schema, media }] of Object.entries(route.answers))
        if (schema !== undefined && media === undefined) this.#answers.set(`${route.name} ${status}`, Compile(schema));
  }

  async begin(): Promise<void> {
    const [a, b] = [await this.#service.addTenant('bureau-a'), await this.#service.addTenant('bureau-b')];
    [this.#ours, this.#theirs] = [await populate(this.#service, a), await populate(this.#service, b)];
    this.#before = await this.#stateOfB();
  }

  /** What requests may have revoked, suspended or used up is made anew. */
  async refresh(): Promise<void> {
    const service = this.#service;
    for (const id of [this.#ours.tenant, this.#theirs.tenant]) {
      const tenant = (await service.catalog.tenants.get(id))!;
      await service.catalog.tenants.change({ ...tenant, state: 'active', allowedSources: [] });
    }
    const a = (await service.catalog.tenants.get(this.#ours.tenant))!;
    const of = (name: string, token: string, isOfProvider = false): Principal => ({ name, token, isOfProvider });
    const person = this.#principals.length > 0 ? [] : [of('a person of A', await service.sessionOf('fuzz', ...everyRole(a)))];
    this.#principals = [
      { name: 'nobody', token: undefined, isOfProvider: false },
      of('nonsense', 'hf_nonsense'),
      of('every role in A', await service.addToken(...everyRole(a))),
      of('owner of A', await service.tokenFor(a, 'owner')),
      of('operator of A', await service.tokenFor(a, 'operator')),
      of('viewer of A', await service.tokenFor(a, 'viewer')),
      of('system', await service.addToken({ role: 'system-admin' }), true),
      of('security', await service.addToken({ role: 'security-admin' }), true),
      of('audit', await service.addToken({ role: 'audit-admin' }), true),
      ...person,
    ];
  }

  async one(): Promise<void> {
    const route = this.#pick(ROUTES);
    // scrypt is slow on purpose.
    if (/assword|login|Person|Totp/.test(route.name) && this.#chance() < 0.8) return;
    const principal = this.#chance() < 0.4 ? this.#principals[2]! : this.#pick(this.#principals);
    const url = `${this.#path(route)}${this.#query(route)}`;
    const { body, type } = this.#body(route);
    const headers = { ...this.#headers(), ...(type === undefined ? {} : { 'content-type': type }) };
    const asked = `${route.method} ${url.slice(0, 300)} by ${principal.name} with ${JSON.stringify(headers)} and ${JSON.stringify(body)?.slice(0, 500)}`;
    try {
      const reply = await this.#service.ask(route.method, url, { token: principal.token, body, headers });
      this.#check(route, principal, reply, { asked, url });
    } catch (error) {
      // Headers and addresses that a client could not even send.
      if (!/Invalid character|Invalid URL|ERR_UNESCAPED|must only contain/.test(String(error)))
        this.failures.push(`${asked}: threw ${(error as Error).stack}`);
    }
  }

  async end(): Promise<void> {
    if ((await this.#stateOfB()) !== this.#before) this.failures.push('something of tenant B was changed');
    const { json } = await this.#service.ask('GET', '/v1/audit/verify', {
      token: await this.#service.addToken({ role: 'audit-admin' }),
    });
    if (json.state !== 'whole') this.failures.push(`the audit is broken: ${JSON.stringify(json)}`);
    if (this.#service.logged.length > 0) this.failures.push(...this.#service.logged.slice(0, 5));
  }

  #check(
    route: Route,
    principal: Principal,
    { status, headers, text, json }: Reply,
    { asked, url }: { asked: string; url: string },
  ): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    const fail = (what: string): void => void this.failures.push(`${asked}\n  -> ${status} ${text.slice(0, 500)}\n  ${what}`);
    if (status >= 500) fail('a 500');
    if (status >= 400 && !this.#isProblem.Check(json)) fail('no problem as it should be');
    const declared = this.#answers.get(`${route.name} ${status}`);
    if (status < 300 && declared !== undefined && !declared.Check(json))
      fail(`not what is documented: ${JSON.stringify(declared.Errors(json)[0] ?? '')}`);
    if (status < 300 && route.answers[status] === undefined) fail('a status that is not documented');
    if (headers['x-content-type-options'] !== 'nosniff') fail('without the usual headers');
    if (!principal.isOfProvider)
      // A request that is wrong by itself is told so in its own words.
      for (const [name, value] of Object.entries({ ...this.#theirs, name: 'bureau-b' }))
        if (text.includes(value) && !(status === 400 && url.includes(value))) fail(`tells the ${name} of tenant B`);
  }

  async #stateOfB(): Promise<string> {
    const { catalog } = this.#service;
    const b = this.#theirs.tenant;
    const page = { limit: 100 };
    const parts = [
      catalog.assets.list(b, page),
      catalog.policies.list(b, page),
      catalog.runs.list(b, {}, page),
      catalog.approvals.list(b, page),
      catalog.recoveryPoints.list(b, undefined, page),
      catalog.agents.list(b, page),
    ];
    return JSON.stringify(await Promise.all(parts as readonly Promise<unknown>[]));
  }

  #path({ path }: Route): string {
    const none = nothings(this.#service);
    return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const roll = this.#chance();
      if (roll < (name === 'tenant' ? 0.8 : 0.55)) return this.#ours[name]!;
      if (roll < 0.9) return this.#theirs[name]!;
      if (roll < 0.95) return none[name]!;
      return encodeURIComponent(oddText(this.#pick(ODD))).slice(0, 300);
    });
  }

  #query({ querySchema }: Route): string {
    const names = Object.keys(querySchema.properties);
    const query = new URLSearchParams();
    for (const name of names)
      if (this.#chance() < 0.3)
        query.append(
          name,
          this.#chance() < 0.6 ? String(sampleText(querySchema.properties[name])) : oddText(this.#pick(ODD)).slice(0, 300),
        );
    if (this.#chance() < 0.05) query.append('unknown', 'x');
    if (this.#chance() < 0.03 && names.length > 0) query.append(names[0]!, 'twice');
    const text = query.toString();
    return text === '' ? '' : `?${text}`;
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.#chance() < 0.6) headers['if-match'] = this.#pick(['"1"', '*', '"2"', 'W/"1"', '"x"', '', '1']);
    if (this.#chance() < 0.3) headers['idempotency-key'] = this.#pick(['key-1', 'key-2', 'x'.repeat(300), 'with space', '']);
    if (this.#chance() < 0.1) headers['last-event-id'] = this.#pick(['1', '-1', '999999999999999999999', 'x', '']);
    if (this.#chance() < 0.05) headers['x-request-id'] = this.#pick(['abcdefgh', '<script>', 'x'.repeat(200)]);
    if (this.#chance() < 0.05) headers['x-forwarded-for'] = '10.0.0.1';
    if (this.#chance() < 0.03) headers['accept'] = 'text/html';
    return headers;
  }

  #body(route: Route): { readonly body?: unknown; readonly type?: string } {
    if (route.body === undefined)
      return this.#chance() < 0.95 || route.method === 'GET' ? {} : { body: this.#pick(RAW_BODIES), type: this.#pick(TYPES) };
    const roll = this.#chance();
    if (roll < 0.06) return { body: this.#pick(RAW_BODIES), type: this.#pick(TYPES) };
    if (roll < 0.08) return { body: JSON.stringify('x'.repeat(400_000)), type: 'application/json' };
    if (roll < 0.12 && route.bodyText !== undefined)
      return {
        body: `name: ${this.#ours['policy']}\nobjectives:\n  rpo: ${this.#pick(['1h', '48h', 'soon', '1h\nschedule:\n  - cron: "61 * * * *"', '1h\nextends: gold', '[', '&a *a', '!!js/function x'])}\n`,
        type: route.bodyText,
      };
    let body = this.#withIds(sampleOf(route.body));
    for (let i = 0; i < 3 && this.#chance() < 0.6; i++) body = this.#mutated(body);
    return { body: JSON.stringify(body) ?? 'null', type: 'application/json' };
  }

  #withIds(body: unknown): unknown {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
    const things = this.#chance() < 0.8 ? this.#ours : this.#theirs;
    const ids: Readonly<Record<string, string | undefined>> = {
      assetId: things['asset'],
      agentId: things['agent'],
      snapshot: things['snapshot'],
      policy: things['policy'],
      tenantId: things.tenant,
    };
    return Object.fromEntries(
      Object.entries(body)
        .filter(() => this.#chance() < 0.85)
        .map(([key, value]) => [
          key,
          ids[key] ?? (Array.isArray(value) ? value.map((one) => this.#withIds(one)) : this.#withIds(value)),
        ]),
    );
  }

  #mutated(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || this.#chance() < 0.1) return this.#pick(ODD);
    if (Array.isArray(value)) {
      if (this.#chance() < 0.3) return [...value, ...value, this.#pick(ODD)];
      return value.map((one) => (this.#chance() < 0.5 ? this.#mutated(one) : one));
    }
    const entries = Object.entries(value);
    if (entries.length === 0 || this.#chance() < 0.15)
      return {
        ...value,
        [String(this.#pick(['extra', '__proto__', 'id', 'tenantId', 'version', 'state', 'toString']))]: this.#pick(ODD),
      };
    const [key, below] = this.#pick(entries);
    return { ...value, [key]: this.#mutated(below) };
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#chance() * from.length)]!;
  }
}

/** As well-formed text, which addresses have to be. */
function oddText(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).toWellFormed();
}

function sampleText(schema: unknown): unknown {
  try {
    return sampleOf(schema);
  } catch {
    // A cursor: none that is right can be made up.
    return 'AAAA.aaaaaaaaaaaaaaaaaaaaaa';
  }
}
