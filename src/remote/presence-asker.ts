// Asks the service which chunks are known: one question at a time, into which goes everything that came up while the one before was on
// its way. A request costs as much as a thousand ids, so few large ones are cheaper for both sides; whoever waits goes on reading meanwhile.

import type { AskPresence } from '../engine/backup-pipeline.ts';
import { CHUNK_ID_BYTES, CHUNK_PLACE_BYTES, decodePresence, type Presence } from '../protocol/presence-codec.ts';
import { PRESENCE_IDS_MAX } from '../protocol/session-messages.ts';
import type { ServiceClient } from './service-client.ts';

type Waiting = {
  readonly ids: Uint8Array;
  readonly count: number;
  readonly signal: AbortSignal;
  readonly resolve: (presence: Presence) => void;
  readonly reject: (error: unknown) => void;
};

export class PresenceAsker {
  readonly #client: ServiceClient;
  readonly #path: string;
  readonly #waiting: Waiting[] = [];
  #isAsking = false;

  constructor(client: ServiceClient, path: string) {
    this.#client = client;
    this.#path = path;
  }

  /** At most PRESENCE_IDS_MAX at once. */
  readonly ask: AskPresence = (ids, count, signal) =>
    new Promise((resolve, reject) => {
      this.#waiting.push({ ids, count, signal, resolve, reject });
      if (!this.#isAsking) void this.#askAll();
    });

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiting.length > 0) {
      const some = this.#take();
      try {
        await this.#askOnce(some);
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
    }
    this.#isAsking = false;
  }

  #take(): Waiting[] {
    const some = [this.#waiting.shift()!];
    let count = some[0]!.count;
    while (this.#waiting.length > 0 && count + this.#waiting[0]!.count <= PRESENCE_IDS_MAX) {
      count += this.#waiting[0]!.count;
      some.push(this.#waiting.shift()!);
    }
    return some;
  }

  async #askOnce(some: readonly Waiting[]): Promise<void> {
    const count = some.reduce((sum, one) => sum + one.count, 0);
    const ids =
      some.length === 1 ? some[0]!.ids : Buffer.concat(some.map((one) => one.ids.subarray(0, one.count * CHUNK_ID_BYTES)));
    const answer = await this.#client.ask(this.#path, ids.subarray(0, count * CHUNK_ID_BYTES), some[0]!.signal);
    const { found, places } = decodePresence(answer, count);
    let from = 0;
    for (const { count: own, resolve } of some) {
      resolve({
        found: found.subarray(from, from + own),
        places: places.subarray(from * CHUNK_PLACE_BYTES, (from + own) * CHUNK_PLACE_BYTES),
      });
      from += own;
    }
  }
}
