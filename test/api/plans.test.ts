import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { planDigest } from '../../src/plan/plan-digest.ts';
import { renderRunbook } from '../../src/plan/runbook.ts';
import { type Loose, portalPlan } from '../support/portal-plan.ts';
import { newService } from './new-service.ts';

const YAML = { 'content-type': 'application/yaml' };
const SMOKE = { name: 'orders', command: ['/bin/true'], limit: '30s' };

function planText(change: (plan: Loose) => void = () => {}): string {
  const plan = portalPlan(SMOKE);
  change(plan);
  return `# Read this first.\n${stringify(plan)}`;
}

async function bureau() {
  const service = await newService();
  const tenant = await service.addTenant('bureau-a');
  const base = `/v1/tenants/${tenant.id}/plans`;
  const operator = await service.tokenFor(tenant, 'operator');
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}, token = operator) =>
    service.ask(method, `${base}${path}`, { token, body, headers });
  const put = (text: string, headers: Record<string, string> = {}, query = '') =>
    ask('PUT', `/portal${query}`, text, { ...YAML, ...headers });
  return { service, tenant, ask, put, operator };
}

describe('a plan', () => {
  it('is got as it was put, and printed as a runbook in both languages', async () => {
    const { ask, put } = await bureau();
    const text = planText();
    expect(await put(text)).toMatchObject({
      status: 201,
      headers: { etag: '"1"' },
      json: { name: 'portal', version: 1, text, digest: planDigest(portalPlan(SMOKE)) },
    });
    expect((await ask('GET', '/portal')).json.text).toBe(text);
    expect((await ask('GET', '')).json.items).toHaveLength(1);
    for (const lang of ['en', 'zh'] as const)
      expect(await ask('GET', `/portal/runbook?lang=${lang}`)).toMatchObject({
        status: 200,
        text: renderRunbook(portalPlan(SMOKE), lang),
        headers: { 'content-type': 'text/markdown; charset=utf-8' },
      });
  });

  it('is refused with the line of each thing that is wrong', async () => {
    const { put, ask } = await bureau();
    const refused = await put(planText((plan) => (plan.groups[0].members = [])));
    expect(refused).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
    expect(refused.json.errors[0]).toMatchObject({
      field: expect.stringMatching(/^body\/text\/groups/),
      message: expect.stringMatching(/^\(line \d+/),
    });
    expect((await put(planText((plan) => (plan.name = 'other')))).json.errors[0].field).toBe('body/text/name');
    expect((await ask('GET', '/portal')).status).toBe(404);
  });

  it('keeps every version, in the audit too, and takes no version twice', async () => {
    const { service, tenant, put, ask } = await bureau();
    await put(planText());
    const second = planText((plan) => Object.assign(plan, { version: 3, label: 'The portal' }));
    expect((await put(second)).json.code).toBe('REQUEST_NEEDS_VERSION');
    const same = planText((plan) => (plan.label = 'The portal'));
    expect((await put(same, { 'if-match': '"1"' })).json.errors[0].field).toBe('body/text/version');
    expect(await put(second, { 'if-match': '"1"' })).toMatchObject({ status: 200, headers: { etag: '"3"' } });
    expect((await put(second, { 'if-match': '"1"' })).json.code).toBe('REQUEST_STALE');
    expect((await ask('GET', '/portal/versions')).json.items.map((one: Loose) => one.version)).toEqual([3, 1]);
    expect((await ask('GET', '/portal?version=1')).json.text).toBe(planText());
    const lines = (await service.catalog.audit.after(0, tenant.id, 100)).filter(({ action }) => action.startsWith('plan.'));
    expect(lines.map(({ action, details }) => [action, details['text']])).toEqual([
      ['plan.create', planText()],
      ['plan.change', second],
    ]);
  });

  it('that asks or promises less waits for a second person, and so does its end', async () => {
    const { service, tenant, put, ask } = await bureau();
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    const approve = (id: string) => service.ask('POST', `/v1/tenants/${tenant.id}/approvals/${id}/approve`, { token: berta });
    await put(planText());
    const weaker = planText((plan) => Object.assign(plan, { version: 2, objectives: { rpo: '1h', rto: '5m' } }));
    expect((await put(weaker, { 'if-match': '"1"' })).json.errors[0]).toMatchObject({
      field: 'query/reason',
      message: expect.stringContaining('objectives.rpo'),
    });
    const asked = await put(weaker, { 'if-match': '"1"' }, '?reason=slow%20line');
    expect(asked).toMatchObject({ status: 202, json: { action: 'plan.weaken', request: { weaker: ['objectives.rpo'] } } });
    expect((await ask('GET', '/portal')).json.version).toBe(1);
    expect((await approve(asked.json.id)).json.state).toBe('executed');
    expect((await ask('GET', '/portal')).json).toMatchObject({ version: 2, text: weaker });
    const end = await ask('DELETE', '/portal?reason=gone', undefined, { 'if-match': '"2"' });
    expect(end.status).toBe(202);
    expect((await approve(end.json.id)).json.state).toBe('executed');
    expect((await ask('GET', '/portal')).status).toBe(404);
    expect((await ask('GET', '/portal/versions')).json.items).toHaveLength(2);
    // Nobody passes an older one off as new.
    expect((await put(planText())).json.errors[0].field).toBe('body/text/version');
  });

  it('is not executed when it has changed since a second person was asked', async () => {
    const { service, tenant, put, ask } = await bureau();
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    await put(planText());
    const end = await ask('DELETE', '/portal?reason=gone', undefined, { 'if-match': '"1"' });
    await put(
      planText((plan) => Object.assign(plan, { version: 2, label: 'Kept' })),
      { 'if-match': '"1"' },
    );
    const decided = await service.ask('POST', `/v1/tenants/${tenant.id}/approvals/${end.json.id}/approve`, { token: berta });
    expect(decided.json.code).toBe('REQUEST_STALE');
    expect((await ask('GET', '/portal')).json.version).toBe(2);
  });

  it('is seen by everybody of the tenant, changed by who changes policies, and nothing to others', async () => {
    const { service, tenant, put, ask } = await bureau();
    await put(planText());
    const viewer = await service.tokenFor(tenant, 'viewer');
    expect((await ask('GET', '/portal', undefined, {}, viewer)).status).toBe(200);
    expect((await ask('PUT', '/portal', planText(), { ...YAML, 'if-match': '"1"' }, viewer)).json.code).toBe('REQUEST_FORBIDDEN');
    const stranger = await service.tokenFor(await service.addTenant('bureau-b'), 'owner');
    expect((await ask('GET', '/portal', undefined, {}, stranger)).status).toBe(404);
  });
});
