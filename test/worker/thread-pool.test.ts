import { describe, expect, it } from 'vitest';
import { ThreadPool } from '../../src/worker/thread-pool.ts';

type Request = { readonly what: string };
type Answer = { readonly kind: string };

/** Does what a job says: "work" keeps its thread busy for a while, "wait" is never answered. */
const SCRIPT = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', ({ job, what }) => {
    if (what === 'wait') return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    parentPort.postMessage({ job, kind: 'done' });
  });`;

const pool = (): ThreadPool<Request, Answer> =>
  new ThreadPool({
    script: new URL(
      `data:text/javascript,${encodeURIComponent(`import { createRequire } from 'node:module'; const require = createRequire('/'); ${SCRIPT}`)}`,
    ),
    threads: 2,
    dataOf: () => undefined,
    onMessage: () => {},
  });

const outcome = (job: Promise<Answer>): Promise<string> =>
  job.then(
    ({ kind }) => kind,
    () => 'given up',
  );

describe('a pool of threads that is closed', () => {
  it('ends no thread in the middle of a job, and gives up those that none has begun', async () => {
    const threads = pool();
    const jobs = Array.from({ length: 6 }, () => outcome(threads.run({ what: 'work' })));
    await threads.close();
    const ends = await Promise.all(jobs);
    expect(ends.filter((end) => end === 'done')).toHaveLength(4);
    expect(ends.filter((end) => end === 'given up')).toHaveLength(2);
  });

  it('does not wait for ever for a job that waits for an answer', async () => {
    const threads = pool();
    const jobs = [outcome(threads.run({ what: 'wait' })), outcome(threads.run({ what: 'work' }))];
    await threads.close();
    expect(await Promise.all(jobs)).toEqual(['given up', 'done']);
  });
});
