// What every backup does whatever its source: workers that read and pack, packs on their way to the store, nodes, the index, and the
// order in which all of it becomes durable: packs, then index objects, then the snapshot. Dying anywhere before the last leaves only
// packs that nobody refers to.

import { randomBytes } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { ID_BYTES } from '../codec/chunk-id.ts';
import { NODE_BYTES_MAX } from '../format/block-table.ts';
import type { IndexedPack } from '../format/index-object.ts';
import { BLOCK_ID_BYTES, EXTENT_NODE, SESSION_BYTES } from '../format/pack.ts';
import type { IndexSource } from '../index/index-reader.ts';
import { packReference, type References } from '../model/reference.ts';
import { encodeIndexObject } from '../repository/index-objects.ts';
import { indexKey, sessionKeyKey } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { newQuestionMemory, type PresenceAnswer, Question, type QuestionMemory } from '../worker/asked-chunks.ts';
import { type BackupAnswer, type BackupRequest, type BackupThreadSpec, CHUNKER_WINDOW_BYTES } from '../worker/backup-task.ts';
import { writeCounter } from '../worker/dedup.ts';
import type { FileBatch, FileBatchResult, FileTask, FileTaskResult, WorkerTotals } from '../worker/file-task.ts';
import { newPackBuffers, PackBuffers } from '../worker/pack-buffers.ts';
import { type FinishedPack, PackWriter, type PackWriterSpec, packBufferBytes } from '../worker/pack-writer.ts';
import { STAGE_BYTES } from '../worker/stage.ts';
import { SMALL_JOBS_WAITING_MAX, ThreadPool } from '../worker/thread-pool.ts';
import { BACKUP_THREAD, type ThreadsAhead } from './backup-threads.ts';
import { SessionTables } from './session-tables.ts';
import { type StoredPack, UploadQueue } from './upload-queue.ts';

/** Blocks of nodes are smaller: they are read one at a time. */
const METADATA_BLOCK_BYTES = 256 * 1024;
const METADATA_PACK_BYTES = 4 * 1024 * 1024;
const METADATA_LEVEL = 3;
const METADATA_WRITER_NUMBER = 255;
const UPLOADS_PARALLEL = 4;
/** Pack buffers beyond one for each thread. */
const SPARE_BUFFERS = 1;
/** Where the index is somewhere else, a pack needs leave to be stored as well. */
const ASKED_SPARE_BUFFERS = 2;
/** A small database is done before more of them have loaded. */
const WARM_THREADS_MAX = 2;
/** Of small files. */
const BATCH_BYTES = 2 * 1024 * 1024;
/** An index object is written when this many packs wait for one: what an interrupted backup uploaded is found again. */
const CHECKPOINT_PACKS = 64;
/** Or when their directories are so long: of very many tiny files they would fill the memory. */
const CHECKPOINT_DIRECTORY_BYTES = 2 * 1024 * 1024;

export type IndexSummary = { readonly id: string; readonly bytes: number; readonly packs: number };

/** The protocol side of a session; see src/repository/README.md. */
export type WriteSession = {
  /** 10 bytes. */
  readonly session: Uint8Array;
  /** Makes uploaded packs known although the snapshot is not committed yet. */
  readonly checkpoint: (index: IndexSummary) => Promise<void>;
  /** Called before a pack is stored: remembers it, should this process die before an index names it. */
  readonly onUpload: (pack: FinishedPack) => void;
};

/** Answers which of `count` chunks (ids of 32 bytes) are known, and where they lie. */
export type AskPresence = (ids: Uint8Array, count: number, signal: AbortSignal) => Promise<PresenceAnswer>;

/** Where a backup goes: parameters, keys, and a store of which only `put` is used. */
export type BackupPlace = Pick<OpenedRepository, 'parameters' | 'keyring'> & { readonly store: Pick<ObjectStore, 'put'> };

export type BackupPipelineOptions = {
  readonly repository: BackupPlace;
  readonly write: WriteSession;
  readonly assetId: Uint8Array;
  /** The repository's index; held open by the caller. */
  readonly known: IndexSource | undefined;
  /** Where the index is somewhere else: asks for many chunks at once. */
  readonly ask?: AskPresence | undefined;
  /** A local directory for what the session itself makes. */
  readonly privateRuns: string;
  readonly threads: number;
  /** Used before new ones are started. */
  readonly threadsAhead?: ThreadsAhead | undefined;
  readonly level: number;
  /** Of each thread. */
  readonly levelAtFirst?: PackWriterSpec['levelAtFirst'];
  readonly signal: AbortSignal;
};

export type BackupTotals = WorkerTotals & { readonly bytesStored: number; readonly indexes: readonly IndexSummary[] };

export class BackupPipeline {
  readonly #options: BackupPipelineOptions;
  readonly #pool: ThreadPool<BackupRequest, BackupAnswer>;
  readonly #buffers: PackBuffers;
  readonly #uploads: UploadQueue;
  readonly #metadata: PackWriter;
  readonly #tables: SessionTables;
  /** Of each thread. */
  readonly #questions: (readonly Question[])[] = [];
  #rotating: Promise<void> | undefined;
  /** Threads that may still use the tables before the last rotation. */
  #exchanging = 0;
  readonly #aborted = new AbortController();
  readonly #known = new Map<string, References>();
  readonly #finished: Promise<readonly WorkerTotals[]>;
  readonly #rejectors: ((error: unknown) => void)[] = [];
  #packsToIndex: StoredPack[] = [];
  /** Of those. */
  #directoryBytes = 0;
  #checkpoint: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #bytesStored = 0;
  #indexes: IndexSummary[] = [];

  constructor(options: BackupPipelineOptions) {
    this.#options = options;
    const { repository, write, assetId, threads, level, levelAtFirst, known, privateRuns, signal } = options;
    const { keys, pairId, sealed } = repository.keyring.newSession(write.session, assetId, randomBytes);
    this.#tables = new SessionTables(write.session, privateRuns, known);
    const { parameters, keyring } = repository;
    const packs: PackWriterSpec = {
      kind: 'data',
      session: write.session,
      assetId,
      key: keys.dataKey,
      directoryKey: keyring.directoryKey,
      repositoryId: parameters.id,
      writerNumber: 0,
      level,
      levelAtFirst,
      blockBytes: parameters.blockBytes,
      packBytes: parameters.packBytes,
    };
    const buffers = newPackBuffers(
      threads + (options.ask === undefined ? SPARE_BUFFERS : ASKED_SPARE_BUFFERS),
      packBufferBytes(parameters.packBytes, parameters.blockBytes),
    );
    this.#buffers = new PackBuffers(buffers);
    const anySignal = AbortSignal.any([signal, this.#aborted.signal]);
    // The session's key before its first pack: no block may exist that nobody can open.
    const storeKey = once(async () => {
      await repository.store.put(sessionKeyKey(pairId, write.session), sealed, { signal: anySignal });
    });
    const before = async (pack: FinishedPack): Promise<void> => {
      await storeKey();
      write.onUpload(pack);
    };
    this.#uploads = new UploadQueue(repository.store, UPLOADS_PARALLEL, anySignal, before, (pack) => this.#onStored(pack));
    this.#uploads.onFailure((error) => this.#fail(error));
    const totals: WorkerTotals[] = [];
    let done: (totals: readonly WorkerTotals[]) => void;
    this.#finished = new Promise((resolve) => {
      done = resolve;
    });
    this.#pool = new ThreadPool({
      script: BACKUP_THREAD,
      threads,
      warm: options.threadsAhead,
      dataOf: (thread): BackupThreadSpec => ({
        packs: { ...packs, writerNumber: thread },
        idKey: keyring.payload.idKey,
        chunker: { ...parameters.content, multiplier: keyring.multiplier },
        paged: parameters.paged,
        buffers,
        tables: this.#tables.current,
        question: options.ask === undefined ? undefined : this.#newQuestion(thread),
      }),
      onMessage: (answer, thread) => {
        if (answer.kind === 'ask') this.#answer(thread, answer, anySignal);
        else if (answer.kind === 'pack') {
          const { pack } = answer;
          this.#uploads.add(pack, this.#buffers.bytes(pack.buffer).subarray(0, pack.length), () => this.#buffers.free(pack.buffer));
        } else if (answer.kind === 'tables') this.#onTablesExchanged();
        else if (answer.kind === 'finished') {
          totals.push(answer.totals);
          if (totals.length === this.#pool.started) done(totals);
        }
      },
    });
    this.#pool.onFailure((error) => this.#fail(error));
    this.#metadata = this.#newMetadataWriter({ ...packs, kind: 'metadata', key: keys.metadataKey });
    signal.addEventListener('abort', () => this.#fail(signal.reason), { once: true });
  }

  /** About as many bytes of small files are worth a job: where the index must be asked, each asks once. */
  get batchBytes(): number {
    return this.#options.ask === undefined ? BATCH_BYTES : STAGE_BYTES;
  }

  /** Bytes of a stream that a thread takes at a time at the most. */
  static readonly streamWindowBytes = CHUNKER_WINDOW_BYTES;

  /** Bytes that reached the store so far. */
  get bytesStored(): number {
    return this.#uploads.bytesStored + this.#bytesStored;
  }

  /** Has threads loaded while there is nothing for them to do yet: for a source that will be read whole, and takes a while to be reached. An empty
   *  job each, so that none is ended before it has loaded. */
  warmUp(): void {
    for (let n = 0; n < Math.min(this.#options.threads, WARM_THREADS_MAX); n++)
      this.#pool.run({ kind: 'files', job: 0, tasks: [] }).catch(() => {}); // What went wrong is told to all.
  }

  /** Resolves when the workers can take another job: the brake that bounds memory. */
  async room(): Promise<void> {
    await this.#pool.room(this.#options.threads);
    this.throwIfFailed();
  }

  /** As `room`, for a batch: as many may wait as it takes until another thread is started for them. */
  async roomForBatch(): Promise<void> {
    await this.#pool.room(Math.max(SMALL_JOBS_WAITING_MAX, this.#options.threads));
    this.throwIfFailed();
  }

  /** `handedOver`: buffers of the tasks' bytes that the caller does not need any more. */
  async runFiles(tasks: readonly FileTask[], handedOver: ArrayBuffer[] = []): Promise<readonly FileTaskResult[]> {
    const answer = await this.#pool.run({ kind: 'files', job: 0, tasks }, handedOver);
    invariant(answer.kind === 'files', 'a files job is answered with files');
    this.#rotateTables();
    return answer.results;
  }

  async runBatch(batch: FileBatch): Promise<FileBatchResult> {
    const answer = await this.#pool.run({ kind: 'batch', job: 0, batch }, [batch.stats.buffer as ArrayBuffer], true);
    invariant(answer.kind === 'batch', 'a batch is answered with its result');
    this.#rotateTables();
    return answer.result;
  }

  async runChunks(bytes: Uint8Array, ends: Uint32Array): Promise<References> {
    const answer = await this.#pool.run({ kind: 'chunks', job: 0, bytes, ends });
    invariant(answer.kind === 'chunks', 'a chunks job is answered with references');
    this.#rotateTables();
    return answer.references;
  }

  /** Stores a node, unless it is one that this session or the parent snapshot has. */
  putNode(node: Uint8Array): References {
    const id = this.#options.repository.keyring.ids.id(node);
    const digest = id.subarray(0, 16);
    const known = this.#known.get(digest.toString('latin1'));
    if (known !== undefined) return known;
    const room = this.#metadata.room(node.length);
    room.set(node);
    const offset = this.#metadata.keep(node.length, EXTENT_NODE, id);
    const block = new Uint8Array(BLOCK_ID_BYTES);
    block.set(this.#options.write.session);
    writeCounter(block, SESSION_BYTES, this.#metadata.blockCounter);
    return packReference(block, digest, offset, node.length);
  }

  /** Makes a node of the parent snapshot known to `putNode`. */
  expectNode(reference: References): void {
    if (reference.length > 0) this.#known.set(Buffer.from(reference.subarray(16, 32)).toString('latin1'), reference);
  }

  /** What went wrong first. Whatever else fails afterwards fails because of it. */
  get failure(): unknown {
    return this.#failure?.error;
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Closes everything that is open and makes it durable. The snapshot may be committed afterwards. */
  async finish(): Promise<BackupTotals> {
    this.#pool.broadcast({ kind: 'finish' } satisfies BackupRequest);
    const totals = this.#pool.started === 0 ? [] : await Promise.race([this.#finished, this.#failed()]);
    this.#metadata.flush();
    await this.#uploads.drain();
    await this.#checkpoint;
    this.throwIfFailed();
    if (this.#packsToIndex.length > 0) await this.#writeIndex();
    const sum = (of: (one: WorkerTotals) => number): number => totals.reduce((all, one) => all + of(one), 0);
    return {
      bytesRead: sum((one) => one.bytesRead),
      chunks: sum((one) => one.chunks),
      newChunks: sum((one) => one.newChunks),
      newBytes: sum((one) => one.newBytes),
      zeroBytes: sum((one) => one.zeroBytes),
      bytesStored: this.bytesStored,
      indexes: this.#indexes,
    };
  }

  /** After a failure: what was uploaded so far becomes known to the next backup, as far as the store allows. */
  async salvage(): Promise<void> {
    await this.#checkpoint.catch(() => {});
    if (this.#packsToIndex.length === 0) return;
    const index = await this.#writeIndex();
    await this.#options.write.checkpoint(index);
  }

  async close(): Promise<void> {
    this.#aborted.abort(new Fault('INTERRUPTED', 'The backup ended'));
    this.#giveUpWaiting();
    await this.#rotating;
    await this.#pool.close();
    this.#metadata.close();
    this.#tables.close();
  }

  #newQuestion(thread: number): QuestionMemory {
    const memory = newQuestionMemory();
    this.#questions[thread] = memory.map((one) => new Question(one));
    if (this.#failure !== undefined) this.#giveUpWaiting();
    return memory;
  }

  #answer(thread: number, asked: Extract<BackupAnswer, { readonly kind: 'ask' }>, signal: AbortSignal): void {
    const { count, isAwaited } = asked;
    const question = this.#questions[thread]![asked.question]!;
    // A copy: what is sent must not lie in shared memory.
    const ids = question.ids.slice(0, count * ID_BYTES);
    this.#options.ask!(ids, count, signal).then(
      (answer) => {
        question.answer(answer);
        if (isAwaited) this.#pool.post(thread, { kind: 'answered', question: asked.question } satisfies BackupRequest);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #giveUpWaiting(): void {
    this.#buffers.giveUp();
    if (this.#questions.length === 0) return;
    for (const questions of this.#questions) for (const question of questions) question.giveUp();
    this.#pool.broadcast({ kind: 'given-up' } satisfies BackupRequest);
  }

  #rotateTables(): void {
    if (!this.#tables.isFull || this.#rotating !== undefined) return;
    this.#rotating = this.#tables
      .rotate()
      .then(() => {
        this.#exchanging = this.#pool.started;
        this.#pool.broadcast({ kind: 'tables', tables: this.#tables.current } satisfies BackupRequest);
      })
      .catch((error: unknown) => this.#fail(error));
  }

  /** The next rotation may begin when no thread uses the old tables any more. */
  #onTablesExchanged(): void {
    if (--this.#exchanging > 0) return;
    this.#tables.exchanged();
    this.#rotating = undefined;
  }

  #failed(): Promise<never> {
    return new Promise((_, reject) => {
      if (this.#failure !== undefined) reject(this.#failure.error);
      this.#rejectors.push(reject);
    });
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#giveUpWaiting();
    this.#aborted.abort(error);
    for (const reject of this.#rejectors) reject(error);
  }

  #onStored(pack: StoredPack): void {
    this.#packsToIndex.push(pack);
    this.#directoryBytes += pack.directory.length;
    if (!this.#isCheckpointDue()) return;
    this.#checkpoint = this.#checkpoint.then(async () => {
      if (this.#isCheckpointDue()) await this.#options.write.checkpoint(await this.#writeIndex());
    });
    this.#checkpoint.catch((error: unknown) => this.#fail(error));
  }

  #isCheckpointDue(): boolean {
    return this.#packsToIndex.length >= CHECKPOINT_PACKS || this.#directoryBytes >= CHECKPOINT_DIRECTORY_BYTES;
  }

  async #writeIndex(): Promise<IndexSummary> {
    const { repository, write } = this.#options;
    const packs = this.#packsToIndex.map((pack): IndexedPack => ({ ...pack, session: write.session }));
    this.#packsToIndex = [];
    this.#directoryBytes = 0;
    const { id, bytes } = encodeIndexObject(packs, repository.keyring, randomBytes);
    await repository.store.put(indexKey(id), bytes);
    this.#bytesStored += bytes.length;
    const index = { id, bytes: bytes.length, packs: packs.length };
    this.#indexes.push(index);
    return index;
  }

  // Nodes are few. Their packs have buffers of their own, made when needed, because the main thread must never wait for one.
  #newMetadataWriter(spec: PackWriterSpec): PackWriter {
    const bytes = packBufferBytes(METADATA_PACK_BYTES, NODE_BYTES_MAX);
    const free: Uint8Array[] = [];
    let taken: Uint8Array = new Uint8Array(0);
    return new PackWriter(
      {
        ...spec,
        writerNumber: METADATA_WRITER_NUMBER,
        level: METADATA_LEVEL,
        blockBytes: METADATA_BLOCK_BYTES,
        extentBytesMax: NODE_BYTES_MAX,
        packBytes: METADATA_PACK_BYTES,
      },
      {
        claim: () => {
          taken = free.pop() ?? new Uint8Array(bytes);
          return { position: 0, bytes: taken };
        },
        emit: (pack) => {
          const buffer = taken;
          this.#uploads.add(pack, buffer.subarray(0, pack.length), () => free.push(buffer));
        },
        random: randomBytes,
      },
    );
  }
}

/** The first call's promise, for every call. */
function once(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= action());
}
