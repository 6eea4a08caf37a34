// Work that may take longer than a request: the same request joins it, and what nobody asks for any more is ended.

const FORGOTTEN_MS = 60_000;

export type Joined = { readonly kind: 'done'; readonly value: unknown } | { readonly kind: 'waiting' };

type Shared = { readonly work: Promise<unknown>; readonly abort: AbortController; forget: NodeJS.Timeout };

export class SharedCalls {
  readonly #running = new Map<string, Shared>();

  /** Throws what the work throws. */
  async join(key: string, holdMs: number, begin: (signal: AbortSignal) => Promise<unknown>): Promise<Joined> {
    const shared = this.#running.get(key) ?? this.#begin(key, begin);
    clearTimeout(shared.forget);
    shared.forget = this.#forgetLater(shared.abort);
    let timer: NodeJS.Timeout | undefined;
    const waiting = new Promise<Joined>((resolve) => {
      timer = setTimeout(() => resolve({ kind: 'waiting' }), holdMs);
    });
    try {
      return await Promise.race([waiting, shared.work.then((value): Joined => ({ kind: 'done', value }))]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    for (const { abort, forget } of this.#running.values()) {
      clearTimeout(forget);
      abort.abort();
    }
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<unknown>): Shared {
    const abort = new AbortController();
    const shared: Shared = { work: begin(abort.signal), abort, forget: this.#forgetLater(abort) };
    this.#running.set(key, shared);
    const over = (): void => {
      clearTimeout(shared.forget);
      this.#running.delete(key);
    };
    shared.work.then(over, over);
    return shared;
  }

  #forgetLater(abort: AbortController): NodeJS.Timeout {
    return setTimeout(() => abort.abort(), FORGOTTEN_MS).unref();
  }
}
