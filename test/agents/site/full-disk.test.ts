// A disk that is full where a site keeps what it must not lose: nothing is written in part without a word, what is waited for says why, and it
// goes on when there is room.

import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { closeGate } from '../../../agents/gate/token-file.ts';
import { brokenSiteAudit, readSiteAudit, SiteAudit } from '../../../agents/site/site-audit.ts';
import { JournalRegister } from '../../../src/dr/failover-journal.ts';
import { CommitLedger } from '../../support/commit-ledger.ts';
import { endSites } from '../../support/end-sites.ts';
import { environmentOf, planFile, runBeside, writePlan } from '../../support/failing-over.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { mayMount, mountTmpfs, scratchDirectory, unmount } from '../../support/scratch.ts';
import { type Loss, mustBeTold } from '../../support/told-loss.ts';
import { ASSET, TwoSites, until } from '../../support/two-sites.ts';

const TIMEOUT_MS = 240_000;
const PROGRAM = join(import.meta.dirname, '../../../bin/holdfast');
const programs = postgresPrograms();
const isAllowed = mayMount();

function smallDisk(path: string, size: string): void {
  mkdirSync(path, { recursive: true });
  mountTmpfs(path, size);
  onTestFinished(() => unmount(path));
}

/** Answers what makes room again. */
function fill(directory: string, leave = 0): () => void {
  const path = join(directory, 'filler');
  const file = openSync(path, 'w');
  try {
    const { bavail, bsize } = statfsSync(directory);
    for (let left = bavail - leave / bsize; left > 0; left--) writeSync(file, Buffer.alloc(bsize));
  } catch {
    // Somebody else writes there, too.
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}

describe.runIf(isAllowed)('On a disk that is about to be full', () => {
  it('the configuration of a server is closed whole, or stays as it was', () => {
    const disk = scratchDirectory();
    smallDisk(disk, '1m');
    const before = `# ${'x'.repeat(60)}\n`.repeat(1000);
    const path = join(disk, 'postgresql.conf');
    writeFileSync(path, before);
    const makeRoom = fill(disk, 8192);
    expect(() => closeGate(disk, '/run/token')).toThrow(`There is no room left for "${path}"`);
    expect(readFileSync(path, 'utf8')).toBe(before);
    makeRoom();
    closeGate(disk, '/run/token');
    expect(readFileSync(path, 'utf8')).toContain("include '/run/token'");
  });

  it('the audit of a site holds every command that it has taken on, and no half of another', () => {
    const disk = scratchDirectory();
    smallDisk(disk, '1m');
    const path = join(disk, 'audit.jsonl');
    const audit = new SiteAudit(path, () => new Date());
    let taken = 0;
    const append = (): void => {
      audit.append({ from: 'b', verb: 'seal', asset: 'pg/portal', argument: { n: taken }, outcome: 'begun' });
      taken++;
    };
    append();
    const makeRoom = fill(disk, 4096);
    expect(() => {
      for (;;) append();
    }).toThrow(`There is no room left for "${path}"`);
    makeRoom();
    for (let n = 0; n < 3; n++) append();
    audit.close();
    const entries = readSiteAudit(readFileSync(path, 'utf8'));
    expect(entries.map(({ argument }) => argument)).toEqual(Array.from({ length: taken }, (_, n) => ({ n })));
    expect(brokenSiteAudit(entries)).toBe(undefined);
  });
});

describe.runIf(isAllowed && programs !== undefined)('A failover to a site whose disk is full', () => {
  it(
    'says what is full where, goes on when there is room, and loses nothing; nor does the way back',
    async ({ task }) => {
      const sites = await TwoSites.create({ programs: programs! });
      onTestFinished(() => endSites(sites, task));
      const seals = join(sites.configs.b.state, 'seals');
      const copy = sites.configs.b.databases[0]!.repository.location;
      const divergence = join(sites.configs.a.state, 'divergence');
      for (const [path, size] of [
        [seals, '40m'],
        [copy, '200m'],
        [divergence, '64m'],
      ] as const)
        smallDisk(path, size);
      writePlan(sites);
      await sites.run();
      const ledger = new CommitLedger(sites);
      const typed = (...words: string[]) =>
        runBeside([PROGRAM, 'failover', ...words, '--config', sites.file('b'), '--json'], environmentOf(sites));
      const blockedBy = async () => (await new JournalRegister(sites.registry, 'portal').read()).journal.blockedBy.join();
      await until('the client writes', () => ledger.commits.length > 5);

      const makeRoomForLog = fill(copy);
      const known = ledger.commits.length;
      await until('A has more than B can take', () => ledger.commits.length > known + 20);
      await sites.daemon('a').kill();
      await until('A has stopped', () => sites.isStopped('a'));
      const makeRoom = fill(seals);
      await until('B says that it has no room', async () => (await sites.status('b')).noRoom?.includes(`in "${seals}"`));
      const why = ['--kind', 'unplanned', '--reason', 'it burns', '--by', 'wei', '--approve', 'lin'];
      expect((await typed('declare', '--plan', planFile(sites), ...why)).status).toBe(0);
      const running = typed('run', 'portal', '--wait');
      await until('it says where', async () => (await blockedBy()).includes(`There is no room left for "${seals}/`));
      makeRoom();
      await until('it says what it waits for', async () =>
        /b has trouble with .*ENOSPC/.test((await typed('status', 'portal')).stdout),
      );
      makeRoomForLog();
      const { status, stdout } = await running;
      expect(status, stdout).toBe(0);
      await until('the client writes at B', () => ledger.since(0, 'b').length > 5);

      const makeRoomAtA = fill(divergence);
      sites.start('a');
      await until('A knows that it is not the primary', async () => (await sites.status('a')).gate.role === 'closed');
      const refused = await typed('rejoin', 'portal');
      expect(refused).toMatchObject({ status: 1, stdout: expect.stringContaining('TARGET_FULL') });
      expect(refused.stdout).toContain(`There is no room left at a in ${divergence}`);
      makeRoomAtA();
      expect((await typed('rejoin', 'portal')).status).toBe(0);
      const missing = await ledger.missingAt('b', ledger.since(0, 'a'));
      expect(missing.length).toBeGreaterThan(0);
      const { losses } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { losses: Record<string, Loss> };
      mustBeTold(missing, losses[ASSET]!, exported(sites));
      await ledger.stop();
    },
    TIMEOUT_MS,
  );
});

/** What only A had. */
function exported({ configs }: TwoSites): string {
  const directory = join(configs.a.state, 'divergence');
  return join(directory, readdirSync(directory)[0]!);
}
