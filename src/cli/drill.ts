// Drills: run one, tell whether one is due.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runDrill } from '../../agents/drill/drill.ts';
import type { DrillResult, DrillSource, Fingerprint, StandingStandby, StoreWrite } from '../../agents/drill/drill-options.ts';
import { repositoryFingerprint } from '../../agents/drill/repository-fingerprint.ts';
import { EXIT } from '../base/faults.ts';
import { microsOfText } from '../model/instant-text.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { Repository } from '../repository/repository.ts';
import { parseLocation } from '../store/location.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { readOnly } from '../store/read-only.ts';
import { openSigningKey, parseVerifyKey } from '../trust/audit-key.ts';
import { attestationsOf } from './drill-attestations.ts';
import { productionOf, standbyOf } from './drill-production.ts';
import type { ViewWish } from './drill-watcher.ts';
import { cacheDirectoryOf, locationOf, openStoreOf, processFacts } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import { PROGRAM } from './pg-target.ts';
import { planOf } from './plan.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

export const EVIDENCE_KEY = 'evidence-key';
const WATCHER = join(import.meta.dirname, 'drill-watcher.ts');
const PROBE_TIMEOUT_MS = 10_000;

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
  const programs = options.text('bin-dir');
  const heartbeatKeys = options.texts('heartbeat-key').map(keyIn);
  const file = options.text('preempt-file');
  const view: ViewWish = file === undefined ? {} : { file: resolve(file) };
  const given = attestationsOf(options.text('attestations'));
  return withSources(invocation, plan, async (sources, stores) => {
    const result = await runDrill({
      id,
      plan,
      tenant: options.text('tenant') ?? 'default',
      program: versionText(),
      sources,
      ...(disaster === undefined ? {} : { disaster }),
      evidence,
      scratch: resolve(options.text('directory') ?? tmpdir()),
      ...(programs === undefined ? {} : { programs }),
      pair,
      heartbeatKeys,
      helper: PROGRAM,
      watcher: WATCHER,
      view,
      fingerprints: [
        ...sources.map(({ repository, asset }) => repositoryFingerprint(repository, asset)),
        ...(await productionsOf(invocation)),
      ],
      standbys: standbysOf(invocation),
      storeWrites: [...stores].flatMap((store) => (isBucket(store) ? [storeWriteOf(store, id)] : [])),
      addresses: [...stores].flatMap(addressOf),
      directories: [...stores].flatMap((store) => (isBucket(store) ? [] : [store.location])),
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

function report(output: Output, id: string, { outcome, endedBy, isDestroyed, claims, pack }: DrillResult): void {
  const value = (name: string) => claims.claims.find((one) => one.id === name)?.value;
  const words = { succeeded: 'has succeeded', failed: 'has FAILED', void: 'is VOID: it proves nothing' }[outcome];
  output.line(`The drill ${id} ${words}${endedBy === undefined ? '' : ` (${endedBy})`}`);
  output.line(`  RPO ${value('rpo')?.ms ?? 'not measured'} ms, RTO ${value('rto')?.ms ?? 'not measured'} ms`);
  for (const { edition, level } of claims.levels) output.line(`  ${edition}: level ${level}`);
  output.line(`  ${isDestroyed ? 'everything of it is destroyed' : 'NOT everything of it is destroyed'}; evidence: ${pack}`);
  output.summary('drill run', {
    id,
    outcome,
    endedBy: endedBy ?? null,
    isDestroyed,
    rpoMs: value('rpo')?.ms ?? null,
    rtoMs: value('rto')?.ms ?? null,
    isolation: value('isolation') ?? null,
    levels: claims.levels.map(({ edition, level }) => ({ edition, level })),
    pack,
  });
}

/** Each repository once, over a store that can only be read; closed at the end. */
async function withSources<T>(
  invocation: Invocation,
  plan: PlanDocument,
  work: (sources: readonly DrillSource[], stores: ReadonlySet<ObjectStore>) => Promise<T>,
): Promise<T> {
  const { options, environment, output } = invocation;
  const assets = plan.groups.flatMap(({ members }) => members.flatMap(({ kind, asset }) => (kind === 'postgres' ? [asset] : [])));
  const named = new Map(options.texts('for').map((text) => pairOf('for', text)));
  for (const asset of named.keys()) if (!assets.includes(asset)) throw usage(`The plan has no database "${asset}"`);
  const passphraseFile = options.text('passphrase-file');
  const passphrase = await readPassphrase({ ...REPOSITORY_PASSPHRASE, file: passphraseFile, isNew: false }, environment, output);
  const stores = new Map<string, ObjectStore>();
  const repositories = new Map<string, Repository>();
  try {
    for (const asset of assets) {
      const location = named.get(asset) ?? locationOf(options, environment);
      if (repositories.has(location)) continue;
      const store = await openStoreOf(invocation, location, false);
      stores.set(location, store);
      const cacheDirectory = cacheDirectoryOf(invocation);
      repositories.set(
        location,
        await Repository.open({ store: readOnly(store), passphrase, cacheDirectory, process: processFacts() }),
      );
    }
    const sources = assets.map((asset) => ({
      asset,
      repository: repositories.get(named.get(asset) ?? locationOf(options, environment))!,
    }));
    return await work(sources, new Set(stores.values()));
  } finally {
    for (const repository of repositories.values()) await repository.close();
    for (const [location, store] of stores) if (!repositories.has(location)) await store.close();
  }
}

/** With the very credentials that this process has: it must be refused. */
function storeWriteOf(store: ObjectStore, id: string): StoreWrite {
  const key = `drill-probe/${id}`;
  return {
    of: store.location,
    how: 'PUT of an object, with the credentials of the drill',
    attempt: async () => {
      try {
        await store.put(key, Buffer.from(id), { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      } catch (error) {
        return { isReached: false, text: error instanceof Error ? error.message : String(error) };
      }
      await store.delete(key).catch(() => {});
      return { isReached: true, text: `wrote ${key}` };
    },
  };
}

function isBucket({ location }: ObjectStore): boolean {
  return parseLocation(location).kind !== 'directory';
}

function addressOf({ location }: ObjectStore): string[] {
  const parsed = parseLocation(location);
  if (parsed.kind === 'directory') return [];
  const { hostname, port, protocol } = new URL(parsed.endpoint);
  return [`${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`];
}

function productionsOf(invocation: Invocation): Promise<Fingerprint[]> {
  return Promise.all(invocation.options.texts('production').map((text) => productionOf(invocation, ...pairOf('production', text))));
}

function standbysOf(invocation: Invocation): StandingStandby[] {
  return invocation.options.texts('standby').map((text) => standbyOf(invocation, ...pairOf('standby', text)));
}

/** "ASSET=VALUE". */
function pairOf(option: string, text: string): [asset: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`--${option} must be ASSET=VALUE; "${text}" is not`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function keyIn(file: string): Uint8Array {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
  const key = parseVerifyKey(text);
  if (key === undefined) throw usage(`The file ${file} holds no public key`);
  return key;
}

function momentOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const micros = microsOfText(text);
  if (micros === undefined)
    throw usage(`"${text}" is not a moment`, 'Give RFC 3339 with an offset, e.g. 2026-05-04T10:15:30+08:00.');
  return new Date(Math.floor(micros / 1000));
}
