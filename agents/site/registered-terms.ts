// What the register of writers holds of a database's lease, beside what the configuration says. They were read at its adoption; who changed the
// file since, and nothing else, would believe in a lease that nobody keeps. So a daemon that is told other terms does not begin, and they are
// changed where it can be proven that nobody writes by the old ones: at the site that holds the right, with its daemon and its server stopped.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import type { LeaseTerms } from '../../src/dr/lease-terms.ts';
import { relet, type WriterRecord } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { parseDuration } from '../../src/policy/duration.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { lockGate } from '../gate/gate-lock.ts';
import { mustSeeProcessesOf, processesIn } from '../gate/server-processes.ts';
import type { DatabaseConfig, SiteConfig } from './site-config.ts';

const TTL = '10s';
/** Far more than any working clock needs. */
const DRIFT = 0.02;

type Terms = Pick<WriterRecord, 'terms' | 'onLeaseLoss'>;

/** What the configuration says, with what it leaves out. */
export function termsOf({ lease, onLeaseLoss = 'stop' }: DatabaseConfig): Terms {
  const ttl = lease?.ttl ?? TTL;
  return { terms: { ttlMs: parseDuration(ttl)!, drift: DRIFT, marginMs: parseDuration(lease?.margin ?? ttl)! }, onLeaseLoss };
}

/** SITE_LEASE. What the configuration does not say is as it is registered. */
export function mustAgree(database: DatabaseConfig, record: WriterRecord): void {
  const said = termsOf(database);
  const differ = [
    ...(database.lease === undefined || isSame(said.terms, record.terms)
      ? []
      : [`its lease is ${textOf(record.terms)}, the configuration says ${textOf(said.terms)}`]),
    ...(database.onLeaseLoss === undefined || said.onLeaseLoss === record.onLeaseLoss
      ? []
      : [`when its lease ends it does "${record.onLeaseLoss}", the configuration says "${said.onLeaseLoss}"`]),
  ];
  if (differ.length > 0) throw new Fault('SITE_LEASE', `${database.asset} is registered otherwise: ${differ.join('; ')}`);
}

/** Before a daemon begins. What cannot be asked now is asked before each of its gates is opened. */
export async function mustAgreeAll(registry: Registry, { databases }: SiteConfig, signal: AbortSignal): Promise<void> {
  for (const database of databases) {
    const known = await new WriterRegister(registry, database.incarnation).find({ signal }).catch((error: unknown) => {
      if (isFault(error) && error.code === 'REGISTRY_UNREACHABLE') return undefined;
      throw error;
    });
    if (known !== undefined) mustAgree(database, known.record);
  }
}

/** SITE_REFUSED where another site holds the right, or a failover is under way; GATE_BUSY while the daemon or its server runs. */
export async function changeTerms(
  registry: Registry,
  { site, runtime }: SiteConfig,
  database: DatabaseConfig,
): Promise<WriterRecord> {
  const { asset, incarnation, dataDirectory } = database;
  makeDirectory(runtime, { mode: 0o755 });
  const unlock = lockGate(`${tokenFileOf(runtime, incarnation)}.lock`);
  try {
    mustBeStopped(dataDirectory);
    const answer = await new WriterRegister(registry, incarnation).change((record) => relet(record, site, termsOf(database)));
    if (!('refused' in answer)) return answer.record;
    const why = {
      superseded: 'another site holds the right to write: do it there',
      withheld: 'a failover is under way: let it finish, or undo it',
      'not claimed':
        'what was granted to this site was not taken up yet: start its daemon, and stop it when the database is written',
    };
    throw new Fault('SITE_REFUSED', `${asset}: ${why[answer.refused as keyof typeof why]}`);
  } finally {
    unlock();
  }
}

export function tokenFileOf(runtime: string, incarnation: string): string {
  return join(runtime, `${incarnation}.token`);
}

/** The proof that nobody writes by the old terms: no gate (its lock is ours), and nobody who works in the directory. */
function mustBeStopped(dataDirectory: string): void {
  if (!existsSync(dataDirectory))
    throw new Fault('SITE_REFUSED', `There is no data directory ${dataDirectory} here: look whose host this is`);
  mustSeeProcessesOf(statSync(dataDirectory).uid);
  const [running] = processesIn(dataDirectory);
  if (running !== undefined) throw new Fault('GATE_BUSY', `The process ${running} works in the data directory ${dataDirectory}`);
}

function isSame(a: LeaseTerms, b: LeaseTerms): boolean {
  return a.ttlMs === b.ttlMs && a.marginMs === b.marginMs;
}

function textOf({ ttlMs, marginMs }: LeaseTerms): string {
  return `${ttlMs / 1000}s with a margin of ${marginMs / 1000}s`;
}
