// What the verbs of failovers work with, from the configuration of the site daemon: registry, sites, keys, and where evidence is kept.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootMs } from '../../agents/gate/boot-clock.ts';
import { openSiteRegistry, siteClients } from '../../agents/site/site-clients.ts';
import { readSiteConfig, type SiteConfig } from '../../agents/site/site-config.ts';
import { Fault } from '../base/faults.ts';
import { steadyClock } from '../base/steady-clock.ts';
import { JournalRegister, planOfFailover } from '../dr/failover-journal.ts';
import type { SiteControl } from '../dr/site-control.ts';
import { keepEvidenceIn } from '../orchestrator/keep-evidence.ts';
import { keptPlan } from '../orchestrator/kept-plan.ts';
import type { KeepEvidence, OrchestratorPorts } from '../orchestrator/ports.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { parsePlan } from '../plan/read-plan.ts';
import type { Registry } from '../registry/registry.ts';
import { openSigningKey } from '../trust/audit-key.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

/** As the site daemon calls its key. */
const KEY = 'site-key';

export type FailoverSite = {
  readonly config: SiteConfig;
  readonly registry: Registry;
  readonly site: (name: string) => SiteControl;
  readonly incarnationOf: (asset: string) => string | undefined;
  /** Of all sites: their daemons sign heartbeats. */
  readonly trusted: readonly Uint8Array[];
};

export async function withSite<T>(invocation: Invocation, work: (site: FailoverSite) => Promise<T>): Promise<T> {
  const config = configOf(invocation);
  const pair = openSigningKey(config.state, KEY);
  const registry = openSiteRegistry(config);
  const clients = siteClients(config, pair, randomBytes);
  const site = (name: string): SiteControl => {
    const client = clients.get(name);
    if (client === undefined) throw new Fault('SITE_UNREACHABLE', `The site "${name}" is none of the peers of "${config.site}"`);
    return client;
  };
  const trusted = [pair.verifyKey, ...(config.peers ?? []).map(({ key }) => new Uint8Array(Buffer.from(key, 'base64url')))];
  const incarnationOf = (asset: string): string | undefined => config.databases.find((one) => one.asset === asset)?.incarnation;
  try {
    return await work({ config, registry, site, incarnationOf, trusted });
  } finally {
    for (const client of clients.values()) client.close();
    await registry.close();
  }
}

/** Of the failover that is named, by its id or by its plan: the newest. From then on it is that one and no other. FAILOVER_NONE, FAILOVER_OVER. */
export async function journalOf(
  { registry }: FailoverSite,
  named: string,
): Promise<{ readonly journal: JournalRegister; readonly plan: PlanDocument }> {
  const plan = await planOfFailover(registry, named);
  const known = await new JournalRegister(registry, plan ?? named, plan === undefined ? undefined : named).read();
  const { id, plan: name, planDigest } = known.journal;
  return { journal: new JournalRegister(registry, name, id), plan: await keptPlan(registry, name, planDigest) };
}

export async function orchestratorPorts(site: FailoverSite, named: string, keepEvidence: KeepEvidence): Promise<OrchestratorPorts> {
  return {
    ...(await journalOf(site, named)),
    registry: site.registry,
    site: site.site,
    trusted: site.trusted,
    now: steadyClock(() => new Date(), bootMs),
    nowMs: bootMs,
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
    keepEvidence,
  };
}

export function evidenceKeeper({ options }: Invocation, { config }: FailoverSite): KeepEvidence {
  return keepEvidenceIn(options.text('evidence-dir') ?? join(config.state, 'evidence'), {
    tenant: options.text('tenant') ?? 'default',
    program: versionText(),
    pair: openSigningKey(config.state, KEY),
  });
}

function configOf({ options }: Invocation): SiteConfig {
  const file = options.text('config');
  if (file === undefined) throw usage('The configuration of the site daemon was not named', 'Give --config FILE.');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The configuration ${file} cannot be read: ${(error as Error).message}`);
  }
  return readSiteConfig(text, file);
}

export function planOf({ options, verb }: Invocation): PlanDocument {
  const file = options.text('plan');
  if (file === undefined) throw usage(`"holdfast ${verb.name}" needs --plan FILE`);
  try {
    return parsePlan(readFileSync(file, 'utf8'), file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw usage(`The plan ${file} cannot be read: ${(error as Error).message}`);
  }
}
