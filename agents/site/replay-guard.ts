// Which requests were not seen before, by a clock that nobody can set (see site-message.ts).

import { timeOfLife, WINDOW_MS } from './site-message.ts';

/** Far more than a window of honest traffic; beyond it requests are refused, never forgotten. */
const NONCES_MAX = 200_000;

export class ReplayGuard {
  readonly life: string;
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, number>();

  /** `nowMs` never goes back. */
  constructor(life: string, nowMs: () => number) {
    this.life = life;
    this.#nowMs = nowMs;
  }

  get nowMs(): number {
    return this.#nowMs();
  }

  /** Call it when the signature is proven: what is not signed must not fill the memory. */
  admit(time: string, nonce: string): 'fresh' | 'stale' | 'replayed' {
    const at = Number(time.slice(time.lastIndexOf('.') + 1));
    const now = this.#nowMs();
    this.#forget(now);
    if (timeOfLife(this.life, at) !== time || Math.abs(now - at) > WINDOW_MS) return 'stale';
    if (this.#seen.has(nonce)) return 'replayed';
    if (this.#seen.size >= NONCES_MAX) return 'stale';
    this.#seen.set(nonce, now);
    return 'fresh';
  }

  /** A request is good from a window before to a window after its time. */
  #forget(now: number): void {
    for (const [nonce, at] of this.#seen) {
      if (now - at <= 2 * WINDOW_MS) return;
      this.#seen.delete(nonce);
    }
  }
}
