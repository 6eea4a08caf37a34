// Copying the logs of all assets: for each the keys of its epochs, then its catalogue, then what the epochs hold. An epoch that another
// one has followed is looked at ever more rarely.

import { forEachBounded } from '../base/bounded.ts';
import { listEpoch } from '../engine/log-listing.ts';
import { epochPrefix } from '../engine/log-objects.ts';
import type { RecentLog } from '../engine/recent-log.ts';
import { decodeLogCatalogue, EMPTY_LOG_CATALOGUE, type LogCatalogue, type LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import { bytesEqual } from '../model/reference.ts';
import { unhex } from '../repository/layout.ts';
import type { RegisterCodec } from '../repository/register-codec.ts';
import type { LogRemaker } from './log-remaker.ts';
import { EpochMirror, firstSectionOf } from './mirror-epoch.ts';
import type { Mirror } from './mirror-object.ts';
import { putRegister } from './mirror-register.ts';
import type { SessionKeyMirror } from './mirror-session-keys.ts';

const ASSETS_PARALLEL = 16;
const EPOCHS_PARALLEL = 4;
const DELETES_PARALLEL = 8;
const OLD_PAUSE_MS_MAX = 10 * 60_000;
export const LOG_PREFIX = 'log/';

type Held = { readonly mirror: EpochMirror; lookAtMs: number; pauseMs: number };

export type LogMirrorParts = {
  readonly mirror: Mirror;
  readonly codec: RegisterCodec;
  readonly sessionKeys: SessionKeyMirror;
  readonly remaker: LogRemaker;
  readonly recent: RecentLog;
  /** Nothing is ever deleted at the replica. */
  readonly keepAll: boolean;
  /** Goes forward only, milliseconds. */
  readonly nowMs: () => number;
};

export class LogMirror {
  readonly #parts: LogMirrorParts;
  readonly #assets = new Map<string, Map<string, Held>>();
  /** Values of catalogues by asset as they are here. */
  readonly #catalogues = new Map<string, Uint8Array>();
  /** Those of which everything that they let go is gone here, too. */
  readonly #swept = new Map<string, Uint8Array>();

  constructor(parts: LogMirrorParts) {
    this.#parts = parts;
  }

  /** 32 hex. */
  addAssets(assetIds: Iterable<string>): void {
    for (const assetId of assetIds) if (!this.#assets.has(assetId)) this.#assets.set(assetId, new Map());
  }

  /** Assets that have a log and no snapshot yet, so that nothing can be recovered by it: they may be found late. */
  async findAssets(): Promise<void> {
    const { source, signal } = this.#parts.mirror;
    for await (const page of source.list(LOG_PREFIX, { signal }))
      this.addAssets(page.flatMap(({ key }) => key.slice(LOG_PREFIX.length).split('/').slice(0, 1)));
  }

  /** What was there when this began is at the replica when it ends. Answers whether something was copied. */
  async pull(): Promise<boolean> {
    const startMs = this.#parts.nowMs();
    let copied = 0;
    await forEachBounded([...this.#assets.keys()], ASSETS_PARALLEL, async (assetId) => {
      copied += await this.#pullAsset(assetId);
    });
    const { progress } = this.#parts.mirror;
    progress.logCurrentAtMs = startMs;
    progress.logBytesBehind = 0;
    return copied > 0;
  }

  /** Answers how many objects of epochs were copied or left out. */
  async #pullAsset(assetId: string): Promise<number> {
    const { catalogue, bytes } = await this.#copyCatalogue(assetId);
    const { epochs } = catalogue;
    const held = this.#assets.get(assetId)!;
    const now = this.#parts.nowMs();
    let all = 0;
    const newest = new Map(epochs.map((epoch) => [epoch.incarnation, epoch.epoch]));
    await forEachBounded(epochs, EPOCHS_PARALLEL, async (epoch) => {
      let one = held.get(epoch.epoch);
      if (one !== undefined && one.lookAtMs > now) return;
      if (one === undefined) {
        const mirror = await EpochMirror.resume(this.#parts, unhex(assetId), epoch);
        one = { mirror, lookAtMs: 0, pauseMs: 1000 };
        held.set(epoch.epoch, one);
      }
      const copied = await this.#pullEpoch(one.mirror, epoch);
      all += copied;
      const isNewest = newest.get(epoch.incarnation) === epoch.epoch;
      one.pauseMs = copied > 0 ? 1000 : Math.min(one.pauseMs * 2, OLD_PAUSE_MS_MAX);
      one.lookAtMs = isNewest ? 0 : now + one.pauseMs;
    });
    if (bytes === undefined || this.#parts.keepAll || this.#swept.get(assetId) === bytes) return all;
    await this.#sweep(assetId, epochs);
    this.#swept.set(assetId, bytes);
    return all;
  }

  /** What the catalogue has let go is deleted here, too: epochs that are not in it, sections before `trimmed`. */
  async #sweep(assetId: string, epochs: readonly LogEpoch[]): Promise<void> {
    const { mirror, sessionKeys } = this.#parts;
    const { replica, progress, signal } = mirror;
    const known = new Set(epochs.map(({ epoch }) => epoch));
    const doomed: string[] = [];
    const over = new Set<string>();
    for await (const page of replica.list(`${LOG_PREFIX}${assetId}/`, { signal })) {
      for (const { key } of page) {
        const epoch = key.split('/')[3]!;
        if (known.has(epoch)) continue;
        doomed.push(key);
        over.add(epoch);
      }
    }
    for (const epoch of epochs.filter(({ trimmed = 0 }) => trimmed > 0)) {
      const { sections, ranges } = await listEpoch(replica, epochPrefix(unhex(assetId), epoch), { signal });
      const first = firstSectionOf(epoch);
      doomed.push(...[...sections, ...ranges].flatMap(({ key, section }) => (section + LOG_SECTION_BYTES <= first ? [key] : [])));
    }
    await forEachBounded(doomed, DELETES_PARALLEL, (key) => replica.delete(key, { signal }));
    for (const epoch of over) await sessionKeys.drop(epoch);
    for (const epoch of over) this.#assets.get(assetId)?.delete(epoch);
    progress.removed += doomed.length;
  }

  async #pullEpoch(mirror: EpochMirror, epoch: LogEpoch): Promise<number> {
    try {
      return await mirror.pull(epoch);
    } finally {
      const all = [...this.#assets.values()].flatMap((held) => [...held.values()]);
      this.#parts.mirror.progress.logBytesBehind = all.reduce((sum, one) => sum + one.mirror.bytesBehind, 0);
    }
  }

  /** What the epochs are sealed with is there before anybody is told of them. `bytes`: the same object as long as it does not change. */
  async #copyCatalogue(assetId: string): Promise<{ readonly catalogue: LogCatalogue; readonly bytes: Uint8Array | undefined }> {
    const { mirror, codec, sessionKeys } = this.#parts;
    const { source, replica, signal } = mirror;
    const key = `logs/${assetId}`;
    const register = await source.read(key, { signal });
    if (register === undefined) return { catalogue: EMPTY_LOG_CATALOGUE, bytes: undefined };
    const catalogue = decodeLogCatalogue(codec.decode(key, register.bytes));
    await sessionKeys.copy(catalogue.epochs.map(({ epoch }) => epoch));
    const known = this.#catalogues.get(assetId);
    if (known !== undefined && bytesEqual(known, register.bytes)) return { catalogue, bytes: known };
    await putRegister(replica, key, register.bytes, await replica.read(key, { signal }), { signal });
    this.#catalogues.set(assetId, register.bytes);
    return { catalogue, bytes: register.bytes };
  }
}
