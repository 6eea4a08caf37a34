// Evidence that an agent brings, and what follows from it: what is served, what is due, what is measured. Carrying a drill out is in
// test/e2e/service-drill.test.ts.

import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { takeEvidence } from '../../src/gateway/plan-routes.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { Run } from '../../src/model/run.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import { planDigest } from '../../src/plan/plan-digest.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { PlanKeeper } from '../../src/scheduler/plan-keeper.ts';
import { onRunEnded } from '../../src/scheduler/run-ended.ts';
import { at, FAILOVER, forged, PACK_ID, PAIR, PLAN, packText, type Told } from '../support/evidence.ts';
import { newService } from './new-service.ts';

const HOUR_MS = 3_600_000;
const SUCCEEDED: readonly Told[] = [
  ...FAILOVER,
  ...PLAN.drill!.probes.map((address): Told => ['probe', address, { address, method: 'tcp', isReached: false }]),
  ['fingerprint', 'repository', { before: 'a', after: 'a' }],
  ['destruction', 'drill', { isGone: true, text: '' }],
];

async function bureau() {
  const service = await newService();
  const { catalog } = service;
  service.clock = new Date(at(300));
  const tenant = await service.addTenant('bureau-a');
  const base = `/v1/tenants/${tenant.id}`;
  const operator = await service.tokenFor(tenant, 'operator');
  const random = (bytes: number): Uint8Array => randomBytes(bytes);
  const now = (): Date => service.clock;
  const keeper = new PlanKeeper({ catalog, now, random, log: pino({ level: 'silent' }) });
  const ended = onRunEnded({ now, random });
  const addPlan = async (plan: PlanDocument = PLAN): Promise<void> => {
    const before = (await catalog.plans.byName(tenant.id, plan.name))?.version;
    const stored = { tenantId: tenant.id, name: plan.name, version: plan.version, text: stringify(plan), digest: planDigest(plan) };
    await catalog.plans.put({ ...stored, changedAt: at(0), changedBy: 'person:li' }, before);
  };
  const addAgent = async (planSite: string): Promise<Agent> => {
    const id = await service.addAgent(tenant, `host-at-${planSite}`);
    const { host } = (await catalog.agents.get(id))!;
    await catalog.agents.seen(id, service.clock.toISOString(), { ...host, planSite });
    return (await catalog.agents.get(id))!;
  };
  const claim = async (agent: Agent, kind: RunKind): Promise<Run | undefined> => {
    const limits = { perAgentMax: 9, perTenantMax: 9, totalMax: 9 };
    const claimed = {
      by: `agent:${agent.id}`,
      kinds: [kind],
      agentId: agent.id,
      at: service.clock.toISOString(),
      leaseMs: HOUR_MS,
    };
    return catalog.runs.claim({ ...claimed, ...limits });
  };
  const end = (run: Run, result: Readonly<Record<string, unknown>>, state: 'succeeded' | 'failed' = 'succeeded') =>
    catalog.transaction(async (tables) => {
      const over = await tables.runs.end(run.id, run.fence, service.clock.toISOString(), { state, result });
      await ended(tables, over as Run);
    });
  const bring = (agent: Agent, run: Run, text: string, attachments: { name: string; content: string }[] = []) =>
    takeEvidence({ catalog, now }, agent, run.id, { fence: run.fence, pack: text, attachments });
  const ask = (method: string, path: string, body?: unknown) => service.ask(method, `${base}${path}`, { token: operator, body });
  const metrics = async (): Promise<string> =>
    (await service.ask('GET', '/metrics', { token: await service.addToken({ role: 'system-admin' }) })).text;
  const gauge = async (name: string): Promise<number | undefined> => {
    const found = new RegExp(`^${name}\\{tenant="${tenant.id}",plan="${PLAN.name}"\\} (.*)$`, 'm').exec(await metrics());
    return found === null ? undefined : Number(found[1]);
  };
  return { service, catalog, tenant, keeper, addPlan, addAgent, claim, end, bring, ask, gauge };
}

const pass = (service: { clock: Date }, ms: number): void => void (service.clock = new Date(service.clock.getTime() + ms));

describe('evidence of a drill', () => {
  it('is kept when nothing is wrong with it and it is of the run, and nothing else is', async () => {
    const { catalog, tenant, addPlan, addAgent, claim, bring, ask } = await bureau();
    await addPlan();
    const agent = await addAgent(PLAN.sites.target);
    const queued = await ask('POST', '/drills', { plan: PLAN.name });
    expect(queued).toMatchObject({
      status: 201,
      json: { kind: 'drill', agentId: agent.id, parameters: { plan: PLAN.name, version: 1 } },
    });
    expect((await ask('POST', '/drills', { plan: PLAN.name })).json.detail).toContain(queued.json.id);
    const run = (await claim(agent, 'drill'))!;
    const good = packText({ kind: 'drill', told: SUCCEEDED, tenant: tenant.id });
    const refused = async (text: string, ...more: { name: string; content: string }[][]): Promise<string> =>
      bring(agent, run, text, ...more).then(
        () => 'it was taken',
        (error: { code: string; message: string }) => `${error.code} ${error.message}`,
      );
    expect(await refused(forged(good, (pack) => (pack.body.measurements[0].value.name = 'nobody'), PAIR))).toMatch(
      /^EVIDENCE_REFUSED/,
    );
    expect(await refused(packText({ kind: 'drill', told: SUCCEEDED }))).toContain('tenant "city"');
    expect(await refused(packText({ told: SUCCEEDED, tenant: tenant.id }))).toContain('of a "unplanned"');
    const other = { ...PLAN, label: 'Another' };
    expect(await refused(packText({ kind: 'drill', told: SUCCEEDED, tenant: tenant.id, plan: other }))).toContain(
      'not of the plan',
    );
    expect(await refused(good.slice(0, -1))).toContain('cut short');
    const missing = packText({
      kind: 'drill',
      told: SUCCEEDED,
      tenant: tenant.id,
      attachments: [{ name: 'x.log', bytes: 1, digest: '0'.repeat(64) }],
    });
    expect(await refused(missing, [{ name: 'x.log', content: Buffer.from('y').toString('base64') }])).toContain('was changed');
    const stranger = await addAgent('elsewhere');
    await expect(bring(stranger, run, good)).rejects.toMatchObject({ code: 'RUN_FENCED' });
    expect((await ask('GET', '/evidence')).json.items).toEqual([]);

    await bring(agent, run, good);
    // Its answer was lost.
    await bring(agent, run, good);
    expect(await refused(packText({ kind: 'drill', told: FAILOVER, tenant: tenant.id }))).toContain('another one');
    const lines = (await catalog.audit.after(0, tenant.id, 100)).map(({ action, actor }) => `${action} ${actor}`);
    expect(lines.filter((line) => line.startsWith('evidence.'))).toEqual([`evidence.store agent:${agent.id}`]);
  });

  it('is served with its very bytes, and as a page in both languages that runs nothing', async () => {
    const { tenant, addPlan, addAgent, claim, bring, ask } = await bureau();
    await addPlan();
    const agent = await addAgent(PLAN.sites.target);
    await ask('POST', '/drills', { plan: PLAN.name });
    const text = packText({ kind: 'drill', told: SUCCEEDED, tenant: tenant.id });
    await bring(agent, (await claim(agent, 'drill'))!, text);
    expect((await ask('GET', `/evidence/${PACK_ID}`)).json).toMatchObject({
      plan: PLAN.name,
      kind: 'drill',
      outcome: 'succeeded',
      rtoMs: expect.any(Number),
      publicKey: Buffer.from(PAIR.verifyKey).toString('base64url'),
    });
    expect((await ask('GET', `/evidence/${PACK_ID}/file`)).text).toBe(text);
    expect((await ask('GET', `/evidence/${PACK_ID}/file?name=other`)).status).toBe(404);
    for (const [lang, title] of [
      ['en', 'Drill'],
      ['zh', '演练'],
    ] as const) {
      const page = await ask('GET', `/evidence/${PACK_ID}/report?lang=${lang}`);
      expect(page.text).toContain(title);
      expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8' });
      expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; .*sandbox$/);
    }
  });
});

describe('the scheduler', () => {
  it('has a plan looked at every day and at once when it has changed, and says when it could not be carried out any more', async () => {
    const { service, catalog, tenant, keeper, addPlan, addAgent, claim, end, ask, gauge } = await bureau();
    await addPlan();
    expect([...(await keeper.keep())]).toEqual([]);
    await addAgent(PLAN.sites.source);
    expect([...(await keeper.keep())]).toEqual([]);
    const agent = await addAgent(PLAN.sites.target);
    expect([...(await keeper.keep())]).toEqual([agent.id]);
    expect([...(await keeper.keep())]).toEqual([]);
    expect(await gauge('holdfast_plan_readiness')).toBe(0);
    const ready = { isReady: true, checks: [{ what: 'plan', isReady: true, text: 'fine' }] };
    await end((await claim(agent, 'readiness'))!, ready);
    expect((await ask('GET', `/plans/${PLAN.name}`)).json.readiness).toMatchObject({ isReady: true, version: 1 });
    expect(await gauge('holdfast_plan_readiness')).toBe(1);
    expect([...(await keeper.keep())]).toEqual([]);
    pass(service, 25 * HOUR_MS);
    await keeper.keep();
    const drifted = { what: 'standby of pg/portal', isReady: false, text: 'it is gone' };
    await end((await claim(agent, 'readiness'))!, { isReady: true, checks: [drifted] });
    expect(await gauge('holdfast_plan_readiness'), 'by its checks, whatever is said of them').toBe(0);
    const events = await catalog.events.after(0, tenant.id, 100);
    expect(events.filter(({ kind }) => kind.startsWith('plan.'))).toMatchObject([
      { kind: 'plan.drifted', severity: 'critical', cause: 'standby of pg/portal: it is gone' },
    ]);
    await addPlan({ ...PLAN, version: 2 });
    await keeper.keep();
    await end((await claim(agent, 'readiness'))!, ready);
    expect(await gauge('holdfast_plan_readiness')).toBe(1);
    expect((await catalog.events.after(0, tenant.id, 100)).filter(({ kind }) => kind === 'plan.ready')).toHaveLength(0);
    pass(service, 49 * HOUR_MS);
    expect(await gauge('holdfast_plan_readiness'), 'silence is not readiness').toBe(0);
  });

  it('has a plan rehearsed as often as it says, by evidence; one that has failed is repeated a day later', async () => {
    const { service, tenant, keeper, addPlan, addAgent, claim, end, bring, gauge } = await bureau();
    await addPlan();
    const agent = await addAgent(PLAN.sites.target);
    await keeper.keep();
    expect(await gauge('holdfast_drill_due')).toBe(1);
    expect(await gauge('holdfast_drill_last_success_seconds')).toBeUndefined();
    const first = (await claim(agent, 'drill'))!;
    await keeper.keep();
    await end(first, {}, 'failed');
    await keeper.keep();
    expect(await claim(agent, 'drill'), 'not at once').toBeUndefined();
    pass(service, 25 * HOUR_MS);
    await keeper.keep();
    const second = (await claim(agent, 'drill'))!;
    await bring(agent, second, packText({ kind: 'drill', told: SUCCEEDED, tenant: tenant.id }));
    await end(second, {});
    expect(await gauge('holdfast_drill_due')).toBe(0);
    expect(await gauge('holdfast_drill_rto_seconds')).toBe(45);
    expect(await gauge('holdfast_drill_last_success_seconds')).toBe(25 * 3600 + 100);
    pass(service, 20 * 24 * HOUR_MS);
    await keeper.keep();
    expect(await claim(agent, 'drill'), 'every 30 days').toBeUndefined();
    pass(service, 10 * 24 * HOUR_MS);
    await keeper.keep();
    expect(await claim(agent, 'drill')).toMatchObject({ kind: 'drill', requestedBy: 'scheduler' });
  });
});
