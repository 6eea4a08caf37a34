// What the repository holds, and what dedup and compression save.

import { formatBytes } from '../base/units.ts';
import { type AssetStats, assetStats, logStats, type StoredStats, storedStats } from '../engine/stats.ts';
import { withRepository } from './open.ts';
import { selectSnapshots } from './select.ts';
import { type Column, formatTime, tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

const COLUMNS: readonly Column[] = [
  { title: 'asset' },
  { title: 'snapshots', align: 'right' },
  { title: 'newest' },
  { title: 'size', align: 'right' },
  { title: 'all snapshots', align: 'right' },
  { title: 'new', align: 'right' },
  { title: 'stored', align: 'right' },
];

const NOTHING: StoredStats = { blocks: 0, storedBytes: 0, rawBytes: 0, metadataStoredBytes: 0, metadataRawBytes: 0 };

export function stats(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  return withRepository(invocation, async (repository) => {
    const head = await repository.heads.read({ signal });
    const snapshots = await selectSnapshots(repository, options, signal);
    await repository.syncIndex(head.indexes, { signal });
    const { source } = repository;
    const stored = source === undefined ? NOTHING : await storedStats(source);
    const assets = assetStats(snapshots);
    const logicalBytes = assets.reduce((sum, asset) => sum + asset.logicalBytes, 0);
    const dataRaw = stored.rawBytes - stored.metadataRawBytes;
    const logs = await logStats(repository, snapshots, { signal });
    const fields = {
      snapshots: snapshots.length,
      assets: assets.length,
      packs: head.indexes.reduce((sum, index) => sum + index.packs, 0),
      indexObjects: head.indexes.length,
      indexBytes: head.indexes.reduce((sum, index) => sum + index.bytes, 0),
      ...stored,
      logicalBytes,
      dedupRatio: ratio(logicalBytes, dataRaw),
      compressionRatio: ratio(stored.rawBytes, stored.storedBytes),
      savedRatio: ratio(logicalBytes, stored.storedBytes),
      writers: head.writers.length,
      logObjects: logs.reduce((sum, log) => sum + log.objects, 0),
      logBytes: logs.reduce((sum, log) => sum + log.storedBytes, 0),
      condemnedPacks: head.condemned.reduce((sum, entry) => sum + entry.packs, 0),
    };
    for (const asset of assets) output.record('asset', asset);
    for (const line of tableLines(COLUMNS, assets.map(rowOf))) output.line(line);
    output.line('');
    output.line(`${fields.snapshots} snapshots of ${fields.assets} assets hold ${formatBytes(logicalBytes)}`);
    output.line(`  dedup leaves      ${formatBytes(dataRaw)} (1 : ${fields.dedupRatio})`);
    output.line(
      `  compression leaves ${formatBytes(stored.storedBytes)} (1 : ${fields.compressionRatio}), ${formatBytes(stored.metadataStoredBytes)} of it maps`,
    );
    output.line(
      `${fields.packs} packs, ${fields.indexObjects} index objects of ${formatBytes(fields.indexBytes)}; local index cache in ${repository.cacheDirectory}`,
    );
    for (const log of logs) {
      output.record('log', log);
      output.line(
        `log of ${log.asset === '' ? 'an asset that is not among these' : log.asset}: ${log.objects} objects, ${formatBytes(log.storedBytes)}`,
      );
    }
    if (fields.condemnedPacks > 0) output.line(`${fields.condemnedPacks} packs wait to be deleted by a prune`);
    output.summary('stats', fields);
    return 0;
  });
}

/** To two digits; 1 where there is nothing. */
function ratio(large: number, small: number): number {
  return small === 0 ? 1 : Math.round((large / small) * 100) / 100;
}

function rowOf({ asset, snapshots, newest, newestBytes, logicalBytes, newBytes, storedBytes }: AssetStats): string[] {
  return [
    asset,
    String(snapshots),
    formatTime(newest),
    formatBytes(newestBytes),
    formatBytes(logicalBytes),
    formatBytes(newBytes),
    formatBytes(storedBytes),
  ];
}
