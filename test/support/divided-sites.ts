// Two sites and a witness that can be cut off from each other: three hosts with a member of etcd each, a store at each site, the daemons with
// their servers, a ledger of every acknowledged commit, and the command line at either site. One site's clocks began at another time.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FailoverJournal, JournalRegister } from '../../src/dr/failover-journal.ts';
import type { TestS3 } from './ceph.ts';
import { CommitLedger } from './commit-ledger.ts';
import { environmentOf, planFile, type Ran, runBeside, writePlan } from './failing-over.ts';
import { PlaceStores } from './place-stores.ts';
import { ThreePlaces } from './three-places.ts';
import { INCARNATION, type SiteName, TwoSites, until } from './two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const STEPPED_CLOCK = join(import.meta.dirname, 'stepped-clock.ts');
const LEASE = { ttl: '3s', margin: '2s' };
/** The lease with its drift, and the margin: whoever writes then does not write by a lease of before. */
export const OVER_MS = 3_060 + 2_000;
/** Whoever compared one host's clock with another's would be far off. */
const AHEAD = ['--boottime', '4000000', '--monotonic', '4000000'];

export function otherOf(site: SiteName): SiteName {
  return site === 'a' ? 'b' : 'a';
}

export class DividedSites {
  readonly places: ThreePlaces;
  readonly sites: TwoSites;
  readonly ledger: CommitLedger;
  readonly #stores: PlaceStores;
  readonly #aheadMs = new Map<SiteName, number>();

  static async create(programs: string, s3: TestS3): Promise<DividedSites> {
    const places = await ThreePlaces.create();
    let stores: PlaceStores | undefined;
    let sites: TwoSites | undefined;
    try {
      const opened = (stores = await PlaceStores.open(places, s3));
      sites = await TwoSites.create({
        programs,
        lease: LEASE,
        etcd: () => places.etcd,
        network: { listen: '0.0.0.0:7410', url: (of) => `http://${places.address(of)}:7410` },
        within: (site) => [
          ...places.within(site),
          ...(site === 'b' ? ['unshare', '-T', ...AHEAD] : []),
          ...steppable(places, site),
        ],
        location: (of) => opened.location(of),
        variables: opened.variables,
      });
      writePlan(sites, { lease: `ttl: ${LEASE.ttl}, margin: ${LEASE.margin}` });
      await sites.run();
    } catch (error) {
      await sites?.end();
      stores?.close();
      await places.end();
      throw error;
    }
    return new DividedSites(places, stores, sites);
  }

  private constructor(places: ThreePlaces, stores: PlaceStores, sites: TwoSites) {
    this.places = places;
    this.#stores = stores;
    this.sites = sites;
    this.ledger = new CommitLedger(sites);
  }

  async end(): Promise<void> {
    await this.ledger.stop();
    await this.sites.end();
    this.#stores.close();
    await this.places.end();
  }

  get journal(): JournalRegister {
    return new JournalRegister(this.sites.registry, 'portal');
  }

  async primary(): Promise<SiteName> {
    return (await this.sites.register.read()).record.holder.name as SiteName;
  }

  /** As an operator at that site types it. */
  holdfast(at: SiteName, words: readonly string[]): Promise<Ran> {
    return runBeside([...this.places.within(at), PROGRAM, ...words, '--config', this.sites.file(at)], environmentOf(this.sites));
  }

  /** Nothing that is stored from now on is in the listings of that site's store; or everything again. */
  holdListings(site: SiteName, isHeld: boolean): void {
    this.#stores.holdListings(site, isHeld ? Date.now() : undefined);
  }

  /** Offline, with the key of that site. */
  verify(evidence: string, of: SiteName): Promise<Ran> {
    const key = join(this.sites.configs[of].state, 'site-key.pub');
    return runBeside([PROGRAM, 'evidence', 'verify', evidence, '--key', key, '--json'], environmentOf(this.sites));
  }

  orchestrator(at: SiteName): ChildProcess {
    const run = [PROGRAM, 'failover', 'run', 'portal', '--config', this.sites.file(at)];
    const [program, ...words] = [...this.places.within(at), ...steppable(this.places, at), ...run];
    return spawn(program!, words, { env: environmentOf(this.sites), stdio: 'ignore' });
  }

  async declare(at: SiteName, kind: FailoverJournal['kind']): Promise<void> {
    const words = ['--plan', planFile(this.sites), '--kind', kind, '--reason', 'a round', '--by', 'wei', '--approve', 'lin'];
    // Who has just lost the leader of the quorum elects another one first; people declare it again until that is done.
    const { status, stdout, stderr } = await until('the registry takes a declaration', async () => {
      const said = await this.holdfast(at, ['failover', 'declare', ...words]);
      return said.stderr.includes('[REGISTRY_UNREACHABLE]') ? undefined : said;
    });
    if (status !== 0) throw new Error(`It was not declared: ${stdout}${stderr}`);
  }

  /** The clocks that can be set at that site; in ms, from now on. */
  stepClock(site: SiteName, aheadMs: number): void {
    this.#aheadMs.set(site, aheadMs);
    writeFileSync(clockFile(this.places, site), String(aheadMs));
  }

  aheadMs(site: SiteName): number {
    return this.#aheadMs.get(site) ?? 0;
  }

  /** Cut off from everything. `silently`: nobody's card knows it. */
  cutOff(site: SiteName, silently: boolean): void {
    for (const other of [otherOf(site), 'w'] as const) {
      if (silently) this.places.mute(site, other);
      if (silently) this.places.mute(other, site);
      if (!silently) this.places.pull(site, other);
    }
  }

  /** What a rejoin asks for, as long as it takes until the site can be asked. Answers where its divergence lies. */
  async rejoin(site: SiteName): Promise<string | null> {
    const words = ['failover', 'rejoin', 'portal', '--json'];
    const done = await until(`${site} has rejoined`, async () => {
      const { status, stdout } = await this.holdfast(otherOf(site), words);
      return status === 0 && stdout;
    });
    const records = done
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly kind: string; readonly divergence?: string | null });
    return records.find(({ kind }) => kind === 'rejoined')?.divergence ?? null;
  }

  async bothWell(): Promise<void> {
    await this.places.answering();
    const standby = otherOf(await this.primary());
    await until(`${standby} is a healthy standby`, async () => (await this.sites.status(standby)).standby?.isHealthy);
    await until(`${otherOf(standby)} is protected`, async () => {
      const { capture, gate } = await this.sites.status(otherOf(standby));
      return gate.role === 'primary' && gate.problem === null && capture !== null && capture.problem === null;
    });
  }

  /** Of the watchdogs of that site's daemon. */
  watchdogs(site: SiteName): readonly number[] {
    const parent = this.sites.daemon(site).pid;
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => parentOf(pid) === parent && commandOf(pid).includes('watchdog'))
      .map(Number);
  }

  /** What is told when a round has failed. */
  async state(): Promise<string> {
    const journal = await this.journal.find().catch(String);
    const record = await this.sites.register.read().catch(String);
    const at = await Promise.all(
      (['a', 'b'] as const).map(async (site) => [
        site,
        this.sites.daemon(site).output,
        await this.sites.status(site).catch(String),
      ]),
    );
    return JSON.stringify({ journal, record, at, incarnation: INCARNATION }, undefined, 1);
  }
}

function clockFile(places: ThreePlaces, site: SiteName): string {
  return join(places.directory, `clock-${site}`);
}

function steppable(places: ThreePlaces, site: SiteName): readonly string[] {
  return ['env', `NODE_OPTIONS=--import ${STEPPED_CLOCK}`, `HOLDFAST_TEST_CLOCK=${clockFile(places, site)}`];
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}
