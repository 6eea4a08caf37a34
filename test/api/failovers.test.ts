// Who may have a failover carried out, and what is shown of it. Carrying one out is in test/e2e/service-failover.test.ts.

import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { takeJournal } from '../../src/gateway/take-journal.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { FailoverLife } from '../../src/model/failover.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import type { Run } from '../../src/model/run.ts';
import { planDigest } from '../../src/plan/plan-digest.ts';
import { Approvals } from '../../src/trust/approvals.ts';
import { type Loose, portalPlan } from '../support/portal-plan.ts';
import { newService } from './new-service.ts';

const HOUR_MS = 3_600_000;

async function bureau() {
  const service = await newService();
  const { catalog } = service;
  const tenant = await service.addTenant('bureau-a');
  const base = `/v1/tenants/${tenant.id}`;
  const plan = portalPlan({ name: 'orders', command: ['/bin/true'], limit: '30s' });
  const stored = { tenantId: tenant.id, name: 'portal', version: 1, text: stringify(plan), digest: planDigest(plan) };
  await catalog.plans.put({ ...stored, changedAt: service.clock.toISOString(), changedBy: 'person:li' }, undefined);
  const addAgent = async (planSite: string): Promise<Agent> => {
    const id = await service.addAgent(tenant, `host-at-${planSite}`);
    const { host } = (await catalog.agents.get(id))!;
    await catalog.agents.seen(id, service.clock.toISOString(), { ...host, planSite });
    return (await catalog.agents.get(id)) as Agent;
  };
  const agent = await addAgent('site-b');
  const agentId = agent.id;
  const names = ['anna', 'berta', 'carla', 'doris'];
  const sessions = names.map(
    async (name) => [name, await service.sessionOf(name, { role: 'owner', tenantId: tenant.id })] as const,
  );
  const people = new Map(await Promise.all(sessions));
  const ask = (who: string, method: string, path: string, body?: unknown) =>
    service.ask(method, `${base}${path}`, { token: people.get(who), body });
  const request = (who: string, kind: string, more: object = {}) =>
    ask(who, 'POST', '/failovers', { plan: 'portal', kind, reason: 'site a burns', ...more });
  const approve = (who: string, id: string) => ask(who, 'POST', `/approvals/${id}/approve`);
  const show = async (id: string): Promise<Loose> => (await ask('anna', 'GET', `/failovers/${id}`)).json;
  const claim = async (): Promise<Run | undefined> =>
    catalog.runs.claim({
      by: `agent:${agentId}`,
      kinds: ['failover'],
      agentId,
      at: service.clock.toISOString(),
      leaseMs: HOUR_MS,
      perAgentMax: 0,
      perTenantMax: 9,
      totalMax: 9,
    });
  /** As its agent tells of it when it has come to that state. */
  const tell = (run: Run, state: FailoverLife, more: Loose = {}): Promise<void> => {
    const states = FAILOVER_STATES.slice(0, FAILOVER_STATES.indexOf(state as 'declared') + 1);
    const entries = states.map((one, n) => ({ state: one, at: new Date(service.clock.getTime() + n).toISOString(), facts: {} }));
    const journal = { from: 'site-a', to: 'site-b', blockedBy: [], decisions: [], glass: null, actions: [], entries, ...more };
    const id = String(run.parameters['failover']);
    return takeJournal({ catalog, now: () => service.clock }, agent, run.id, {
      fence: run.fence,
      journal: { id, state, ...journal },
    });
  };
  return { service, catalog, tenant, agent, addAgent, ask, request, approve, show, claim, tell };
}

describe('a failover', () => {
  it('that is not planned waits for two people, each another one and none who asked, and is carried out once', async () => {
    const { service, tenant, ask, request, approve, show, claim } = await bureau();
    const asked = await request('anna', 'unplanned');
    expect(asked).toMatchObject({ status: 202, json: { state: 'waiting', kind: 'unplanned', approvers: [] } });
    const { id, approvalId } = asked.json;
    expect((await request('berta', 'unplanned')).json.detail).toContain(id);
    expect((await approve('anna', approvalId)).json.code).toBe('APPROVAL_OWN_REQUEST');
    const token = await service.tokenFor(tenant, 'owner');
    const byToken = await service.ask('POST', `/v1/tenants/${tenant.id}/approvals/${approvalId}/approve`, { token });
    expect(byToken.json.code).toBe('APPROVAL_OF_PERSONS');
    expect((await approve('berta', approvalId)).json).toMatchObject({ state: 'pending', needed: 2 });
    expect((await approve('berta', approvalId)).json.code).toBe('APPROVAL_TWICE');
    expect(await claim()).toBeUndefined();
    expect((await show(id)).state).toBe('waiting');
    // Who approves it later approves what was asked for then.
    const { requestedAt } = asked.json;
    service.clock = new Date(service.clock.getTime() + HOUR_MS / 4);
    const decided = (await approve('carla', approvalId)).json;
    expect(decided).toMatchObject({ state: 'executed', action: 'failover' });
    // By id they stay who they are; by login people know them.
    expect(Object.values(decided.logins).sort()).toEqual(['anna', 'berta', 'carla']);
    const shown = (await ask('doris', 'GET', '/approvals')).json.items[0];
    expect(shown.logins[shown.requestedBy]).toBe('anna');
    expect(shown.approvedBy.map((name: string) => shown.logins[name])).toEqual(['berta', 'carla']);
    expect((await approve('doris', approvalId)).json.code).toBe('APPROVAL_NOT_OPEN');
    expect(await show(id)).toMatchObject({ state: 'approved', approvers: ['berta', 'carla'] });
    // Whatever else runs on the host: it takes nobody's place.
    const claimed = (await claim())!;
    expect(claimed.dueAt).toBe(requestedAt);
    expect(claimed.parameters).toEqual({
      plan: 'portal',
      version: 1,
      failover: id,
      order: { do: 'carry-out', kind: 'unplanned', reason: 'site a burns', by: 'anna', approvers: ['berta', 'carla'] },
    });
    expect(await claim()).toBeUndefined();
    const lines = (await service.catalog.audit.after(0, tenant.id, 100)).map(({ action, outcome }) => `${action} ${outcome}`);
    expect(lines).toEqual([
      'failover.request done',
      'approval.approve denied',
      'approval.approve denied',
      'approval.approve done',
      'approval.approve denied',
      'approval.approve done',
      'approval.execute done',
    ]);
  });

  it('counts nobody among those who have approved it who was disabled or lost the role meanwhile', async () => {
    const { catalog, tenant, request, approve, show } = await bureau();
    const { id, approvalId } = (await request('anna', 'unplanned')).json;
    await approve('berta', approvalId);
    const { items } = await catalog.people.list({ limit: 10 }, tenant.id);
    const berta = items.find(({ login }) => login === 'berta')!;
    await catalog.people.change({ ...berta, state: 'disabled' });
    expect((await approve('carla', approvalId)).json).toMatchObject({ state: 'pending', needed: 2 });
    expect((await show(id)).state).toBe('waiting');
    const carla = items.find(({ login }) => login === 'carla')!;
    await catalog.people.change({ ...carla, grants: [{ role: 'operator', tenantId: tenant.id }] });
    expect((await approve('doris', approvalId)).json).toMatchObject({ state: 'pending' });
    await catalog.people.change({ ...berta, version: berta.version + 1 });
    expect((await approve('berta', approvalId)).json).toMatchObject({ state: 'executed' });
    expect((await show(id)).approvers).toEqual(['doris', 'berta']);
  });

  it('that was approved as the service was killed is carried out later only if those who approved it still might; else others approve it', async () => {
    const { service, catalog, tenant, request, approve, show, claim } = await bureau();
    const { id, approvalId } = (await request('anna', 'unplanned')).json;
    const { items } = await catalog.people.list({ limit: 10 }, tenant.id);
    const personOf = (name: string) => items.find(({ login }) => login === name)!;
    // Killed between the decision and what follows from it: each is a transaction of its own.
    const approvals = new Approvals({ catalog, now: () => service.clock, random: randomBytes });
    for (const { id: person, login, grants } of [personOf('berta'), personOf('carla')])
      await approvals.approve({ kind: 'person', id: person, label: login, grants }, tenant.id, approvalId);
    expect(await catalog.approvals.get(tenant.id, approvalId)).toMatchObject({ state: 'approved' });
    await catalog.people.change({ ...personOf('berta'), state: 'disabled' });
    const execution = approvals.execute({ kind: 'person', id: 'x', label: 'x', grants: [] }, tenant.id, approvalId, async () => 1);
    await expect(execution).rejects.toMatchObject({ code: 'APPROVAL_NOT_OPEN' });
    expect((await approve('carla', approvalId)).json.code).toBe('APPROVAL_TWICE');
    expect(await claim()).toBeUndefined();
    expect(await catalog.approvals.get(tenant.id, approvalId)).toMatchObject({ state: 'pending' });
    expect((await approve('doris', approvalId)).json).toMatchObject({ state: 'executed' });
    expect(await show(id)).toMatchObject({ state: 'approved', approvers: ['carla', 'doris'] });
  });

  it('that was rejected, or that nobody approved in time, is over, and another may be asked for', async () => {
    const { service, ask, request, approve, show } = await bureau();
    const first = (await request('anna', 'planned')).json;
    await ask('berta', 'POST', `/approvals/${first.approvalId}/reject`);
    expect((await show(first.id)).state).toBe('refused');
    const second = (await request('anna', 'planned')).json;
    service.clock = new Date(service.clock.getTime() + 25 * HOUR_MS);
    const people = await service.sessionOf('erna', { role: 'owner', tenantId: first.tenantId });
    const late = await service.ask('POST', `/v1/tenants/${first.tenantId}/approvals/${second.approvalId}/approve`, {
      token: people,
    });
    expect(late.json.code).toBe('APPROVAL_NOT_OPEN');
    expect((await approve('berta', second.approvalId)).status).toBe(401);
    const all = await service.ask('GET', `/v1/tenants/${first.tenantId}/failovers`, { token: people });
    expect(all.json.items.map(({ state }: Loose) => state)).toEqual(['refused', 'refused']);
  });

  it('shows its transitions with their times, tells of them and audits each, and never goes back', async () => {
    const { service, catalog, tenant, request, approve, show, claim, tell } = await bureau();
    const { id, approvalId } = (await request('anna', 'planned')).json;
    await approve('berta', approvalId);
    const run = (await claim())!;
    await tell(run, 'declared', { blockedBy: ['the site a does not answer'] });
    await tell(run, 'declared', { blockedBy: ['the site a does not answer', 'nor the witness'] });
    const metrics = async (): Promise<string> =>
      (await service.ask('GET', '/metrics', { token: await service.addToken({ role: 'system-admin' }) })).text;
    const labels = `tenant="${tenant.id}",plan="portal"`;
    expect(await metrics()).toContain(`holdfast_failover_state{${labels},state="declared"} 1\n`);
    expect(await metrics()).toContain(`holdfast_failover_blocked{${labels}} 1\n`);
    await tell(run, 'caught-up');
    await tell(run, 'fenced');
    const shown = await show(id);
    expect(shown).toMatchObject({ state: 'caught-up', runId: run.id, journal: { from: 'site-a', to: 'site-b', blockedBy: [] } });
    expect(shown.journal.entries.map(({ state }: Loose) => state)).toEqual(['declared', 'fenced', 'sealed', 'caught-up']);
    await tell(run, 'normal');
    expect(await metrics()).not.toContain('holdfast_failover_state{');
    const said = (await catalog.audit.after(0, tenant.id, 100)).filter(({ action }) => action === 'failover.transition');
    expect(said.map(({ details }) => details['state'])).toEqual([...FAILOVER_STATES]);
    const events = (await catalog.events.after(0, tenant.id, 100))
      .map(({ kind }) => kind)
      .filter((kind) => kind.startsWith('failover'));
    expect(events.filter((kind) => kind === 'failover.blocked')).toHaveLength(1);
    expect(events.filter((kind) => kind === 'failover.transition')).toHaveLength(FAILOVER_STATES.length);
    await expect(takeOther(tell, run)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    await expect(tell({ ...run, fence: 7 }, 'normal')).rejects.toMatchObject({ code: 'RUN_FENCED' });
  });

  it('is decided on by people, undone, and gone on with, by runs of their own', async () => {
    const { service, tenant, agent, addAgent, ask, request, approve, claim, tell } = await bureau();
    const { id, approvalId } = (await request('anna', 'unplanned')).json;
    const decide = (who: string) => ask(who, 'POST', `/failovers/${id}/decisions`, { action: 'show-loss', answer: 'yes' });
    expect((await decide('anna')).json.detail).toContain('waiting');
    for (const who of ['berta', 'carla']) await approve(who, approvalId);
    const run = (await claim())!;
    await tell(run, 'declared');
    const token = await service.tokenFor(tenant, 'operator');
    const byToken = await service.ask('POST', `/v1/tenants/${tenant.id}/failovers/${id}/decisions`, {
      token,
      body: { action: 'show-loss', answer: 'yes' },
    });
    expect(byToken.json.code).toBe('APPROVAL_OF_PERSONS');
    expect((await decide('doris')).status).toBe(201);
    // Beside the run that carries it out.
    const decision = (await claim())!;
    expect(decision.parameters['order']).toEqual({ do: 'decide', action: 'show-loss', answer: 'yes', by: 'doris' });
    expect((await ask('anna', 'POST', `/failovers/${id}/undo`, { reason: 'it is back' })).status).toBe(201);
    expect((await claim())!.parameters['order']).toEqual({ do: 'undo', reason: 'it is back' });
    expect((await ask('anna', 'POST', `/failovers/${id}/resume`)).json.detail).toContain(run.id);
    // Its host may have gone with its site: another goes on beside it.
    const other = await addAgent('site-a');
    expect((await ask('anna', 'POST', `/failovers/${id}/resume?agentId=${other.id}`)).json).toMatchObject({ agentId: other.id });
    expect((await ask('anna', 'GET', `/failovers/${id}`)).json.agentId).toBe(other.id);
    expect((await ask('anna', 'POST', `/failovers/${id}/resume?agentId=agt_01m7zsw26wt97b7ha6n21b387w`)).status).toBe(400);
    await ask('anna', 'POST', `/failovers/${id}/resume?agentId=${agent.id}`);
    expect((await claim())!.parameters['order']).toMatchObject({ do: 'carry-out', by: 'anna', approvers: ['berta', 'carla'] });
    expect((await ask('anna', 'POST', `/failovers/${id}/rejoin`)).json.detail).toContain('not finished');
  });

  it('that the sites have left behind, as the one who carries it out has heard there, keeps no other from being asked for', async () => {
    const { service, catalog, request, approve, claim, tell } = await bureau();
    const { approvalId } = (await request('anna', 'planned')).json;
    await approve('berta', approvalId);
    const run = (await claim())!;
    await tell(run, 'declared');
    const end = (code: string) =>
      catalog.runs.end(run.id, run.fence, service.clock.toISOString(), {
        state: 'failed',
        fault: { code, message: 'over', hint: '' },
      });
    expect((await request('anna', 'planned')).status).toBe(409);
    await end('FAILOVER_OVER');
    expect((await request('anna', 'planned')).status).toBe(202);
  });

  it('breaks the glass on the word of two other people only, while there is glass', async () => {
    const { ask, request, approve, claim, tell } = await bureau();
    const { id, approvalId } = (await request('anna', 'planned')).json;
    await approve('berta', approvalId);
    const run = (await claim())!;
    const ofGlass = () => ask('anna', 'POST', `/failovers/${id}/break-glass`, { reason: 'seen burnt down' });
    expect((await ofGlass()).json.detail).toContain('approved');
    await tell(run, 'declared');
    const glass = await ofGlass();
    expect(glass).toMatchObject({ status: 202, json: { action: 'break-glass', needed: 2 } });
    expect((await approve('berta', glass.json.id)).json.state).toBe('pending');
    expect(await claim()).toBeUndefined();
    expect((await approve('doris', glass.json.id)).json.state).toBe('executed');
    expect((await claim())!.parameters['order']).toEqual({
      do: 'break-glass',
      persons: ['berta', 'doris'],
      reason: 'seen burnt down',
    });
    const late = (await ofGlass()).json;
    await tell(run, 'fenced');
    await approve('berta', late.id);
    expect((await approve('doris', late.id)).json.code).toBe('REQUEST_STALE');
    expect((await ofGlass()).json.detail).toContain('fenced');
  });

  it('needs an agent that has the configuration of a site, and a plan', async () => {
    const { service, catalog, tenant, agent, request } = await bureau();
    expect((await request('anna', 'planned', { plan: 'other' })).json.errors[0].field).toBe('body/plan');
    const blind = await service.addAgent(tenant, 'elsewhere');
    expect((await request('anna', 'planned', { agentId: blind })).json.detail).toContain('--site-config');
    await catalog.agents.revoke(agent.id, service.clock.toISOString());
    expect((await request('anna', 'planned')).json.detail).toContain('--site-config');
    expect((await catalog.approvals.list(tenant.id, { limit: 5 })).items).toEqual([]);
  });
});

function takeOther(tell: (run: Run, state: FailoverLife) => Promise<void>, run: Run): Promise<void> {
  return tell({ ...run, parameters: { ...run.parameters, failover: `fov_${randomBytes(13).toString('hex')}` } }, 'normal');
}
