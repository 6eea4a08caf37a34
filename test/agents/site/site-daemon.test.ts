// Two real daemons with real servers: who may write, what is stored, and what survives.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { brokenSiteAudit, readSiteAudit } from '../../../agents/site/site-audit.ts';
import { endSites } from '../../support/end-sites.ts';
import { httpPeer } from '../../support/http-peer.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { mayMount, mountTmpfs, unmount } from '../../support/scratch.ts';
import { ASSET, TwoSites, until } from '../../support/two-sites.ts';

const TIMEOUT_MS = 120_000;
const FAILOVER = 'f1';
const programs = postgresPrograms();
const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });

describe.runIf(programs !== undefined)('Two site daemons', () => {
  let sites: TwoSites;
  const told = (site: 'a' | 'b'): string[] =>
    sites
      .daemon(site)
      .output.split('\n')
      .filter((line) => line.includes(`  ${ASSET}  `));
  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs!, variables: { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 'SK' } });
  }, TIMEOUT_MS);
  afterEach(({ task }) => endSites(sites, task), TIMEOUT_MS);

  it(
    'protect the database where it is written, copy it to the other site, and switch with every commit',
    async () => {
      await sites.run();
      const { a, b } = sites.clients();
      await until('A takes writes', () => sites.writes('a', 'last'));
      // By orchestrators at both sites at once, neither of which knows of the other.
      const [{ demotion, storedTo }, other] = await Promise.all(
        [a, sites.clients('a').a].map((site) => site.demote(ASSET, { epoch: 1, failover: FAILOVER }, call())),
      );
      expect(other).toEqual({ demotion, storedTo });
      expect(sites.isStopped('a')).toBe(true);
      expect(await a.demote(ASSET, { epoch: 1, failover: FAILOVER }, call())).toEqual({ demotion, storedTo });
      const at = { timeline: demotion.timeline, lsn: demotion.lsn };
      const sealed = await b.seal(ASSET, { epoch: 1, failover: FAILOVER, at }, call());
      expect(sealed.end).toEqual(at);
      const caughtUp = await b.catchUp(ASSET, at, call());
      expect(caughtUp.isChainVerified).toBe(true);
      const lost = await b.loss(ASSET, call());
      expect(lost.heartbeat?.sequence).toBeGreaterThan(0);
      await sites.grant('b', FAILOVER, at, 'demotion');
      const promoted = await b.promoted(ASSET, { epoch: 2, failover: FAILOVER }, call());
      expect(promoted).toMatchObject({ epoch: 2, timeline: 2, begins: { timeline: 1 } });
      // What its log tells of it, each once; figures and what passes are not in there.
      await until('its log tells that it is captured', () => told('b').some((line) => line.includes('capture:')));
      const events = told('b').join('\n');
      for (const [what, text] of [
        ['role', 'closed -> standby'],
        ['server', 'stopped -> standby on timeline 1, process \\d+'],
        ['promise', 'none -> to the holder of epoch 1'],
        ['seal', `.*epoch 1 sealed at ${at.lsn} of timeline 1 by the failover f1`],
        ['copy', 'running -> none'],
        ['role', 'standby -> primary of epoch 2'],
        ['server', 'standby on timeline 1, process \\d+ -> read-write on timeline 2, process \\d+'],
        ['capture', 'none -> epoch 2'],
      ])
        expect(events.match(new RegExp(`  ${ASSET}  ${what}: ${text}$`, 'gm')), `${what}: ${text}\n${events}`).toHaveLength(1);
      expect(told('b').length).toBeLessThan(30);
      const { sequence } = await b.writeTest(ASSET, call());
      expect(sequence).toBeGreaterThan(lost.heartbeat!.sequence);
      expect(await b.verifyPages(ASSET, call())).toMatchObject({ damaged: [] });
      const { base } = await until('a base of the new timeline', async () => {
        const answer = await b.protect(ASSET, { epoch: 2, failover: FAILOVER }, call());
        return answer.base === null ? undefined : answer;
      });
      expect((await sites.status('b')).base?.snapshot ?? base).toBe(base);
      expect(await sites.sql('b', 'SELECT word FROM kept ORDER BY id')).toEqual([['first'], ['last']]);
      expect(await sites.writes('a', 'forked')).toBe(false);
      const audit = readSiteAudit(readFileSync(join(sites.configs.b.state, 'audit.jsonl'), 'utf8'));
      expect(brokenSiteAudit(audit)).toBe(undefined);
      expect(audit.filter(({ outcome }) => outcome === 'done').map(({ verb }) => verb)).toContain('promoted');
    },
    TIMEOUT_MS,
  );

  it(
    'stop the writer of a revoked epoch, and seal what was copied; what the old primary writes later is not copied',
    async () => {
      sites.start('a');
      sites.start('b');
      await until('A takes writes', () => sites.writes('a', 'one'));
      await until('B has a whole copy', async () => (await sites.status('b')).replica?.state === 'following');
      await until('B has its log', async () => (await sites.status('b')).log ?? undefined);
      const { b } = sites.clients();
      const sealed = await b.seal(ASSET, { epoch: 1, failover: FAILOVER }, call());
      await sites.writes('a', 'too late');
      const { capture } = await until('A has stored it', async () => {
        const status = await sites.status('a');
        return status.capture !== null && status.capture.behindBytes === 0 ? status : undefined;
      });
      expect(capture).not.toBe(null);
      expect(await b.seal(ASSET, { epoch: 1, failover: FAILOVER }, call())).toEqual(sealed);
      // Another failover has no say, until this one is undone.
      await expect(b.seal(ASSET, { epoch: 1, failover: 'f2' }, call())).rejects.toMatchObject({ code: 'SITE_REFUSED' });
      await sites.daemon('b').kill();
      sites.start('b');
      await until('B is there again', () => sites.status('b'));
      expect((await sites.status('b')).sealed).toEqual(sealed);
      await b.unseal(ASSET, { epoch: 1, failover: FAILOVER }, call());
      await until('B copies again', async () => {
        const { log, sealed: now } = await sites.status('b');
        return now === null && log !== null && log.lsn !== sealed.end.lsn;
      });
    },
    TIMEOUT_MS,
  );

  it.runIf(mayMount())(
    'tell what keeps the copy from being made, and that it is over',
    async () => {
      const place = sites.configs.b.databases[0]!.repository.location;
      mkdirSync(place);
      mountTmpfs(place, '64m');
      try {
        sites.start('a');
        sites.start('b');
        await until('B has a whole copy', async () => (await sites.status('b')).replica?.state === 'following');
        const full = join(place, 'everything');
        expect(() => writeFileSync(full, Buffer.alloc(1 << 27))).toThrow('ENOSPC');
        await until('A takes writes', () => sites.writes('a', 'word'));
        const problem = await until('B says why', async () => (await sites.status('b')).replica?.problem ?? undefined);
        expect(problem).toContain('ENOSPC');
        rmSync(full);
        await until('B says nothing more', async () => (await sites.status('b')).replica?.problem === null);
      } finally {
        unmount(place);
      }
    },
    TIMEOUT_MS,
  );

  it(
    'revoke an epoch without waiting for the store of a site that is cut off without a word',
    async () => {
      const silent = await httpPeer(() => new Promise<void>(() => {}));
      const file = sites.file('b');
      const away = readFileSync(file, 'utf8').replace(
        /copyFrom: \{ location: [^,]+/,
        `copyFrom: { location: s3+${silent.endpoint}/bucket/repository`,
      );
      writeFileSync(file, away);
      sites.start('b');
      await until('B asks that store', () => silent.requests.length > 0);
      await sites.clients().b.revoke(ASSET, { epoch: 1, failover: FAILOVER }, call());
      expect(silent.requests).toHaveLength(1);
    },
    TIMEOUT_MS,
  );
});
