// Run by local-index.test.ts in other threads: looks up chunks in the source that it is handed.

import { parentPort, workerData } from 'node:worker_threads';
import { type IndexSource, openReader } from '../../src/index/index-reader.ts';
import { newChunkPlace } from '../../src/index/tables.ts';

export type ReaderTask = { readonly source: IndexSource; readonly ids: readonly string[] };
export type ReaderAnswer = { readonly places: readonly (undefined | { block: string; offset: number; length: number })[] };

if (parentPort !== null) {
  const { source, ids } = workerData as ReaderTask;
  const reader = await openReader(source);
  const place = newChunkPlace();
  const places = ids.map((id) => {
    if (!reader.chunk(new Uint8Array(Buffer.from(id, 'hex')), place)) return undefined;
    return { block: Buffer.from(place.block).toString('hex'), offset: place.offset, length: place.length };
  });
  parentPort.postMessage({ places } satisfies ReaderAnswer);
}
