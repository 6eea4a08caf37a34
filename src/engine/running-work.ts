// Work that goes on side by side. What goes wrong first is kept for whoever waits for it; nothing is rejected meanwhile.

export class RunningWork {
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  get size(): number {
    return this.#running.size;
  }

  start(work: Promise<void>): void {
    const running: Promise<void> = work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Until all of it is done, well or not, what it starts meanwhile included. */
  async over(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** What went wrong first. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
