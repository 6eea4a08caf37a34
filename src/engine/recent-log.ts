// Objects of a log that this process stored a moment ago, byte for byte: who follows the log here need not read them again, nor ask again and
// again whether the next one is there. Only what the store has acknowledged is kept, so who reads here is never ahead of it.

const KEPT_BYTES_MAX = 32 * 1024 * 1024;

export class RecentLog {
  /** The oldest first. */
  readonly #kept = new Map<string, Uint8Array>();
  #bytes = 0;
  #waiting: (() => void)[] = [];
  /** Objects that were stored so far. */
  count = 0;

  keep(key: string, bytes: Uint8Array): void {
    this.forget(key);
    this.#kept.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= KEPT_BYTES_MAX) break;
      this.forget(oldest);
    }
    this.tell();
  }

  /** One was stored, and need not be kept. */
  tell(): void {
    this.count++;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Undefined: the store must be asked. */
  get(key: string): Uint8Array | undefined {
    return this.#kept.get(key);
  }

  forget(key: string): void {
    this.#bytes -= this.#kept.get(key)?.length ?? 0;
    this.#kept.delete(key);
  }

  /** Until more than `count` were stored, or so long at the most. */
  async more(count: number, timeoutMs: number): Promise<void> {
    if (this.count !== count) return;
    let wake = (): void => {};
    const kept = new Promise<void>((resolve) => {
      this.#waiting.push((wake = resolve));
    });
    const timer = setTimeout(wake, timeoutMs);
    await kept;
    clearTimeout(timer);
    this.#waiting = this.#waiting.filter((one) => one !== wake);
  }
}
