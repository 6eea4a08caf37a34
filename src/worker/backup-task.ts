// What the main thread asks a worker of a backup to do, and what it answers. In a file of its own: who imports the thread's would load all of
// the thread's code.

import type { ChunkerParameters } from '../codec/chunker.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import type { QuestionMemory } from './asked-chunks.ts';
import type { ChunkTables } from './chunk-tables.ts';
import type { FileBatch, FileBatchResult, FileTask, FileTaskResult, WorkerTotals } from './file-task.ts';
import type { PackBuffersSpec } from './pack-buffers.ts';
import type { FinishedPack, PackWriterSpec } from './pack-writer.ts';

export const CHUNKER_WINDOW_BYTES = 4 * 1024 * 1024;

export type BackupThreadSpec = {
  readonly packs: PackWriterSpec;
  readonly idKey: Uint8Array;
  readonly chunker: ChunkerParameters;
  readonly paged: PagedChunking;
  readonly buffers: PackBuffersSpec;
  readonly tables: ChunkTables;
  /** Where this thread asks for chunks; undefined when `tables` say all. */
  readonly question: QuestionMemory | undefined;
};

export type BackupRequest =
  | { readonly kind: 'files'; readonly job: number; readonly tasks: readonly FileTask[] }
  | { readonly kind: 'batch'; readonly job: number; readonly batch: FileBatch }
  /** Chunks of a stream, cut by the main thread: end offsets in `bytes`. */
  | { readonly kind: 'chunks'; readonly job: number; readonly bytes: Uint8Array; readonly ends: Uint32Array }
  /** The session's table was full: its content is in `known` now. Answered when the old tables are not used any more. */
  | { readonly kind: 'tables'; readonly tables: ChunkTables }
  /** A question of this thread has its answer. */
  | { readonly kind: 'answered'; readonly question: number }
  /** No answer will come: what waits for one is rejected. */
  | { readonly kind: 'given-up' }
  /** Close what is open, hand it over, and end. */
  | { readonly kind: 'finish' };

export type BackupAnswer =
  | { readonly kind: 'files'; readonly job: number; readonly results: readonly FileTaskResult[] }
  | { readonly kind: 'batch'; readonly job: number; readonly result: FileBatchResult }
  | { readonly kind: 'chunks'; readonly job: number; readonly references: Uint8Array }
  | { readonly kind: 'pack'; readonly pack: FinishedPack }
  | { readonly kind: 'tables' }
  /** An answer is wanted to so many ids in the memory of this question; with `isAwaited` it is to be told. */
  | { readonly kind: 'ask'; readonly question: number; readonly count: number; readonly isAwaited: boolean }
  | { readonly kind: 'finished'; readonly totals: WorkerTotals };
