// Drills: run one, tell whether one is due.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runDrill } from '../../agents/drill/drill.ts';
import type { DrillResult, Fingerprint, StandingStandby } from '../../agents/drill/drill-options.ts';
import { pastDrills } from '../../agents/drill/past-drills.ts';
import { repositoryFingerprint } from '../../agents/drill/repository-fingerprint.ts';
import { readSiteConfig, type SiteConfig } from '../../agents/site/site-config.ts';
import { EXIT } from '../base/faults.ts';
import { drillDue } from '../evidence/drill-due.ts';
import { openSigningKey } from '../trust/audit-key.ts';
import { attestationsOf } from './drill-attestations.ts';
import { productionOf, standbyOf } from './drill-production.ts';
import { pairOf, withSources } from './drill-sources.ts';
import type { ViewWish } from './drill-watcher.ts';
import { momentOf } from './moment.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { PROGRAM } from './pg-target.ts';
import { planOf } from './plan.ts';
import { publicKeyIn } from './public-key.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

export const EVIDENCE_KEY = 'evidence-key';
/** As the site daemon calls its key. */
const SITE_KEY = 'site-key';
const WATCHER = join(import.meta.dirname, 'drill-watcher.ts');

export async function drillRun(invocation: Invocation): Promise<number> {
  const { args, options, output, signal } = invocation;
  const plan = planOf(args[0]!);
  const must = (name: string): string => {
    const value = options.text(name);
    if (value === undefined) throw usage(`"holdfast drill run" needs --${name} DIR`);
    return resolve(value);
  };
  const pair = openSigningKey(must('key-dir'), EVIDENCE_KEY);
  const id = `drl_${new Date().toISOString().slice(0, 19).replace(/[-:]/g, '')}_${randomBytes(6).toString('hex')}`.toLowerCase();
  const evidence = join(must('evidence-dir'), id);
  const disaster = momentOf(options.text('at'));
  const programs = options.texts('bin-dir').map((directory) => resolve(directory));
  const file = options.text('preempt-file');
  const given = attestationsOf(options.text('attestations'));
  const site = options.text('config');
  const config = site === undefined ? undefined : siteConfigIn(site);
  return withSources(invocation, plan, config, id, async ({ sources, storeWrites, addresses, directories }) => {
    const result = await runDrill({
      id,
      plan,
      tenant: options.text('tenant') ?? 'default',
      program: versionText(),
      sources,
      ...(disaster === undefined ? {} : { disaster }),
      evidence,
      scratch: resolve(options.text('directory') ?? tmpdir()),
      programs,
      pair,
      heartbeatKeys: [...options.texts('heartbeat-key').map(publicKeyIn), ...(config === undefined ? [] : keysOf(config))],
      helper: PROGRAM,
      watcher: WATCHER,
      view: {
        plan: plan.name,
        ...(file === undefined ? {} : { file: resolve(file) }),
        ...(site === undefined ? {} : { site: resolve(site) }),
      } satisfies ViewWish,
      fingerprints: [
        ...sources.map(({ repository, asset }) => repositoryFingerprint(repository, asset)),
        ...(await productionsOf(invocation)),
      ],
      standbys: standbysOf(invocation),
      storeWrites,
      addresses,
      directories,
      secrets: secretsOf(invocation, config),
      given,
      threads: threadsOf(options),
      signal,
      now: () => new Date(),
      onAction: (action, text) => {
        output.record('action', { action, text });
        output.flush();
        output.notice(`${action}: ${text}`);
      },
    });
    report(output, id, result);
    return result.outcome === 'succeeded' ? 0 : result.outcome === 'void' ? EXIT.damage : EXIT.failed;
  });
}

/** Exit status 3 when one is due. */
export async function drillDueOf({ args, options, output }: Invocation): Promise<number> {
  const plan = planOf(args[0]!);
  const directory = options.text('evidence-dir');
  if (directory === undefined) throw usage('"holdfast drill due" needs --evidence-dir DIR');
  const trusted = options.texts('key').map(publicKeyIn);
  if (trusted.length === 0) throw usage('"holdfast drill due" needs --key FILE: evidence counts when somebody vouches for its key');
  const past = existsSync(directory) ? pastDrills(directory, plan, trusted) : [];
  for (const one of past) {
    output.record('drill', one);
    output.line(`${one.at}  ${one.drill}  ${one.outcome}${one.isSamePlan ? '' : ' (another version of the plan, or none)'}`);
  }
  const due = drillDue(plan, past, new Date());
  output.line(
    `${plan.name}: a drill is ${due.isDue ? 'DUE' : 'not due'}: ${due.why}${due.dueAt === null ? '' : ` (${due.dueAt})`}`,
  );
  output.summary('drill due', {
    plan: plan.name,
    isDue: due.isDue,
    why: due.why,
    dueAt: due.dueAt,
    last: due.last?.drill ?? null,
    lastOutcome: due.last?.outcome ?? null,
    lastSucceededAt: due.lastSucceeded?.at ?? null,
  });
  return due.isDue ? EXIT.warnings : 0;
}

function report(output: Output, id: string, { outcome, endedBy, failed, isDestroyed, claims, pack }: DrillResult): void {
  const value = (name: string) => claims.claims.find((one) => one.id === name)?.value;
  const words = { succeeded: 'has succeeded', failed: 'has FAILED', void: 'is VOID: it proves nothing' }[outcome];
  const consistencies = claims.claims.flatMap((one) => (one.id === 'consistency' ? [one.value] : []));
  output.line(`The drill ${id} ${words}${endedBy === undefined ? '' : ` (${endedBy})`}`);
  if (failed !== undefined) output.line(`  failed: ${failed}`);
  const measured = (ms: unknown): string => (ms === undefined ? 'not measured' : `${ms} ms`);
  output.line(`  RPO ${measured(value('rpo')?.ms)}, RTO ${measured(value('rto')?.ms)}`);
  for (const { group, reached, spreadMs, declared, isKept } of consistencies)
    output.line(
      `  group ${group}: consistency ${reached}, ${spreadMs ?? 'not measured'} ms apart${isKept === true ? '' : `; ${declared} was declared and is NOT KEPT`}`,
    );
  for (const { edition, level } of claims.levels) output.line(`  ${edition}: level ${level}`);
  output.line(`  ${isDestroyed ? 'everything of it is destroyed' : 'NOT everything of it is destroyed'}; evidence: ${pack}`);
  output.summary('drill run', {
    id,
    outcome,
    endedBy: endedBy ?? null,
    failed: failed ?? null,
    isDestroyed,
    rpoMs: value('rpo')?.ms ?? null,
    rtoMs: value('rto')?.ms ?? null,
    isolation: value('isolation') ?? null,
    consistency: consistencies,
    levels: claims.levels.map(({ edition, level }) => ({ edition, level })),
    pack,
  });
}

function productionsOf(invocation: Invocation): Promise<Fingerprint[]> {
  return Promise.all(invocation.options.texts('production').map((text) => productionOf(invocation, ...pairOf('production', text))));
}

function standbysOf(invocation: Invocation): StandingStandby[] {
  return invocation.options.texts('standby').map((text) => standbyOf(invocation, ...pairOf('standby', text)));
}

/** What this process may read, and no step of a plan. */
function secretsOf({ options, environment }: Invocation, config: SiteConfig | undefined): string[] {
  const named = ['key-dir', 'evidence-dir', 'cache-dir', 'passphrase-file'].map((name) => options.text(name));
  const places = config?.databases.flatMap(({ repository, copyFrom }) => [repository, copyFrom]) ?? [];
  const known = [config?.state, ...places.map((place) => place?.passphraseFile)];
  const all = [...named, environment.cacheDirectory, environment.variables.HOLDFAST_PASSPHRASE_FILE, ...known];
  return all.flatMap((path) => (path === undefined || path === '' ? [] : [resolve(path)]));
}

/** The daemons of all sites sign heartbeats. */
function keysOf({ state, peers = [] }: SiteConfig): Uint8Array[] {
  const file = join(state, `${SITE_KEY}.pub`);
  return [
    ...(existsSync(file) ? [publicKeyIn(file)] : []),
    ...peers.map(({ key }) => new Uint8Array(Buffer.from(key, 'base64url'))),
  ];
}

function siteConfigIn(file: string): SiteConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The configuration ${file} cannot be read: ${(error as Error).message}`);
  }
  return readSiteConfig(text, file);
}
