// A thread that walks a tree, from a place on that another walk has come to, and posts what it finds, a bounded number of batches ahead of
// who takes them.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { walk } from '../files/walk.ts';
import { walkOptionsOf } from '../files/walk-request.ts';
import { encodeThreadFault } from './thread-fault.ts';
import { STOPPED, TAKEN, type WalkMessage, type WalkThreadSpec } from './walk-message.ts';
import { WalkedBatchWriter } from './walked-batch.ts';

const BATCH_ENTRIES = 1000;
const BATCHES_AHEAD = 8;

function run(port: MessagePort, { location, request, after, memory }: WalkThreadSpec): void {
  const words = new Int32Array(memory);
  if (Atomics.load(words, STOPPED) !== 0) return;
  const writer = new WalkedBatchWriter(BATCH_ENTRIES);
  let posted = 0;
  /** False when nobody wants more. */
  const post = (): boolean => {
    const batch = writer.take();
    const transfer = [batch.small.buffer as ArrayBuffer, batch.large.buffer as ArrayBuffer];
    port.postMessage({ kind: 'batch', batch } satisfies WalkMessage, transfer);
    posted++;
    for (;;) {
      const taken = Atomics.load(words, TAKEN);
      if (Atomics.load(words, STOPPED) !== 0) return false;
      if (posted - taken < BATCHES_AHEAD) return true;
      Atomics.wait(words, TAKEN, taken);
    }
  };
  for (const item of walk([location], { ...walkOptionsOf(request), after })) {
    writer.add(item);
    if (writer.entries === BATCH_ENTRIES && !post()) return;
  }
  post();
}

if (parentPort !== null) {
  const port = parentPort;
  try {
    run(port, workerData as WalkThreadSpec);
    port.postMessage({ kind: 'end' } satisfies WalkMessage);
  } catch (error) {
    port.postMessage(encodeThreadFault(error));
  }
}
