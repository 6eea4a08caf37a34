// A planned switch through the service: asked for by one, approved by another, carried out by an agent at the other site while a client writes,
// which is killed in the middle, decided on at a gate, and shown with the time of each transition. Two real site daemons, real servers, a real service, a real agent.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import type { Evidence } from '../../src/model/evidence.ts';
import type { Failover } from '../../src/model/failover.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { isOver, type Run } from '../../src/model/run.ts';
import { parseVerifyKey } from '../../src/trust/audit-key.ts';
import { environmentOf, planFile, type RoutedClient, readyToFail } from '../support/failing-over.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { enrolAgentIn, tenantBase } from '../support/postgres-agent.ts';
import { Served } from '../support/served.ts';
import { TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 180_000;
const GATE = 'database.before.ask';
const programs = postgresPrograms();

describe.runIf(programs !== undefined)('A failover through the service', () => {
  let sites: TwoSites;
  let client: RoutedClient | undefined;

  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs! });
    client = await readyToFail(sites);
  }, TIMEOUT_MS);

  afterEach(async ({ task }) => {
    await client?.stop();
    if (task.result?.state === 'fail')
      for (const site of ['a', 'b'] as const) console.log(site, sites.daemon(site)?.output, await sites.status(site).catch(String));
    await sites.end();
  }, TIMEOUT_MS);

  it(
    'that is planned loses no row that was acknowledged, and its journal and evidence are kept by the service',
    async () => {
      const service = await Served.start(join(sites.scratch, 'service'), { args: ['--no-local-agent'] });
      const base = await tenantBase(service);
      const gate = '    before:\n      - { name: ask, gate: Go on?, limit: 5m }\n    members:';
      const text = readFileSync(planFile(sites), 'utf8').replace('    members:', gate);
      const put = await service.ask('PUT', `${base}/plans/portal`, { text });
      expect(put.status, JSON.stringify(put.body)).toBe(201);
      await enrolAgentIn(service, sites.scratch);
      const home = ['--home', join(sites.scratch, 'agent'), '--service', service.url];
      const site = ['--site-config', sites.file('b'), '--allow-hooks', sites.scratch, '--allow-hooks', '/usr/bin'];
      const startAgent = (): ChildProcess => {
        const child = spawn(PROGRAM, ['agent', ...home, ...site], { stdio: 'ignore', env: environmentOf(sites) });
        onTestFinished(() => void child.kill('SIGKILL'));
        return child;
      };
      const agent = startAgent();
      const person = { login: 'lin', label: 'Lin', password: 'a horse with nine batteries', roles: ['owner'] };
      const { login } = await service.post<{ login: string }>(`${base}/people`, person);
      const { secret } = await service.post<{ secret: string }>('/v1/login', { login, password: person.password });

      const request = { plan: 'portal', kind: 'planned', reason: 'works' };
      const asked = await service.until('an agent at the site', async () => {
        const { status, body } = await service.ask('POST', `${base}/failovers`, request);
        return status === 202 ? (body as Failover) : undefined;
      });
      const asLin = { authorization: `Bearer ${secret}` };
      const approved = await service.ask('POST', `${base}/approvals/${asked.approvalId}/approve`, undefined, asLin);
      expect(approved, JSON.stringify(approved.body)).toMatchObject({ status: 200, body: { state: 'executed' } });
      await service.until('the gate', async () => {
        const { journal } = await service.get<Failover>(`${base}/failovers/${asked.id}`);
        return journal?.blockedBy.some((why) => why.includes(GATE)) ? true : undefined;
      });
      const gone = new Promise((resolve) => agent.once('exit', resolve));
      agent.kill('SIGKILL');
      await gone;
      startAgent();
      await service.post(`${base}/failovers/${asked.id}/decisions`, { action: GATE, answer: 'yes' }, asLin);
      const run = await service.until('the end of the run', async () => {
        const { runId } = await service.get<Failover>(`${base}/failovers/${asked.id}`);
        const found = await service.get<Run>(`${base}/runs/${runId}`);
        return isOver(found.state) ? found : undefined;
      });
      expect(run, JSON.stringify(run.fault)).toMatchObject({
        state: 'succeeded',
        attempt: 2,
        lost: 1,
        result: { state: 'normal', from: 'a', to: 'b' },
      });

      const before = client!.acknowledged.length;
      await until('the client writes again', () => client!.acknowledged.length > before + 5);
      await client!.stop();
      const kept = new Set((await sites.sql('b', 'SELECT word FROM kept')).map(([word]) => word));
      expect(client!.acknowledged.map(({ word }) => word).filter((word) => !kept.has(word))).toEqual([]);

      const shown = await service.get<Failover>(`${base}/failovers/${asked.id}`);
      expect(shown).toMatchObject({ state: 'normal', approvers: [login], journal: { from: 'a', to: 'b', blockedBy: [] } });
      expect(shown.journal!.decisions).toMatchObject([{ action: GATE, answer: 'yes', by: login }]);
      expect(shown.journal!.entries.map(({ state }) => state)).toEqual([...FAILOVER_STATES]);
      const times = shown.journal!.entries.map(({ at }) => at);
      expect(times).toEqual([...times].sort());
      const evidence = await service.get<Evidence>(`${base}/evidence/${run.result!['evidence']}`);
      const file = await service.ask('GET', `${base}/evidence/${evidence.id}/file`);
      const key = parseVerifyKey(readFileSync(join(sites.configs.b.state, 'site-key.pub'), 'utf8'))!;
      const verified = verifyEvidence({ text: Buffer.from(String(file.body)), trusted: [key], attachment: () => undefined });
      expect(verified).toMatchObject({ problems: [], isTrusted: true });
      expect(evidence).toMatchObject({ kind: 'planned', outcome: 'succeeded', plan: 'portal', runId: run.id });
      const { items } = await service.get<{ items: { action: string; details: { state?: string } }[] }>(`${base}/audit?limit=500`);
      const transitions = items.filter(({ action }) => action === 'failover.transition').map(({ details }) => details.state);
      expect(transitions).toEqual([...FAILOVER_STATES]);
    },
    TIMEOUT_MS,
  );
});
