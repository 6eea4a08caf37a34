// Looks after the databases of all tenants: that each has a capture, and that a base backup leads to the end of its log.

import type { Logger } from 'pino';
import type { CaptureKeeper } from './capture-keeper.ts';
import type { LogWindows } from './log-windows.ts';
import type { Database } from './planner.ts';

const LOOKS_PARALLEL = 4;

export type LogWatchOptions = {
  readonly databases: () => readonly Database[];
  readonly keeper: CaptureKeeper;
  readonly windows: LogWindows;
  readonly onQueued: (agentId: string) => void;
  readonly log: Pick<Logger, 'warn'>;
};

export class LogWatch {
  readonly #options: LogWatchOptions;

  constructor(options: LogWatchOptions) {
    this.#options = options;
  }

  async keepCaptures(): Promise<void> {
    const { databases, keeper, onQueued } = this.#options;
    for (const { asset, isWanted } of databases()) {
      const agentId = await keeper.keep(asset, isWanted);
      if (agentId !== undefined) onQueued(agentId);
    }
  }

  /** At every log that is captured, once. */
  async look(signal: AbortSignal): Promise<void> {
    const waiting = this.#options.databases().filter(({ isWanted }) => isWanted);
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) await this.#lookAt(next);
    };
    await Promise.all(Array.from({ length: LOOKS_PARALLEL }, worker));
  }

  async #lookAt({ asset }: Database): Promise<void> {
    const { windows, keeper, onQueued, log } = this.#options;
    try {
      const { isAnchored, incarnation } = await windows.of(asset, 0);
      // Before there is a log a base backup leads nowhere.
      if (isAnchored || incarnation === undefined) return;
      const queued = await keeper.needBase(asset, 'no base backup leads to the end of the log');
      if (queued?.agentId !== undefined) onQueued(queued.agentId);
    } catch (error) {
      log.warn({ err: error, asset: asset.id }, 'the log of a database could not be looked at');
    }
  }
}
