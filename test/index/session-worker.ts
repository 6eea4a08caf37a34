// Run by session-table.test.ts in four threads at once: all insert the same ids, with places that name the thread and depend on each
// other, so that a mixture of two writers' words shows.

import { parentPort, workerData } from 'node:worker_threads';
import { newSessionPlace, SessionTable } from '../../src/index/session-table.ts';

export type HammerTask = {
  readonly memory: SharedArrayBuffer;
  readonly gate: SharedArrayBuffer;
  readonly thread: number;
  readonly threads: number;
  readonly rounds: number;
  readonly seed: number;
};
/** For each id: whether this thread inserted it, and the counter it learned. */
export type HammerAnswer = { readonly inserted: Uint8Array; readonly counters: Float64Array; readonly torn: number };

if (parentPort !== null) {
  const { memory, gate, thread, threads, rounds, seed } = workerData as HammerTask;
  const table = new SessionTable(memory);
  const arrived = new Int32Array(gate);
  const id = new Uint8Array(32);
  const words = new Uint32Array(id.buffer);
  const out = newSessionPlace();
  const inserted = new Uint8Array(rounds);
  const counters = new Float64Array(rounds);
  let torn = 0;
  const learn = (n: number) => {
    if (out.offset !== out.counter % 1000 || out.length !== (out.counter * 7) % 65_536) torn++;
    counters[n] = out.counter;
  };
  for (let n = 0; n < rounds; n++) {
    // Everybody starts a hundred ids together, so that they meet in the same slots.
    if (n % 100 === 0) {
      Atomics.add(arrived, 0, 1);
      while (Atomics.load(arrived, 0) < (n / 100 + 1) * threads) Atomics.wait(arrived, 0, Atomics.load(arrived, 0), 0.01);
    }
    for (let w = 0; w < 8; w++) words[w] = Math.imul(n * 8 + w + seed, 0x9e3779b1);
    const counter = thread * 2 ** 33 + n;
    const answer = table.findOrInsert(id, counter, counter % 1000, (counter * 7) % 65_536, out);
    if (answer === 'refused') throw new Error('a table with room refused');
    if (answer === 'inserted') {
      inserted[n] = 1;
      counters[n] = counter;
      if (!table.find(id, out)) torn++;
    }
    if (answer === 'found') learn(n);
  }
  parentPort.postMessage({ inserted, counters, torn } satisfies HammerAnswer);
}
