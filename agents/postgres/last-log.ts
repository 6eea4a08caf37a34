// The last log of a server whose files a capture reads: a server that is shut down in order waits for who streams its log, and for nobody else. What
// it wrote after its sessions had ended is stored from its files, while it is down.

import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { CaptureOptions } from './capture-options.ts';
import { readControlFile } from './local-cluster.ts';
import { storeLogFiles } from './store-log-files.ts';

export class LastLog {
  readonly #options: CaptureOptions;
  #cluster: { readonly dataDirectory: string; readonly systemId: string } | undefined;
  /** Checkpoint whose log is stored. */
  #stored: number | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  /** From now on of the cluster there. */
  follow(dataDirectory: string, systemId: string): void {
    this.#cluster = { dataDirectory, systemId };
  }

  get isKnown(): boolean {
    return this.#cluster !== undefined;
  }

  /** Nothing to do while the server runs, when it has crashed, and when the cluster has gone on elsewhere. Tells what kept it from that. */
  async store(signal: AbortSignal): Promise<void> {
    if (this.#cluster === undefined) return;
    const { repository, asset, host, now, events } = this.#options;
    const { dataDirectory, systemId } = this.#cluster;
    try {
      const control = readControlFile(Buffer.from(dataDirectory).toString('latin1'));
      if (control === undefined || !control.isShutDown || control.systemId !== systemId) return;
      const { checkpoint, timeline } = control;
      if (checkpoint === this.#stored) return;
      const catalogue = new LogCatalogueKeeper(repository, repository.keyring.assetId(asset));
      if ((await catalogue.newestTimeline(incarnationOf(systemId), { signal })) > timeline) return;
      const { onTrouble } = events;
      const log = { repository, asset, dataDirectory, systemId, timeline, checkpoint: formatLsn(checkpoint) };
      await storeLogFiles({ ...log, host, now, signal, onTrouble });
      this.#stored = checkpoint;
    } catch (error) {
      events.onTrouble(error);
    }
  }
}
