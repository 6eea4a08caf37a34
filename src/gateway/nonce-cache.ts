// Which nonces were used within the time in which a signature is good. Two generations, each as long as that time: a nonce is known for at
// least one and at most two of them. Full means refusing, never forgetting: a replay is worse than a busy service.

const NONCES_MAX = 1_000_000;

export class NonceCache {
  readonly #generationMs: number;
  readonly #max: number;
  #current = new Set<string>();
  #previous = new Set<string>();
  #rotatedAt: number;

  /** `generationMs`: the longest time after which a signature can still be good. */
  constructor(generationMs: number, nowMs: number, max = NONCES_MAX) {
    this.#generationMs = generationMs;
    this.#rotatedAt = nowMs;
    this.#max = max;
  }

  take(nonce: string, nowMs: number): 'fresh' | 'used' | 'full' {
    this.#rotate(nowMs);
    if (this.#current.has(nonce) || this.#previous.has(nonce)) return 'used';
    if (this.#current.size + this.#previous.size >= this.#max) return 'full';
    this.#current.add(nonce);
    return 'fresh';
  }

  #rotate(nowMs: number): void {
    const elapsed = nowMs - this.#rotatedAt;
    // A clock that is set back keeps what is known.
    if (elapsed < this.#generationMs) return;
    this.#previous = elapsed < 2 * this.#generationMs ? this.#current : new Set();
    this.#current = new Set();
    this.#rotatedAt = nowMs;
  }
}
