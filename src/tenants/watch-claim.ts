// Looks, again and again, whether this service is still the one that serves its repositories; see service-claim.ts.

import type { Logger } from 'pino';
import { type Fault, isFault } from '../base/faults.ts';
import type { ServiceClaim } from './service-claim.ts';

export type WatchedClaim = {
  /** Comes when another service serves them. What keeps it from looking (a store that is away) is no proof of anything. */
  readonly superseded: Promise<Fault>;
  readonly stopWatching: () => Promise<void>;
};

export function watchClaim(claim: Pick<ServiceClaim, 'check'>, log: Pick<Logger, 'error'>, everyMs: number): WatchedClaim {
  let looking: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const superseded = new Promise<Fault>((tell) => {
    const look = async (): Promise<void> => {
      try {
        await claim.check();
      } catch (error) {
        log.error({ err: error }, 'whether this service is still the one that serves its repositories');
        if (isFault(error, 'SERVICE_SUPERSEDED')) tell(error);
      }
    };
    timer = setInterval(() => {
      looking ??= look().finally(() => (looking = undefined));
    }, everyMs);
  });
  const stopWatching = async (): Promise<void> => {
    clearInterval(timer);
    await looking;
  };
  return { superseded, stopWatching };
}
