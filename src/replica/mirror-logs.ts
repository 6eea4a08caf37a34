// Copying the logs of all assets: for each the keys of its epochs, then its catalogue, then what the epochs hold. An epoch that another
// one has followed is looked at ever more rarely.

import { forEachBounded } from '../base/bounded.ts';
import { decodeLogCatalogue, EMPTY_LOG_CATALOGUE, type LogCatalogue, type LogEpoch } from '../format/log-catalogue.ts';
import { unhex } from '../repository/layout.ts';
import type { RegisterCodec } from '../repository/register-codec.ts';
import { EpochMirror } from './mirror-epoch.ts';
import type { Mirror } from './mirror-object.ts';
import { putRegister } from './mirror-register.ts';
import type { SessionKeyMirror } from './mirror-session-keys.ts';

const ASSETS_PARALLEL = 16;
const EPOCHS_PARALLEL = 4;
const OLD_PAUSE_MS_MAX = 10 * 60_000;
export const LOG_PREFIX = 'log/';

type Held = { readonly mirror: EpochMirror; lookAtMs: number; pauseMs: number };

export type LogMirrorParts = {
  readonly mirror: Mirror;
  readonly codec: RegisterCodec;
  readonly sessionKeys: SessionKeyMirror;
  /** What the source lets go of stays. */
  readonly keepAll: boolean;
  /** Goes forward only, milliseconds. */
  readonly nowMs: () => number;
};

export class LogMirror {
  readonly #parts: LogMirrorParts;
  readonly #assets = new Map<string, Map<string, Held>>();

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

  /** Copies until the source has no more; what was there when this began is at the replica when it ends. */
  async pull(): Promise<void> {
    const startMs = this.#parts.nowMs();
    await forEachBounded([...this.#assets.keys()], ASSETS_PARALLEL, (assetId) => this.#pullAsset(assetId));
    const { progress } = this.#parts.mirror;
    progress.logCurrentAtMs = startMs;
    progress.logBytesBehind = 0;
  }

  async #pullAsset(assetId: string): Promise<void> {
    const { epochs } = await this.#copyCatalogue(assetId);
    const held = this.#assets.get(assetId)!;
    const now = this.#parts.nowMs();
    const newest = new Map(epochs.map((epoch) => [epoch.incarnation, epoch.epoch]));
    await this.#letGo(assetId, held, epochs);
    await forEachBounded(epochs, EPOCHS_PARALLEL, async (epoch) => {
      let one = held.get(epoch.epoch);
      const isStale = one?.mirror.isOf(epoch) === false;
      if (one !== undefined && one.lookAtMs > now && !isStale) return;
      if (one === undefined || isStale) {
        const { trimmed = 0 } = epoch;
        if (trimmed > 0 && !this.#parts.keepAll) await EpochMirror.letGo(this.#parts.mirror, unhex(assetId), epoch, trimmed);
        const mirror = await EpochMirror.resume(this.#parts.mirror, unhex(assetId), epoch);
        one = { mirror, lookAtMs: 0, pauseMs: 1000 };
        held.set(epoch.epoch, one);
      }
      const copied = await this.#pullEpoch(one.mirror);
      const isNewest = newest.get(epoch.incarnation) === epoch.epoch;
      one.pauseMs = copied > 0 ? 1000 : Math.min(one.pauseMs * 2, OLD_PAUSE_MS_MAX);
      one.lookAtMs = isNewest ? 0 : now + one.pauseMs;
    });
  }

  /** Epochs that the source has retired. */
  async #letGo(assetId: string, held: Map<string, Held>, epochs: readonly LogEpoch[]): Promise<void> {
    const listed = new Set(epochs.map(({ epoch }) => epoch));
    for (const [name, { mirror }] of held) {
      if (listed.has(name)) continue;
      if (!this.#parts.keepAll) await EpochMirror.letGo(this.#parts.mirror, unhex(assetId), mirror.epoch, Number.POSITIVE_INFINITY);
      held.delete(name);
    }
  }

  async #pullEpoch(mirror: EpochMirror): Promise<number> {
    try {
      return await mirror.pull();
    } finally {
      const all = [...this.#assets.values()].flatMap((held) => [...held.values()]);
      this.#parts.mirror.progress.logBytesBehind = all.reduce((sum, one) => sum + one.mirror.bytesBehind, 0);
    }
  }

  /** What the epochs are sealed with is there before anybody is told of them. */
  async #copyCatalogue(assetId: string): Promise<LogCatalogue> {
    const { mirror, codec, sessionKeys } = this.#parts;
    const { source, replica, signal } = mirror;
    const key = `logs/${assetId}`;
    const register = await source.read(key, { signal });
    if (register === undefined) return EMPTY_LOG_CATALOGUE;
    const catalogue = decodeLogCatalogue(codec.decode(key, register.bytes));
    await sessionKeys.copy(catalogue.epochs.map(({ epoch }) => epoch));
    await putRegister(replica, key, register.bytes, await replica.read(key, { signal }), { signal });
    return catalogue;
  }
}
