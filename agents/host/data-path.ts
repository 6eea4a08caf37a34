// The way of the bytes of one run: messages to the service, objects to and from the store, not faster than the policy says.

import { setTimeout as wait } from 'node:timers/promises';
import { ServiceClient } from '../../src/remote/service-client.ts';
import { StoreClient } from '../../src/remote/store-client.ts';
import type { RunContext } from './run-context.ts';

/** What may go at once after a pause: a second's worth. */
const BURST_SECONDS = 1;

export type DataPath = { readonly client: ServiceClient; readonly store: StoreClient };

export function openDataPath({ transport, claimed }: RunContext): DataPath {
  const timing = {
    nowMs: () => performance.now(),
    random: () => Math.random(),
    sleep: async (ms: number, signal?: AbortSignal) => {
      await wait(ms, undefined, signal === undefined ? {} : { signal });
    },
  };
  const { uploadBytesPerSecond, downloadBytesPerSecond } = claimed.terms;
  return {
    client: new ServiceClient({ transport, timing }),
    store: new LimitedStoreClient(transport, new Rate(uploadBytesPerSecond), new Rate(downloadBytesPerSecond)),
  };
}

class LimitedStoreClient extends StoreClient {
  readonly #up: Rate;
  readonly #down: Rate;

  constructor(transport: RunContext['transport'], up: Rate, down: Rate) {
    super(transport);
    this.#up = up;
    this.#down = down;
  }

  override async put(...[request, bytes, signal]: Parameters<StoreClient['put']>): ReturnType<StoreClient['put']> {
    await this.#up.take(bytes.length, signal);
    return super.put(request, bytes, signal);
  }

  override async get(...[request, length, signal]: Parameters<StoreClient['get']>): ReturnType<StoreClient['get']> {
    await this.#down.take(length, signal);
    return super.get(request, length, signal);
  }
}

/** Each taker waits until what was taken before it would have gone by at this rate. */
export class Rate {
  readonly #bytesPerSecond: number | undefined;
  /** When everything that was taken has gone by. */
  #freeMs = 0;

  constructor(bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === undefined) return;
    const now = performance.now();
    this.#freeMs = Math.max(this.#freeMs, now - BURST_SECONDS * 1000) + (bytes / this.#bytesPerSecond) * 1000;
    const pauseMs = this.#freeMs - now;
    if (pauseMs > 0) await wait(pauseMs, undefined, signal === undefined ? {} : { signal });
  }
}
