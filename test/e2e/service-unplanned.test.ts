// What the runbooks of a lost site ask for, through the service and typed by its people: undone when it was nothing, blocked without a proof until
// two break the glass, the loss told to the row, the old primary back as a standby, and home again. Real daemons, servers, service and agent.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import type { Evidence } from '../../src/model/evidence.ts';
import type { Failover } from '../../src/model/failover.ts';
import { parseVerifyKey } from '../../src/trust/audit-key.ts';
import { CommitLedger } from '../support/commit-ledger.ts';
import { endSites } from '../support/end-sites.ts';
import { writePlan } from '../support/failing-over.ts';
import { FailoverService } from '../support/failover-service.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { type Loss, mustBeTold } from '../support/told-loss.ts';
import { ASSET, type SiteName, TwoSites, until } from '../support/two-sites.ts';

const TIMEOUT_MS = 240_000;
const PEOPLE = ['wei', 'lin', 'chen'];
/** Whoever pulls the plug is not reached, and the plan does not believe in the end of a lease. */
const FENCING = 'proofs: [demotion, power-off], powerOff: [/usr/bin/false], readBack: [/usr/bin/true], limit: 1m';
const NO_PROOF = 'no power-off that was read back by another way';
const programs = postgresPrograms();

describe.runIf(programs !== undefined)('A failover that nobody has planned, through the service', () => {
  let sites: TwoSites;
  let ledger: CommitLedger;
  let service: FailoverService;

  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs! });
    writePlan(sites, { fencing: FENCING });
    await sites.run();
    ledger = new CommitLedger(sites);
  }, TIMEOUT_MS);

  afterEach(async ({ task }) => {
    await ledger?.stop();
    await endSites(sites, task);
  }, TIMEOUT_MS);

  it(
    'is undone, blocked until two break the glass, told to the row, rejoined and taken home',
    async () => {
      service = await FailoverService.start(sites, PEOPLE);
      service.startAgent();

      const undone = await ask('unplanned', 'A does not answer');
      await service.blocked(undone, NO_PROOF);
      await until('A has stopped: nobody renews its lease', () => sites.isStopped('a'));
      await service.type('wei', 'failover', 'take-back', undone.id, '--reason', 'it was a cable', '--follow');
      expect(await service.carriedOut(undone)).toMatchObject({ state: 'succeeded', result: { state: 'undone' } });
      expect(await service.show(undone)).toMatchObject({ state: 'undone', approvers: [loginOf('lin'), loginOf('chen')] });
      await writesAt('a');

      await sites.daemon('a').kill();
      await until('its server has stopped', () => sites.isStopped('a'));
      const lost = await ask('unplanned', 'A burns');
      await service.blocked(lost, NO_PROOF);
      const [glass] = await service.type('wei', 'failover', 'request-glass', lost.id, '--reason', 'seen burnt down');
      await approve(String(glass!['id']), 'lin');
      expect((await service.show(lost)).state).toBe('declared');
      await approve(String(glass!['id']), 'chen');
      expect(await service.carriedOut(lost)).toMatchObject({ state: 'succeeded', result: { state: 'normal', from: 'a', to: 'b' } });
      await writesAt('b');
      const { journal } = await service.show(lost);
      expect(journal!.glass).toMatchObject({ persons: [loginOf('lin'), loginOf('chen')], reason: 'seen burnt down' });
      await provenBy(lost, 'b');

      const missing = await ledger.missingAt('b', ledger.since(0, 'a'));
      sites.start('a');
      await until('A knows that it is not the primary', async () => (await sites.status('a')).gate.role === 'closed');
      const rejoined = await reattach(lost);
      mustBeTold(missing, lossOf(journal!), rejoined);

      const home = await ask('failback', 'A was rebuilt', ['chen']);
      expect(await service.carriedOut(home)).toMatchObject({ state: 'succeeded', result: { state: 'normal', from: 'b', to: 'a' } });
      await writesAt('a');
      await provenBy(home, 'b');
      await ledger.stop();
      const given = new Set(missing.map(({ word }) => word));
      expect(
        await ledger.missingAt(
          'a',
          ledger.commits.filter(({ word }) => !given.has(word)),
        ),
      ).toEqual([]);
      expect(CommitLedger.turns(ledger.commits)).toBe(2);
      const listed = await service.type('lin', 'failover', 'list');
      expect(listed.map(({ state }) => state)).toEqual(['normal', 'normal', 'undone']);
    },
    TIMEOUT_MS,
  );

  /** By one of them, approved by these. */
  async function ask(kind: Failover['kind'], reason: string, approvers = ['lin', 'chen']): Promise<Failover> {
    const asked = await service.request('wei', kind, reason);
    for (const person of approvers) await approve(asked.approvalId, person);
    return asked;
  }

  async function approve(approval: string, person: string): Promise<void> {
    await service.type(person, 'approval', 'approve', approval);
  }

  function loginOf(person: string): unknown {
    return expect.stringContaining(person);
  }

  async function writesAt(site: SiteName): Promise<void> {
    expect(readFileSync(join(sites.scratch, 'active'), 'utf8').trim()).toBe(site);
    const from = ledger.commits.length;
    await until(`${site} writes`, () => ledger.since(from, site).length > 5);
  }

  function lossOf({ actions }: NonNullable<Failover['journal']>): Loss {
    const shown = actions.find(({ id }) => id === 'show-loss') as { facts: { losses: Record<string, Loss> } };
    return shown.facts.losses[ASSET]!;
  }

  /** Kept by the service, and verified by nothing but a key. */
  async function provenBy(failover: Failover, key: SiteName): Promise<void> {
    const { result } = await service.carriedOut(failover);
    const evidence = await service.served.get<Evidence>(`${service.base}/evidence/${result!['evidence']}`);
    expect(evidence).toMatchObject({ kind: failover.kind, outcome: 'succeeded' });
    const file = await service.served.ask('GET', `${service.base}/evidence/${evidence.id}/file`);
    const trusted = [parseVerifyKey(readFileSync(join(sites.configs[key].state, 'site-key.pub'), 'utf8'))!];
    const verified = verifyEvidence({ text: Buffer.from(String(file.body)), trusted, attachment: () => undefined });
    expect(verified).toMatchObject({ problems: [], isTrusted: true });
  }

  /** Answers where its divergence lies. */
  async function reattach(failover: Failover): Promise<string | null> {
    const [run] = await service.type('wei', 'failover', 'reattach', failover.id, '--follow');
    const { rejoined } = run!['result'] as { readonly rejoined: readonly { readonly divergence: string | null }[] };
    return rejoined[0]!.divergence;
  }
});
