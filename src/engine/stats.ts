// What a repository holds, from its index and its snapshots alone: no pack is read.

import { loadChecksum } from '../index/checksum.ts';
import type { IndexSource } from '../index/index-reader.ts';
import { mergeSorted } from '../index/merge-sorted.ts';
import { RunReader } from '../index/sorted-run.ts';
import { BLOCKS, newBlockPlace, readBlockRecord } from '../index/tables.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { CallOptions } from '../store/object-store.ts';

const OUT_BYTES = 96 * 1024;

export type StoredStats = {
  /** Sealed blocks, of data and of maps. */
  readonly blocks: number;
  readonly storedBytes: number;
  /** Before compression, each once. */
  readonly rawBytes: number;
  /** Of that, maps. */
  readonly metadataStoredBytes: number;
  readonly metadataRawBytes: number;
};

export type AssetStats = {
  readonly asset: string;
  readonly snapshots: number;
  readonly oldest: string;
  readonly newest: string;
  /** Of the newest snapshot. */
  readonly newestBytes: number;
  /** Sum of what all its snapshots hold. */
  readonly logicalBytes: number;
  /** Sum of what they added to the repository when they were made, before and after compression. */
  readonly newBytes: number;
  readonly storedBytes: number;
};

export type LogStats = {
  /** '' when it has no snapshot. */
  readonly asset: string;
  readonly objects: number;
  readonly storedBytes: number;
};

/** What the store lists of logs, by asset. */
export async function logStats(
  { store, keyring }: Pick<OpenedRepository, 'store' | 'keyring'>,
  snapshots: readonly Snapshot[],
  options: CallOptions,
): Promise<LogStats[]> {
  const names = new Map(snapshots.map(({ asset }) => [hex(keyring.assetId(asset)), asset]));
  const sums = new Map<string, { objects: number; storedBytes: number }>();
  for await (const page of store.list('log/', options)) {
    for (const { key, sizeBytes } of page) {
      const id = key.split('/')[1]!;
      const sum = sums.get(id) ?? { objects: 0, storedBytes: 0 };
      sums.set(id, { objects: sum.objects + 1, storedBytes: sum.storedBytes + sizeBytes });
    }
  }
  return [...sums].map(([id, sum]) => ({ asset: names.get(id) ?? '', ...sum })).sort((a, b) => (a.asset < b.asset ? -1 : 1));
}

/** Every block of the index once, wherever it lies. */
export async function storedStats(source: IndexSource): Promise<StoredStats> {
  const checksum = await loadChecksum();
  const inputs = source.blocks.filter((run) => run.records > 0).map((run) => new RunReader(run, checksum).scan());
  const place = newBlockPlace();
  const sums = { blocks: 0, storedBytes: 0, rawBytes: 0, metadataStoredBytes: 0, metadataRawBytes: 0 };
  // From the newest run to the oldest: a block that was moved counts where it lies now.
  for (const batch of mergeSorted(inputs, BLOCKS, 'first', new Uint8Array(OUT_BYTES))) {
    for (let at = 0; at < batch.length; at += BLOCKS.recordBytes) {
      readBlockRecord(batch, at, place);
      sums.blocks++;
      sums.storedBytes += place.storedLength;
      sums.rawBytes += place.rawLength;
      if (place.kind !== 'metadata') continue;
      sums.metadataStoredBytes += place.storedLength;
      sums.metadataRawBytes += place.rawLength;
    }
  }
  return sums;
}

/** `snapshots` from the oldest to the newest; assets by name. */
export function assetStats(snapshots: readonly Snapshot[]): AssetStats[] {
  const assets = new Map<string, AssetStats>();
  for (const { asset, startedAt, root, statistics } of snapshots) {
    const before = assets.get(asset);
    assets.set(asset, {
      asset,
      snapshots: (before?.snapshots ?? 0) + 1,
      oldest: before?.oldest ?? startedAt,
      newest: startedAt,
      newestBytes: root.contentBytes,
      logicalBytes: (before?.logicalBytes ?? 0) + root.contentBytes,
      newBytes: (before?.newBytes ?? 0) + statistics.bytesNew,
      storedBytes: (before?.storedBytes ?? 0) + statistics.bytesStored,
    });
  }
  return [...assets.values()].sort((a, b) => (a.asset < b.asset ? -1 : 1));
}
