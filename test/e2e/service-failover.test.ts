// A planned switch through the service: asked for by one, approved by another, carried out by an agent at the other site while a client writes,
// which is killed in the middle, decided on at a gate, and shown with the time of each transition. Two real site daemons, real servers, a real service, a real agent.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import type { Evidence } from '../../src/model/evidence.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { parseVerifyKey } from '../../src/trust/audit-key.ts';
import { endSites } from '../support/end-sites.ts';
import { type RoutedClient, readyToFail } from '../support/failing-over.ts';
import { FailoverService } from '../support/failover-service.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { TwoSites, until } from '../support/two-sites.ts';

const TIMEOUT_MS = 180_000;
const GATE = 'database.before.ask';
const LIN = 'lin@default';
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
    await endSites(sites, task);
  }, TIMEOUT_MS);

  it(
    'that is planned loses no row that was acknowledged, and its journal and evidence are kept by the service',
    async () => {
      const gate = '    before:\n      - { name: ask, gate: Go on?, limit: 5m }\n    members:';
      const people = await FailoverService.start(sites, ['wei', 'lin'], (text) => text.replace('    members:', gate));
      const { served: service, base } = people;
      const agent = people.startAgent();

      const asked = await people.request('wei', 'planned', 'works');
      await people.type('lin', 'approval', 'approve', asked.approvalId);
      await people.blocked(asked, GATE);
      const gone = new Promise((resolve) => agent.once('exit', resolve));
      agent.kill('SIGKILL');
      await gone;
      people.startAgent();
      await people.type('lin', 'failover', 'answer', asked.id, GATE, '--yes');
      const run = await people.carriedOut(asked);
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

      const shown = await people.show(asked);
      expect(shown).toMatchObject({ state: 'normal', approvers: [LIN], journal: { from: 'a', to: 'b', blockedBy: [] } });
      expect(shown.journal!.decisions).toMatchObject([{ action: GATE, answer: 'yes', by: LIN }]);
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
