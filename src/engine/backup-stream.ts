// Backing up a stream (standard input, a dump): the main thread reads and cuts it, the workers do the rest.

import { Chunker } from '../codec/chunker.ts';
import type { ContentChunking } from '../format/repository-object.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import { BackupPipeline } from './backup-pipeline.ts';
import type { BackupProgress } from './backup-progress.ts';
import { ChunksMapBuilder } from './content-map.ts';

export type StreamBackup = {
  readonly session: BackupPipeline;
  readonly stream: AsyncIterable<Uint8Array>;
  readonly chunking: ContentChunking;
  readonly multiplier: number;
  readonly progress: BackupProgress;
};

export async function backUpStream({ session, stream, chunking, multiplier, progress }: StreamBackup): Promise<SnapshotRoot> {
  const chunker = new Chunker({ ...chunking, multiplier }, BackupPipeline.streamWindowBytes);
  const cuts = new Uint32Array(chunker.cutsMax);
  const builder = new ChunksMapBuilder((node) => session.putNode(node));
  let last: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  let have = 0;

  const send = async (isLast: boolean): Promise<void> => {
    const n = chunker.cut(have, isLast, cuts);
    const end = n === 0 ? 0 : cuts[n - 1]!;
    if (n > 0) {
      await session.room();
      if (failure !== undefined) throw failure.error;
      const before = last;
      const answer = session.runChunks(chunker.window.slice(0, end), cuts.slice(0, n));
      last = answer.then(async (references) => {
        await before;
        builder.add(references);
        progress.bytesDone += end;
      });
      last.catch((error: unknown) => {
        failure ??= { error };
      });
    }
    chunker.window.copyWithin(0, end, have);
    have -= end;
  };

  for await (const piece of stream) {
    progress.bytesScanned += piece.length;
    progress.bytesRead += piece.length;
    for (let at = 0; at < piece.length; ) {
      const n = Math.min(piece.length - at, chunker.window.length - have);
      chunker.window.set(piece.subarray(at, at + n), have);
      have += n;
      at += n;
      if (have === chunker.window.length) await send(false);
    }
  }
  progress.scanned = true;
  await send(true);
  await last;
  if (failure !== undefined) throw failure.error;
  return { kind: 'chunks', reference: builder.finish(), contentBytes: builder.contentBytes, entries: 1 };
}
