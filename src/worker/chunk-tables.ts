// The two tables that tell a worker what is stored already, as plain values that can be posted to threads.

import { type IndexReader, type IndexSource, openReader } from '../index/index-reader.ts';
import { newSessionPlace, SessionTable } from '../index/session-table.ts';
import { newChunkPlace } from '../index/tables.ts';
import type { AskedChunks } from './asked-chunks.ts';
import type { KnownChunks, SessionChunks } from './dedup.ts';

export type KnownChunksSpec = IndexSource;
export type SessionChunksSpec = SharedArrayBuffer;

export type ChunkTables = { readonly known: KnownChunksSpec | undefined; readonly made: SessionChunksSpec };

/** `asked`: what is known elsewhere, beside these tables. */
export async function openKnownChunks(
  spec: KnownChunksSpec | undefined,
  asked: AskedChunks | undefined,
): Promise<KnownChunks | undefined> {
  const known = await openTables(spec);
  if (asked === undefined || known === undefined) return asked ?? known;
  return {
    chunk: (id, found) => known.chunk(id, found) || asked.chunk(id, found),
    begin: (ids, count, isAwaited) => asked.begin(ids, count, isAwaited),
    finish: (pending) => asked.finish(pending),
  };
}

async function openTables(spec: KnownChunksSpec | undefined): Promise<KnownChunks | undefined> {
  if (spec === undefined || spec.chunks.length === 0) return undefined;
  const reader: IndexReader = await openReader(spec);
  const place = newChunkPlace();
  return {
    chunk: (id, found) => {
      if (!reader.chunk(id, place)) return false;
      found.block.set(place.block);
      found.offset = place.offset;
      found.length = place.length;
      return true;
    },
  };
}

export function openSessionChunks(memory: SessionChunksSpec): SessionChunks {
  const table = new SessionTable(memory);
  const place = newSessionPlace();
  return {
    findOrInsert: (id, counter, offset, length, hit) => {
      const outcome = table.findOrInsert(id, counter, offset, length, place);
      if (outcome === 'found') {
        hit.counter = place.counter;
        hit.offset = place.offset;
        hit.length = place.length;
      }
      return outcome;
    },
  };
}
