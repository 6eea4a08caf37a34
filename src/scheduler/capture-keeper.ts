// Sees to it that each database has a capture of its log under way, and a base backup from which a way leads to the log's end. Nobody asks for
// either, and no policy has to: it follows from what the catalogue and the stored log say, so whatever was interrupted, it is made good.
//
// What is retired gives back what it held on the server: a last run drops the slot, which would keep log there until the disk is full.
//
// A capture is a run: lease and fence hand it over. When one ends for whatever reason, the next is queued; failures that come one after the
// other make it wait longer.

import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import { isOver } from '../model/run-state.ts';
import { lastCapture } from './refused-capture.ts';

const PRIORITY = 95;
const BASE_PRIORITY = 85;
const BASE_ATTEMPTS_MAX = 5;
/** After a base backup that failed for good. */
const BASE_PAUSE_MS = 10 * 60_000;
const FIRST_PAUSE_MS = 2_000;
const PAUSE_MS_MAX = 60_000;
/** A capture that went well for so long has not failed "again". */
const WELL_MS = 10 * 60_000;
const RELEASES_MAX = 8;
const RELEASE_MS_MAX = 10 * 60_000;

export type CaptureKeeperOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

export class CaptureKeeper {
  readonly #options: CaptureKeeperOptions;

  constructor(options: CaptureKeeperOptions) {
    this.#options = options;
  }

  /** Queues what is missing, cancels what is not wanted any more. Answers the agent that has something new. `isWanted`: the asset and its
   *  tenant are active. */
  async keep(asset: Asset, isWanted: boolean): Promise<string | undefined> {
    const { catalog } = this.#options;
    const open = await openRun(catalog, asset, 'capture');
    const isRight = open !== undefined && isWanted && open.agentId === asset.agentId && isOf(open, asset);
    if (isRight || (open !== undefined && this.#isReleasing(open, asset))) return undefined;
    if (open === undefined && !isWanted) return asset.state === 'retired' ? this.#release(asset) : undefined;
    return catalog.transaction(async (tables) => {
      const now = instantOf(this.#options.now());
      const before = await openRun(tables, asset, 'capture');
      if (before !== undefined) {
        // Its end is what the next one waits for.
        if (before.cancelRequestedAt === undefined) await tables.runs.cancel(asset.tenantId, before.id, now);
        if (before.state === 'running') return asset.agentId;
      }
      return isWanted ? this.#queueCapture(tables, asset) : undefined;
    });
  }

  /** A base backup, unless one is under way or has just failed. */
  async needBase(asset: Asset, why: string): Promise<Run | undefined> {
    const { catalog, now, random } = this.#options;
    if ((await openRun(catalog, asset, 'backup')) !== undefined) return undefined;
    return catalog.transaction(async (tables) => {
      if ((await openRun(tables, asset, 'backup')) !== undefined) return undefined;
      const last = await tables.runs.latest(asset.id, 'backup', ['succeeded', 'warned', 'failed', 'canceled']);
      const date = now();
      if (last?.state === 'failed' && date.getTime() - Date.parse(last.endedAt ?? last.dueAt) < BASE_PAUSE_MS) return undefined;
      const at = instantOf(date);
      const id = newId('run', date, random);
      const run = {
        id,
        tenantId: asset.tenantId,
        assetId: asset.id,
        agentId: asset.agentId,
        kind: 'backup' as const,
        key: `${asset.id}/backup/anchor/${last?.id ?? 'first'}/${at}`,
        parameters: { why },
        priority: BASE_PRIORITY,
        dueAt: at,
        notBefore: at,
        attemptsMax: BASE_ATTEMPTS_MAX,
        requestedBy: 'scheduler',
      };
      return (await tables.runs.add(run, at)).run;
    });
  }

  #isReleasing({ parameters, startedAt }: Run, { state }: Asset): boolean {
    const now = this.#options.now().getTime();
    return (
      state === 'retired' &&
      parameters['release'] === true &&
      now - Date.parse(startedAt ?? instantOf(new Date(now))) < RELEASE_MS_MAX
    );
  }

  /** Unless that is done, or was tried often enough. */
  async #release(asset: Asset): Promise<string | undefined> {
    const last = await lastCapture(this.#options.catalog, asset);
    const wasRelease = last?.parameters['release'] === true;
    const failures = wasRelease ? Number(last.parameters['failures'] ?? 0) + 1 : 0;
    if (last === undefined || (wasRelease && last.state === 'succeeded') || failures >= RELEASES_MAX) return undefined;
    return this.#options.catalog.transaction((tables) => this.#queue(tables, asset, last, failures, { release: true }));
  }

  async #queueCapture(tables: CatalogTables, asset: Asset): Promise<string> {
    const last = await lastCapture(tables, asset);
    const failures = last?.state === 'failed' && lastedMs(last) < WELL_MS ? Number(last.parameters['failures'] ?? 0) + 1 : 0;
    return this.#queue(tables, asset, last, failures, { source: sourceStamp(asset) });
  }

  async #queue(
    tables: CatalogTables,
    asset: Asset,
    last: Run | undefined,
    failures: number,
    parameters: Run['parameters'],
  ): Promise<string> {
    const { now, random } = this.#options;
    const date = now();
    const at = instantOf(date);
    const pauseMs = failures === 0 ? 0 : Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** Math.min(20, failures - 1));
    const add = (key: string): ReturnType<typeof tables.runs.add> =>
      tables.runs.add(
        {
          id: newId('run', date, random),
          tenantId: asset.tenantId,
          assetId: asset.id,
          agentId: asset.agentId,
          kind: 'capture',
          key,
          parameters: { failures, ...parameters },
          priority: PRIORITY,
          dueAt: at,
          notBefore: instantOf(new Date(date.getTime() + pauseMs)),
          attemptsMax: 1,
          requestedBy: 'scheduler',
        },
        at,
      );
    const key = `${asset.id}/capture/after/${last?.id ?? 'none'}`;
    const added = await add(key);
    // The clock was put back: what ended last by the clock is not what ended last.
    if (added.outcome === 'exists' && isOver(added.run.state)) await add(`${key}/${at}`);
    return asset.agentId;
  }
}

async function openRun(
  { runs }: Pick<CatalogTables, 'runs'>,
  asset: Pick<Asset, 'id' | 'tenantId'>,
  kind: 'capture' | 'backup',
): Promise<Run | undefined> {
  const filter = { assetId: asset.id, kind, states: ['queued', 'running'] as const };
  return (await runs.list(asset.tenantId, filter, { limit: 1 })).items[0];
}

/** A capture of what the asset was before it was changed is not one of what it is. */
function isOf(run: Run, asset: Asset): boolean {
  return run.parameters['source'] === sourceStamp(asset);
}

function sourceStamp({ source }: Asset): string {
  return JSON.stringify(source);
}

function lastedMs({ startedAt, endedAt }: Run): number {
  return startedAt === undefined || endedAt === undefined ? 0 : Date.parse(endedAt) - Date.parse(startedAt);
}
