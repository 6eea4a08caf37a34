// The register that lists the pieces of an asset's log, and how it changes: read, apply, swap, again on a conflict. Every change only adds,
// and adding twice is adding once, so a lost answer does no harm.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../base/faults.ts';
import {
  decodeLogCatalogue,
  EMPTY_LOG_CATALOGUE,
  encodeLogCatalogue,
  type LogCatalogue,
  type LogEpoch,
  type LogGap,
  type LogHistory,
} from '../format/log-catalogue.ts';
import { hex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { type RegisterCodec, registerCodec } from '../repository/register-codec.ts';
import { mustNotBeReplica } from '../repository/replica-mark.ts';
import type { CallOptions } from '../store/object-store.ts';

const ATTEMPTS_MAX = 30;
const NONCE_BYTES = 16;

export class LogCatalogueKeeper {
  readonly #repository: OpenedRepository;
  readonly #codec: RegisterCodec;
  readonly #key: string;

  constructor(repository: OpenedRepository, assetId: Uint8Array) {
    this.#repository = repository;
    this.#codec = registerCodec(repository.keyring, randomBytes);
    this.#key = `logs/${hex(assetId)}`;
  }

  async read(options?: CallOptions): Promise<LogCatalogue> {
    return (await this.#read(options)).catalogue;
  }

  addEpoch(epoch: LogEpoch, options?: CallOptions): Promise<LogCatalogue> {
    return this.#change(
      (now) => (now.epochs.some((one) => one.epoch === epoch.epoch) ? now : { ...now, epochs: [...now.epochs, epoch] }),
      options,
    );
  }

  /** LOG_FORKED when there is another history of the same timeline. */
  addHistory(history: LogHistory, options?: CallOptions): Promise<LogCatalogue> {
    return this.#change((now) => {
      const known = now.histories.find((one) => one.incarnation === history.incarnation && one.timeline === history.timeline);
      if (known === undefined) return { ...now, histories: [...now.histories, history] };
      if (known.file === history.file) return now;
      throw new Fault(
        'LOG_FORKED',
        `There are two histories of timeline ${history.timeline}: another server was promoted with the same number`,
      );
    }, options);
  }

  addGap(gap: LogGap, options?: CallOptions): Promise<LogCatalogue> {
    const isSame = (one: LogGap): boolean =>
      one.incarnation === gap.incarnation && one.timeline === gap.timeline && one.from === gap.from && one.to === gap.to;
    return this.#change((now) => (now.gaps.some(isSame) ? now : { ...now, gaps: [...now.gaps, gap] }), options);
  }

  async #read(options?: CallOptions): Promise<{ readonly catalogue: LogCatalogue; readonly version: string | undefined }> {
    const value = await this.#repository.store.read(this.#key, options);
    if (value === undefined) return { catalogue: EMPTY_LOG_CATALOGUE, version: undefined };
    return { catalogue: decodeLogCatalogue(this.#codec.decode(this.#key, value.bytes)), version: value.version };
  }

  async #change(apply: (now: LogCatalogue) => LogCatalogue, options?: CallOptions): Promise<LogCatalogue> {
    await mustNotBeReplica(this.#repository.store, this.#codec, options);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { catalogue, version } = await this.#read(options);
      const next = apply(catalogue);
      if (next === catalogue) return catalogue;
      const bytes = this.#codec.encode(this.#key, encodeLogCatalogue(next, hex(randomBytes(NONCE_BYTES))));
      if ((await this.#repository.store.swap(this.#key, bytes, version, options)) !== 'conflict') return next;
      await sleep(10 * 2 ** Math.min(attempt, 6) * Math.random());
    }
    throw new Fault('HEAD_CONTENTION', `The catalogue of the log changes at once in too many places (${this.#key})`);
  }
}
