// Takes items out of a synchronous source while its consumer waits for something else (a key to be derived, the head of the repository):
// a slice at a time, between other events. What was taken is handed on in order, and then the rest.

/** Items in a slice: well below a millisecond for a walk. */
const SLICE_ITEMS = 100;

export class ReadAhead<T> {
  readonly #source: Iterator<T>;
  readonly #itemsMax: number;
  #taken: T[] = [];
  #isRunning = true;
  #failure: { readonly error: unknown } | undefined;

  /** `itemsMax`: what waits at the most. */
  constructor(source: Iterable<T>, itemsMax: number) {
    this.#source = source[Symbol.iterator]();
    this.#itemsMax = itemsMax;
    setImmediate(() => this.#slice());
  }

  /** All items, once. */
  *items(): Generator<T, void, undefined> {
    this.#isRunning = false;
    try {
      const taken: (T | undefined)[] = this.#taken;
      this.#taken = [];
      for (let n = 0; n < taken.length; n++) {
        const item = taken[n]!;
        taken[n] = undefined; // is garbage when the consumer is done with it
        yield item;
      }
      // What the source has thrown comes after what it gave.
      if (this.#failure !== undefined) throw this.#failure.error;
      for (let next = this.#source.next(); next.done !== true; next = this.#source.next()) yield next.value;
    } finally {
      this.close();
    }
  }

  /** Takes no more; lets the source release what it holds. */
  close(): void {
    this.#isRunning = false;
    this.#taken = [];
    this.#source.return?.();
  }

  #slice(): void {
    if (!this.#isRunning) return;
    try {
      for (let n = 0; n < SLICE_ITEMS; n++) {
        const next = this.#source.next();
        if (next.done === true) return;
        this.#taken.push(next.value);
      }
    } catch (error) {
      this.#failure = { error };
      return;
    }
    if (this.#taken.length < this.#itemsMax) setImmediate(() => this.#slice());
  }
}
