// A worker of a backup: reads, cuts, names, compresses, seals and packs. It does everything for its tasks by itself, so data is never
// handed from thread to thread, except finished packs.

import { randomBytes } from 'node:crypto';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { IdHasher } from '../codec/chunk-id.ts';
import { Chunker } from '../codec/chunker.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { AskedChunks, type QuestionMemory } from './asked-chunks.ts';
import { type BackupAnswer, type BackupRequest, type BackupThreadSpec, CHUNKER_WINDOW_BYTES } from './backup-task.ts';
import { openKnownChunks, openSessionChunks } from './chunk-tables.ts';
import { ContentCutter, type SentStage } from './content-cutter.ts';
import { Dedup } from './dedup.ts';
import type { FileBatchResult, WorkerTotals } from './file-task.ts';
import { PackBuffers } from './pack-buffers.ts';
import { GivenUp, PackWriter } from './pack-writer.ts';
import { PagedCutter } from './paged-cutter.ts';
import { readFileBatch, readFileTask } from './source-file.ts';
import { encodeThreadFault } from './thread-fault.ts';

/** Where the index must be asked: one question for what stands in the window, and a thread does nothing else until it is answered. */
const ASKED_WINDOW_BYTES = 16 * 1024 * 1024;

type WaitingBatch = {
  readonly job: number;
  readonly result: FileBatchResult;
  readonly sent: readonly SentStage[];
  /** Of these, questions without an answer. */
  readonly open: Set<number>;
};

/** Answers what handles its requests, one after the other. */
async function open(port: MessagePort, spec: BackupThreadSpec): Promise<(request: BackupRequest) => Promise<void>> {
  const send = (answer: BackupAnswer): void => port.postMessage(answer);
  const buffers = new PackBuffers(spec.buffers);
  const packs = new PackWriter(spec.packs, {
    claim: () => {
      const position = buffers.claim();
      return position === undefined ? undefined : { position, bytes: buffers.bytes(position) };
    },
    emit: (pack) => send({ kind: 'pack', pack }),
    random: randomBytes,
  });
  const { session } = spec.packs;
  const ids = new IdHasher(spec.idKey);
  const chunker = new Chunker(spec.chunker, spec.question === undefined ? CHUNKER_WINDOW_BYTES : ASKED_WINDOW_BYTES);
  const asked = spec.question === undefined ? undefined : askedChunks(spec.question, send);
  const dedup = new Dedup(session, openSessionChunks(spec.tables.made), await openKnownChunks(spec.tables.known, asked));
  const content = new ContentCutter(chunker, spec.chunker.minBytes, session, ids, dedup, packs);
  const isZero = (bytes: Uint8Array): boolean => isZeroInWindow(chunker, bytes);
  const paged = new PagedCutter(spec.paged, chunker, session, ids, dedup, packs, isZero);
  let bytesRead = 0;
  /** Batches that were read and wait to learn what of them is known, in order. */
  const waiting: WaitingBatch[] = [];
  const answerBatch = (job: number, batch: FileBatchResult, sent: readonly SentStage[] | undefined): void => {
    const result = sent === undefined ? batch : { ...batch, references: content.takeSent(sent) };
    const transfer = [result.references.buffer as ArrayBuffer, result.referenceCounts.buffer as ArrayBuffer];
    port.postMessage({ kind: 'batch', job, result } satisfies BackupAnswer, transfer);
  };

  return async (request) => {
    if (request.kind === 'files') {
      const results = request.tasks.map((task) => readFileTask(task, content, paged, chunker.scanner));
      for (const result of results) bytesRead += result.bytesRead;
      send({ kind: 'files', job: request.job, results });
    } else if (request.kind === 'batch') {
      const { sent, ...result } = readFileBatch(request.batch, content);
      bytesRead += result.bytesRead;
      // With an answer that is there already, or none to wait for, nobody will tell.
      const open = new Set((sent ?? []).flatMap(({ asked: { question } }) => (question === undefined ? [] : [question])));
      if (open.size === 0) answerBatch(request.job, result, sent);
      else waiting.push({ job: request.job, result, sent: sent!, open });
    } else if (request.kind === 'answered') {
      // Of a question that was waited for in the meantime nobody needs to hear; where its number stands for another one by now, that is waited for.
      waiting.find(({ open }) => open.delete(request.question));
      // In order: a later one may count on what an earlier one has asked.
      while (waiting[0]?.open.size === 0) {
        const { job, result, sent } = waiting.shift()!;
        answerBatch(job, result, sent);
      }
    } else if (request.kind === 'given-up') {
      const fault = encodeThreadFault(new GivenUp('The backup was given up'));
      for (const { job } of waiting.splice(0)) port.postMessage({ ...fault, job });
    } else if (request.kind === 'chunks') {
      let from = 0;
      for (const end of request.ends) {
        content.addChunk(request.bytes.subarray(from, end));
        from = end;
      }
      bytesRead += from;
      send({ kind: 'chunks', job: request.job, references: content.takeReferences() });
    } else if (request.kind === 'tables') {
      dedup.exchange(openSessionChunks(request.tables.made), await openKnownChunks(request.tables.known, asked));
      send({ kind: 'tables' });
    } else {
      packs.flush();
      packs.close();
      const totals: WorkerTotals = {
        bytesRead,
        chunks: content.chunks + paged.chunks,
        newChunks: content.newChunks + paged.newChunks,
        newBytes: content.newBytes + paged.newBytes,
        zeroBytes: paged.zeroBytes,
      };
      send({ kind: 'finished', totals });
      port.close();
    }
  };
}

/** `spec`: undefined in a thread that was started ahead; then it is the first message. */
function start(port: MessagePort, spec: BackupThreadSpec | undefined): void {
  let opened = spec === undefined ? undefined : open(port, spec);
  let last: Promise<unknown> = Promise.resolve(opened);
  port.on('message', (message: BackupThreadSpec | BackupRequest) => {
    if (opened === undefined) {
      opened = open(port, message as BackupThreadSpec);
      last = opened;
      return;
    }
    const handle = opened;
    const request = message as BackupRequest;
    last = last
      .then(async () => (await handle)(request))
      .catch((error: unknown) => {
        // Without a job nobody waits for the answer: let the thread fail.
        if (!('job' in request)) throw error;
        port.postMessage({ ...encodeThreadFault(error), job: request.job });
      });
  });
  if (spec !== undefined) return;
  // What needs no spec is made at once.
  posixCalls();
  port.postMessage({ kind: 'ready' });
}

function askedChunks(memory: QuestionMemory, send: (answer: BackupAnswer) => void): AskedChunks {
  const giveUp = (): never => {
    throw new GivenUp('The backup was given up');
  };
  const tell = (question: number, count: number, isAwaited: boolean): void => send({ kind: 'ask', question, count, isAwaited });
  return new AskedChunks(memory, { tell, giveUp });
}

function isZeroInWindow({ scanner, window }: Chunker, bytes: Uint8Array): boolean {
  const start = bytes.byteOffset - window.byteOffset;
  return scanner.isZero(start, start + bytes.length);
}

if (parentPort !== null) start(parentPort, (workerData ?? undefined) as BackupThreadSpec | undefined);
