// Threads that work on jobs: each thread has a short queue of its own, so that it never waits for the main thread between two jobs.

import { Worker } from 'node:worker_threads';
import { decodeThreadFault, type ThreadFault } from './thread-fault.ts';

/** Jobs in a thread's queue, the running one included. */
const JOBS_PER_THREAD = 2;
/** For jobs that wait for an answer which does not come any more. */
const CLOSE_PATIENCE_MS = 3_000;
/** Small jobs that wait before another thread is started for them: a start takes as long as several. */
export const SMALL_JOBS_WAITING_MAX = 6;
/** A small young generation: the threads make little garbage, and memory that is not touched is not resident. */
const YOUNG_GENERATION_MB = 1;

/** Threads that load their code before anybody knows what they will work on: a thread takes as long to start as a key to be derived. Their
 *  script finds no `workerData`, and gets that as its first message. */
export class WarmThreads {
  readonly #threads: WarmThread[] = [];

  constructor(script: URL, threads: number) {
    for (let n = 0; n < threads; n++) this.#threads.push(warmThread(script));
  }

  /** Undefined when there is none left. */
  take(data: unknown): Worker | undefined {
    // One that has failed is not handed out; the one in its place will fail as well, where somebody hears it.
    let warm = this.#threads.shift();
    while (warm?.hasEnded() === true) warm = this.#threads.shift();
    warm?.release();
    warm?.thread.postMessage(data);
    return warm?.thread;
  }

  /** Ends those that nobody took; not before they have loaded and said so: Node can abort when a thread is ended while it loads (seen in 3
   *  of 84 runs). */
  async close(): Promise<void> {
    await Promise.all(
      this.#threads.splice(0).map(async ({ thread, loaded }) => {
        await loaded;
        await thread.terminate();
      }),
    );
  }
}

type WarmThread = {
  readonly thread: Worker;
  /** It has loaded, or ended. */
  readonly loaded: Promise<void>;
  readonly hasEnded: () => boolean;
  /** Takes our listeners away, and no others: Node has some of its own that keep its messages coming. */
  readonly release: () => void;
};

function warmThread(script: URL): WarmThread {
  const thread = newThread(script, undefined);
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  let ended = false;
  const onMessage = (): void => resolve();
  const onEnd = (): void => {
    ended = true;
    resolve();
  };
  thread.on('message', onMessage).on('error', onEnd).on('exit', onEnd);
  const release = (): void => void thread.off('message', onMessage).off('error', onEnd).off('exit', onEnd);
  return { thread, loaded, hasEnded: () => ended, release };
}

function newThread(script: URL, workerData: unknown): Worker {
  return new Worker(script, { workerData, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
}

export type ThreadPoolOptions<Answer> = {
  readonly script: URL;
  readonly threads: number;
  readonly dataOf: (thread: number) => unknown;
  /** Used before new ones are started. */
  readonly warm?: WarmThreads | undefined;
  /** Every message of a thread that is not the answer to a job (has no `job`). */
  readonly onMessage: (message: Answer, thread: number) => void;
};

function isThreadFault(answer: { readonly kind: string }): answer is ThreadFault {
  return answer.kind === 'fault';
}

type Queued<Request> = {
  readonly request: Request & { readonly job: number };
  readonly transfer: ArrayBuffer[];
  readonly isSmall: boolean;
};
type Waiting<Answer> = { readonly resolve: (answer: Answer) => void; readonly reject: (error: unknown) => void };

export class ThreadPool<Request extends object, Answer extends { readonly kind: string }> {
  readonly #options: ThreadPoolOptions<Answer>;
  readonly #workers: Worker[] = [];
  readonly #load: number[] = [];
  readonly #waiting = new Map<number, Waiting<Answer> & { readonly thread: number }>();
  readonly #queue: Queued<Request>[] = [];
  readonly #idle: (() => void)[] = [];
  #nextJob = 0;
  #isClosing = false;
  #onQuiet: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  #onFailure: ((error: unknown) => void) | undefined;

  constructor(options: ThreadPoolOptions<Answer>) {
    this.#options = options;
  }

  /** Threads that were started: a thread starts when there is a job and every other one is busy. */
  get started(): number {
    return this.#workers.length;
  }

  /** Called once, when a thread failed; its jobs are rejected as well. */
  onFailure(listener: (error: unknown) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== undefined) listener(this.#failure.error);
  }

  /** Jobs that no thread has taken yet. */
  get queued(): number {
    return this.#queue.length;
  }

  /** `isSmall`: not worth the start of another thread, before several such jobs wait. */
  run(request: Request, transfer: ArrayBuffer[] = [], isSmall = false): Promise<Answer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    const job = this.#nextJob++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(job, { resolve, reject, thread: -1 });
      this.#queue.push({ request: { ...request, job }, transfer, isSmall });
      this.#pump();
    });
  }

  /** Resolves when the queue is shorter than `jobs`. */
  async room(jobs: number): Promise<void> {
    while (this.#queue.length >= jobs && this.#failure === undefined)
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** To every started thread, outside the queue. */
  broadcast(message: unknown): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /** To one started thread, outside the queue. */
  post(thread: number, message: unknown): void {
    this.#workers[thread]?.postMessage(message);
  }

  /** Hands out no more jobs, and ends the threads when they have done those that they have, or after some seconds: to end a thread within a
   *  call into C aborts the whole process (seen once, in a backup that failed on a full disk). */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (!this.#isQuiet) {
      const { promise: isOver, resolve } = Promise.withResolvers<void>();
      this.#onQuiet = resolve;
      const patience = setTimeout(resolve, CLOSE_PATIENCE_MS);
      await isOver;
      clearTimeout(patience);
    }
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  get #isQuiet(): boolean {
    return this.#failure !== undefined || this.#load.every((jobs) => jobs === 0);
  }

  #pump(): void {
    while (this.#queue.length > 0 && !this.#isClosing) {
      const thread = this.#leastBusy(this.#queue[0]!.isSmall && this.#queue.length < SMALL_JOBS_WAITING_MAX);
      if (this.#load[thread]! >= JOBS_PER_THREAD) return;
      const { request, transfer } = this.#queue.shift()!;
      this.#load[thread]!++;
      this.#waiting.set(request.job, { ...this.#waiting.get(request.job)!, thread });
      this.#workers[thread]!.postMessage(request, transfer);
      for (const wake of this.#idle.splice(0)) wake();
    }
  }

  /** `isPatient`: of those that are there, if there is one. */
  #leastBusy(isPatient: boolean): number {
    let thread = 0;
    for (let i = 1; i < this.#load.length; i++) if (this.#load[i]! < this.#load[thread]!) thread = i;
    if (isPatient && this.#load.length > 0) return thread;
    if (this.#load[thread] === 0 || this.#workers.length === this.#options.threads) return thread;
    this.#start();
    return this.#workers.length - 1;
  }

  #start(): void {
    const { script, dataOf, warm, onMessage } = this.#options;
    const thread = this.#workers.length;
    const data = dataOf(thread);
    const worker = warm?.take(data) ?? newThread(script, data);
    worker.on('message', (message: (Answer | ThreadFault) & { readonly job?: number }) => {
      if (message.job === undefined) onMessage(message as Answer, thread);
      else this.#finish(message.job, message);
    });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => {
      if (code !== 0) this.#fail(new Error(`Thread ${thread} ended with ${code}`));
    });
    this.#workers.push(worker);
    this.#load.push(0);
  }

  #finish(job: number, answer: Answer | ThreadFault): void {
    const waiting = this.#waiting.get(job);
    if (waiting === undefined) return;
    this.#waiting.delete(job);
    this.#load[waiting.thread]!--;
    this.#pump();
    if (this.#isQuiet) this.#onQuiet?.();
    if (isThreadFault(answer)) waiting.reject(decodeThreadFault(answer));
    else waiting.resolve(answer);
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#queue.length = 0;
    for (const wake of this.#idle.splice(0)) wake();
    this.#onQuiet?.();
    this.#onFailure?.(error);
  }
}
