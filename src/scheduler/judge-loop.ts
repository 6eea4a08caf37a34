// Every minute, each asset against what its policy promises. What is kept is seen from the few recovery points that decide it; only when a
// promise turns out to be broken are the facts gathered that tell why. When it was done last is a setting, and a metric with an alert: a
// scheduler that does not judge any more would otherwise look like one whose promises are kept.
//
// A change is written with its event in one transaction, and the table says whether it was one: two judges make one event.

import { setImmediate as others } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Catalog, JUDGED_SETTING, type PromiseState } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import type { NewEvent, Severity } from '../model/event.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import { type RefusedAgent, refusedSetting } from '../model/refused-agent.ts';
import type { AssetFacts, JudgedRun } from '../policy/asset-facts.ts';
import { nextDue } from '../policy/due-times.ts';
import { roughSpan } from '../policy/duration.ts';
import { AHEAD_MS_MAX, type Judgement, judgeAsset, type Objective } from '../policy/judge.ts';
import { tasksOf } from '../policy/policy-tasks.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import type { CopyWatch } from './copy-watch.ts';
import type { LogWindows } from './log-windows.ts';
import type { PolicyBook } from './policy-book.ts';
import { lastCapture, refusedCapture } from './refused-capture.ts';
import { firstBackupSetting } from './run-ended.ts';

/** What has not changed is written anew after so long. */
const REFRESH_MS = 5 * 60_000;
/** Damaged points that are looked at and named. */
const DAMAGED_MAX = 100;
const YIELD_EVERY = 50;
const SEVERITY: Readonly<Record<Objective, Severity>> = {
  rpo: 'critical',
  window: 'critical',
  proof: 'warning',
  copies: 'critical',
};
const WORDS: Readonly<Record<Objective, string>> = {
  rpo: 'how much work may be lost',
  window: 'how far back one can return',
  proof: 'how old the last proof may be',
  copies: 'copies at other sites',
};

export type JudgeLoopOptions = {
  readonly catalog: Catalog;
  readonly book: PolicyBook;
  readonly logs: Pick<LogWindows, 'proved'>;
  readonly copies: Pick<CopyWatch, 'isReady' | 'copiesOf'>;
  readonly now: () => Date;
  readonly log: Pick<Logger, 'error'>;
};

export type Judged = { readonly assets: number; readonly broken: number; readonly changed: number };
type Known = { readonly state: PromiseState; readonly writtenMs: number };

export class JudgeLoop {
  readonly #options: JudgeLoopOptions;
  #known: Map<string, Map<Objective, Known>> | undefined;
  readonly #firstBackups = new Map<string, Instant>();
  #isJudging = false;

  constructor(options: JudgeLoopOptions) {
    this.#options = options;
  }

  /** Once over all assets. A second call while one is under way does nothing. */
  async judgeAll(signal?: AbortSignal): Promise<Judged> {
    const { catalog, log, now } = this.#options;
    let [assets, broken, changed] = [0, 0, 0];
    if (this.#isJudging) return { assets, broken, changed };
    this.#isJudging = true;
    try {
      this.#known ??= await this.#read();
      for await (const asset of eachItem((page) => catalog.assets.listAll(page))) {
        if (signal?.aborted === true) break;
        if (++assets % YIELD_EVERY === 0) await others();
        try {
          const one = await this.#judge(asset);
          broken += one.broken;
          changed += one.changed;
        } catch (error) {
          log.error({ err: error, asset: asset.id }, 'the promises of an asset could not be judged');
        }
      }
      if (signal?.aborted !== true) await catalog.settings.set(JUDGED_SETTING, instantOf(now()));
      return { assets, broken, changed };
    } finally {
      this.#isJudging = false;
    }
  }

  async #read(): Promise<Map<string, Map<Objective, Known>>> {
    const known = new Map<string, Map<Objective, Known>>();
    for (const state of await this.#options.catalog.promises.list(undefined)) {
      const some = known.get(state.assetId) ?? new Map<Objective, Known>();
      known.set(state.assetId, some.set(state.objective, { state, writtenMs: 0 }));
    }
    return known;
  }

  async #judge(asset: Asset): Promise<{ readonly broken: number; readonly changed: number }> {
    const { book, copies, now } = this.#options;
    const tenant = book.tenant(asset.tenantId);
    if (tenant === undefined || tenant.state === 'closed') return { broken: 0, changed: 0 };
    const at = now();
    const { policy } = book.inForce(tenant, asset);
    const known = this.#known!.get(asset.id) ?? new Map<Objective, Known>();
    this.#known!.set(asset.id, known);
    // Not yet seen is not missing.
    if (policy.copies.length > 0 && !copies.isReady) return { broken: 0, changed: 0 };
    const facts = await this.#facts(asset, policy, at);
    let judgements = judgeAsset(policy, facts, at);
    if (judgements.some(({ objective, isKept }) => !isKept && known.get(objective)?.state.isKept !== false))
      judgements = judgeAsset(policy, await this.#factsOfBroken(asset, policy, facts, at), at);
    let changed = 0;
    for (const judgement of judgements) if (await this.#write(asset, judgement, known, at)) changed++;
    for (const [objective, { state }] of known) {
      // Not promised any more: what is not owed is not broken.
      if (judgements.some((one) => one.objective === objective) || (state.isKept && state.promised === 0)) continue;
      await this.#write(asset, { assetId: asset.id, objective, isKept: true, promised: 0 }, known, at);
    }
    return { broken: judgements.filter(({ isKept }) => !isKept).length, changed };
  }

  /** Enough to see whether promises are kept. */
  async #facts(asset: Asset, policy: EffectivePolicy, now: Date): Promise<AssetFacts> {
    const { catalog, copies: watch } = this.#options;
    const { id, state, createdAt } = asset;
    const promisesNothing =
      Object.keys(policy.objectives).length === 0 && policy.recoveryWindowMs === undefined && policy.copies.length === 0;
    const until = instantOf(new Date(now.getTime() + AHEAD_MS_MAX));
    const points = promisesNothing ? [] : await catalog.recoveryPoints.deciding(id, until, DAMAGED_MAX);
    const firstBackupAt = await this.#firstBackup(id);
    const log = asset.source.kind === 'postgres' && !promisesNothing ? await this.#log(asset) : undefined;
    const sites = policy.copies.map(({ site }) => site);
    const { copies, lacking } = await watch.copiesOf(asset, sites, points);
    return {
      ...(log === undefined ? {} : { log }),
      assetId: id,
      state,
      createdAt,
      ...(firstBackupAt === undefined ? {} : { firstBackupAt }),
      points: [...points, ...lacking.filter(({ snapshot }) => points.every((one) => one.snapshot !== snapshot))],
      lastRuns: [],
      copies,
    };
  }

  /** By what the stored log proves. */
  async #log(asset: Asset): Promise<NonNullable<AssetFacts['log']>> {
    const intervals = (await this.#options.logs.proved(asset))?.intervals ?? [];
    const [first, last] = [intervals[0], intervals.at(-1)];
    const fault = await refusedCapture(this.#options.catalog, asset, this.#options.now());
    const refused = fault === undefined ? {} : { refused: fault };
    if (first === undefined || last === undefined) return refused;
    const [earliestAt, latestAt] = [instantOf(new Date(first.from.time / 1000)), instantOf(new Date(last.to.time / 1000))];
    return { earliestAt, latestAt, ...refused };
  }

  /** All that tells why. */
  async #factsOfBroken(asset: Asset, policy: EffectivePolicy, facts: AssetFacts, at: Date): Promise<AssetFacts> {
    const { catalog } = this.#options;
    const agent = await catalog.agents.get(asset.agentId, asset.tenantId);
    const backup = tasksOf(policy).find(({ kind }) => kind === 'backup');
    const next = backup === undefined ? undefined : nextDue(backup.schedules, at, asset.id);
    const lastRuns: JudgedRun[] = [];
    for (const filter of [
      { assetId: asset.id, kind: 'capture' },
      { assetId: asset.id, kind: 'backup' },
      { assetId: asset.id, kind: 'restore-test' },
      { kind: 'verify' },
    ] as const)
      lastRuns.push(...(await catalog.runs.list(asset.tenantId, filter, { limit: 1 })).items);
    // A capture that waits for its turn after one that failed waits because of that.
    const failed = lastRuns.some(({ kind, state }) => kind === 'capture' && state === 'queued')
      ? await lastCapture(catalog, asset)
      : undefined;
    if (failed?.state === 'failed') lastRuns.unshift(failed);
    const refused = agent === undefined ? undefined : await catalog.settings.get(refusedSetting(agent.id));
    return {
      ...facts,
      pointCount: await catalog.recoveryPoints.count(asset.id),
      lastRuns,
      ...(agent === undefined
        ? {}
        : {
            agent: {
              label: agent.label,
              state: agent.state,
              ...(agent.lastSeenAt === undefined ? {} : { lastSeenAt: agent.lastSeenAt }),
              ...(refused ? { refused: JSON.parse(refused) as RefusedAgent } : {}),
            },
          }),
      ...(next === undefined ? {} : { nextBackupAt: instantOf(next.due) }),
    };
  }

  async #firstBackup(assetId: string): Promise<Instant | undefined> {
    const known = this.#firstBackups.get(assetId);
    if (known !== undefined) return known;
    const at = await this.#options.catalog.settings.get(firstBackupSetting(assetId));
    if (at !== undefined) this.#firstBackups.set(assetId, at);
    return at;
  }

  /** True when it is a change. */
  async #write(asset: Asset, judgement: Judgement, known: Map<Objective, Known>, now: Date): Promise<boolean> {
    const { objective, isKept, measured, promised } = judgement;
    const before = known.get(objective);
    const isSame = before !== undefined && before.state.isKept === isKept && before.state.promised === promised;
    if (isSame && Math.abs(now.getTime() - before.writtenMs) < REFRESH_MS) return false;
    const at = instantOf(now);
    const state: PromiseState = {
      assetId: asset.id,
      tenantId: asset.tenantId,
      objective,
      isKept,
      ...(measured === undefined ? {} : { measured }),
      promised,
      since: at,
      judgedAt: at,
    };
    known.set(objective, { state, writtenMs: now.getTime() });
    if (isSame) {
      await this.#options.catalog.promises.put(state);
      return false;
    }
    return this.#options.catalog.transaction(async (tables) => {
      if ((await tables.promises.put(state)) === 'same') return false;
      await tables.events.add(eventOf(asset, judgement), at);
      return true;
    });
  }
}

function eventOf(asset: Asset, { objective, isKept, measured, promised, cause, action }: Judgement): NewEvent {
  const span = (seconds: number): string => roughSpan(seconds * 1000);
  const figures =
    measured === undefined ? `${span(promised)} was promised` : `${span(measured)}, and ${span(promised)} was promised`;
  return {
    tenantId: asset.tenantId,
    assetId: asset.id,
    kind: isKept ? 'objective.kept' : 'objective.broken',
    severity: isKept ? 'info' : SEVERITY[objective],
    message: isKept
      ? `A promise for ${asset.name} is kept again: ${objective} (${WORDS[objective]})`
      : `A promise for ${asset.name} is broken: ${objective} (${WORDS[objective]}): ${figures}`,
    ...(cause === undefined ? {} : { cause }),
    ...(action === undefined ? {} : { action }),
    details: { objective, promised, ...(measured === undefined ? {} : { measured }) },
  };
}
