// A drill that the service was asked for: an agent at the other site carries it out over a real cluster, its evidence comes back through the
// API, and is verified by somebody who has nothing but the files and a public key.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Evidence } from '../../src/model/evidence.ts';
import type { StoredPlan } from '../../src/model/plan.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { DrillScene, step } from '../support/drill.ts';
import type { Loose } from '../support/portal-plan.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { enrolAgentIn, tenantBase } from '../support/postgres-agent.ts';
import { ASSET, PROGRAM } from '../support/protected-cluster.ts';
import { Served } from '../support/served.ts';

function startAgentAt(scene: DrillScene, service: Served, config: string): ChildProcess {
  const { socketDirectory, port } = scene.cluster.server;
  const eye = [
    '--production',
    `${ASSET}=host=${socketDirectory} port=${port} user=eye dbname=postgres`,
    '--production',
    'pg/other=x',
  ];
  const site = ['--site-config', config, '--drill-dir', scene.clones, '--allow-hooks', '/usr/bin', ...eye];
  const agent = spawn(PROGRAM, ['agent', '--home', join(scene.directory, 'agent'), '--service', service.url, ...site], {
    stdio: 'ignore',
  });
  onTestFinished(() => void agent.kill('SIGKILL'));
  return agent;
}

test.skipIf(postgresPrograms() === undefined)(
  'a drill is asked for through the API, carried out at the other site, and its evidence is verified offline; one that is canceled is destroyed',
  async () => {
    const scene = await DrillScene.create();
    const registry = join(scene.directory, 'registry.db');
    await openEmbeddedRegistry(registry).close();
    const service = await Served.start(join(scene.directory, 'service'), { args: ['--no-local-agent'] });
    const base = await tenantBase(service);
    const holdfast = (...args: string[]): string =>
      execFileSync(PROGRAM, [...args, '--service', service.url], {
        encoding: 'utf8',
        env: { ...process.env, HOLDFAST_TOKEN: service.token },
      });
    const put = (version: number, change: (plan: Loose) => void = () => {}): string => {
      const file = scene.plan((plan) => {
        // Nobody but this test starts one.
        delete plan.drill.every;
        plan.version = version;
        change(plan);
      });
      return holdfast('plan', 'put', file);
    };
    const over = (id: string): Promise<Run> =>
      service.until('the end of the run', async () => {
        const run = await service.get<Run>(`${base}/runs/${id}`);
        return isOver(run.state) ? run : undefined;
      });
    const evidenceOf = ({ result }: Run): Promise<Evidence> => service.get(`${base}/evidence/${result!['evidence']}`);

    expect(put(1)).toContain('Plan "portal", version 1');
    const nobody = await service.ask('POST', `${base}/drills`, { plan: 'portal' });
    expect(nobody).toMatchObject({ status: 409, body: { detail: expect.stringContaining('site-b') } });

    await scene.cluster.server.sql('CREATE ROLE eye LOGIN');
    await enrolAgentIn(service, scene.directory);
    startAgentAt(scene, service, scene.siteConfig(registry));
    const first = await service.until('an agent at the site', async () => {
      const { status, body } = await service.ask('POST', `${base}/drills`, { plan: 'portal' });
      return status === 201 ? (body as Run) : undefined;
    });
    const drilled = await over(first.id);
    expect(drilled, JSON.stringify(drilled.fault)).toMatchObject({
      state: 'succeeded',
      result: { outcome: 'succeeded', isDestroyed: true },
    });
    const evidence = await evidenceOf(drilled);
    expect(evidence).toMatchObject({ plan: 'portal', planVersion: 1, kind: 'drill', outcome: 'succeeded', runId: first.id });
    expect(evidence.rtoMs).toBeGreaterThan(0);
    expect(evidence.files.map(({ name }) => name)).toEqual(['pack.json', 'server-0.log', 'steps.txt']);
    expect(scene.left()).toEqual([]);

    const fetched = join(scene.directory, 'fetched');
    holdfast('evidence', 'get', evidence.id, '--output', fetched);
    const home = join(scene.directory, 'agent');
    expect(readFileSync(join(fetched, 'pack.json'))).toEqual(readFileSync(join(home, 'evidence', evidence.id, 'pack.json')));
    const { body } = JSON.parse(readFileSync(join(fetched, 'pack.json'), 'utf8')) as {
      body: { measurements: { kind: string; of: string }[] };
    };
    const looked = body.measurements.filter(({ kind }) => kind === 'fingerprint').map(({ of }) => of);
    expect(looked).toContain(`production of ${ASSET}`);
    const verify = ['evidence', 'verify', join(fetched, 'pack.json'), '--key', join(home, 'evidence-key.pub')];
    expect(execFileSync(PROGRAM, verify, { encoding: 'utf8' })).toContain('Verified');
    expect(readFileSync(join(fetched, 'report.zh.html'), 'utf8')).toContain('演练');
    writeFileSync(join(fetched, 'server-0.log'), 'nothing happened\n');
    expect(() => execFileSync(PROGRAM, verify, { encoding: 'utf8', stdio: 'pipe' })).toThrow(/status 4|Command failed/);

    // One that would never end by itself.
    put(2, (plan) => plan.smokeTests.push(step('endless', 'sleep 600', { limit: '10m' })));
    const second = await service.post<Run>(`${base}/drills`, { plan: 'portal' });
    expect(await service.ask('POST', `${base}/drills`, { plan: 'portal' })).toMatchObject({ status: 409 });
    await service.until('the endless step', async () => {
      const { progress } = await service.get<Run>(`${base}/runs/${second.id}`);
      return progress?.current?.startsWith('smoke.endless') ? true : undefined;
    });
    await service.post(`${base}/runs/${second.id}/cancel`, undefined);
    const canceled = await over(second.id);
    expect(canceled).toMatchObject({ state: 'canceled', result: { outcome: 'failed', isDestroyed: true } });
    expect((await evidenceOf(canceled)).outcome).toBe('failed');
    expect(scene.left()).toEqual([]);

    // No daemon of either site is up: a plan that could not be carried out now says so.
    await service.until('a look at the plan', async () => {
      const { readiness } = await service.get<StoredPlan>(`${base}/plans/portal`);
      if (readiness?.version === 2) return readiness;
      await service.ask('POST', `${base}/plans/portal/check`);
      return undefined;
    });
    const { readiness } = await service.get<StoredPlan>(`${base}/plans/portal`);
    expect(readiness).toMatchObject({ isReady: false });
    expect(readiness!.checks.map(({ what }) => what)).toContain('plan');
    const { items } = await service.get<{ items: { action: string; actor: string }[] }>(`${base}/audit?limit=200`);
    const said = items.map(({ action }) => action);
    for (const action of ['plan.create', 'plan.change', 'drill.start', 'evidence.store', 'run.cancel'])
      expect(said).toContain(action);
  },
);
