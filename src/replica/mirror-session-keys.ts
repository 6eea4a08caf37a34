// Keys of sessions at the replica: whatever a pack or a piece of log was sealed with is there before it. A rotation seals all of them to
// another pair, so a key is looked for under every pair that is known.

import { forEachBounded } from '../base/bounded.ts';
import { SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import { copyObject, type Mirror } from './mirror-object.ts';

const PARALLEL = 8;

export class SessionKeyMirror {
  readonly #mirror: Mirror;
  readonly #pairs: Set<string>;
  readonly #copied = new Set<string>();

  constructor(mirror: Mirror, pairIds: readonly string[]) {
    this.#mirror = mirror;
    this.#pairs = new Set(pairIds);
  }

  /** All that a listing of the source shows. */
  async copyListed(): Promise<void> {
    const { source, replica, signal } = this.#mirror;
    const there = new Set<string>();
    for await (const page of replica.list(SESSION_KEYS_PREFIX, { signal })) for (const { key } of page) there.add(key);
    for await (const page of source.list(SESSION_KEYS_PREFIX, { signal })) {
      await forEachBounded(page, PARALLEL, async ({ key }) => {
        const [pair, session] = key.slice(SESSION_KEYS_PREFIX.length).split('/');
        this.#pairs.add(pair!);
        if (!there.has(key)) await copyObject(this.#mirror, key, 'any');
        this.#copied.add(session!);
      });
    }
  }

  /** `sessions`: 20 hex each. Those that the source does not have under any pair are missing there. */
  async copy(sessions: Iterable<string>): Promise<void> {
    const wanted = [...new Set(sessions)].filter((session) => !this.#copied.has(session));
    await forEachBounded(wanted, PARALLEL, (session) => this.#copyOne(session));
    const { missing } = this.#mirror.progress;
    const lost = wanted.filter((session) => !this.#copied.has(session));
    if (lost.length === 0) return;
    // A rotation may be under way, with a pair that is not known here.
    await this.copyListed();
    for (const session of lost) {
      const key = `${SESSION_KEYS_PREFIX}${session}`;
      if (this.#copied.has(session)) missing.delete(key);
      else missing.set(key, 'the source has it under no pair');
    }
  }

  /** Of an epoch that was let go. */
  async drop(session: string): Promise<void> {
    const { replica, signal } = this.#mirror;
    for (const pair of this.#pairs) await replica.delete(`${SESSION_KEYS_PREFIX}${pair}/${session}`, { signal });
    this.#copied.delete(session);
  }

  async #copyOne(session: string): Promise<void> {
    // Under all of them: which one a reader holds is not known here.
    for (const pair of this.#pairs) {
      if ((await copyObject(this.#mirror, `${SESSION_KEYS_PREFIX}${pair}/${session}`, 'any')) !== undefined)
        this.#copied.add(session);
    }
  }
}
