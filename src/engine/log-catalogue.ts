// The register that lists the pieces of an asset's log, and how it changes: read, apply, swap, again on a conflict. Every change made twice
// is made once, so a lost answer does no harm. What is added stays, but for retention: it swaps first what may go out of the register, and
// deletes then (trim-log.ts).

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../base/faults.ts';
import {
  decodeLogCatalogue,
  EMPTY_LOG_CATALOGUE,
  encodeLogCatalogue,
  type LogCatalogue,
  type LogClockStep,
  type LogEpoch,
  type LogGap,
  type LogHistory,
  type LostLog,
  type RetiredEpoch,
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

  /** That any epoch of the incarnation is of; 0: there is none. */
  async newestTimeline(incarnation: string, options?: CallOptions): Promise<number> {
    const { epochs } = await this.read(options);
    return Math.max(0, ...epochs.filter((one) => one.incarnation === incarnation).map(({ timeline }) => timeline));
  }

  /** With `after`: false, and nothing is added, when the newest epoch of its timeline is another one. */
  async addEpoch(
    epoch: LogEpoch,
    after: { readonly newest: string | undefined } | undefined,
    options?: CallOptions,
  ): Promise<boolean> {
    const has = ({ epochs }: LogCatalogue): boolean => epochs.some((one) => one.epoch === epoch.epoch);
    const changed = await this.#change((now) => {
      const newest = now.epochs.findLast((one) => one.incarnation === epoch.incarnation && one.timeline === epoch.timeline);
      if (has(now) || (after !== undefined && newest?.epoch !== after.newest)) return now;
      return { ...now, epochs: [...now.epochs, epoch] };
    }, options);
    return has(changed);
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

  /** Whoever reads the same log again finds the same ones. Answers those that nobody had added. */
  async addClockSteps(steps: readonly LogClockStep[], options?: CallOptions): Promise<readonly LogClockStep[]> {
    let added: readonly LogClockStep[] = [];
    const isSame = (one: LogClockStep, other: LogClockStep): boolean =>
      one.incarnation === other.incarnation && one.timeline === other.timeline && one.position === other.position;
    await this.#change(({ clockSteps = [], ...now }) => {
      added = steps.filter((step) => !clockSteps.some((one) => isSame(one, step)));
      const all = [...clockSteps, ...added];
      return all.length === 0 ? now : { ...now, clockSteps: all };
    }, options);
    return added;
  }

  /** Objects of an epoch that cannot be read: no window leads over them from now on. */
  addLost(epoch: string, lost: readonly LostLog[], options?: CallOptions): Promise<LogCatalogue> {
    return this.#changeEpoch(
      epoch,
      (one) => {
        const known = new Set(one.lost?.map(({ object }) => object));
        const added = lost.filter(({ object }) => !known.has(object));
        return added.length === 0 ? one : { ...one, lost: [...(one.lost ?? []), ...added] };
      },
      options,
    );
  }

  /** Objects of an epoch that were lost, and are whole again. */
  dropLost(epoch: string, objects: ReadonlySet<string>, options?: CallOptions): Promise<LogCatalogue> {
    return this.#changeEpoch(
      epoch,
      ({ lost = [], ...one }) => {
        const left = lost.filter(({ object }) => !objects.has(object));
        return left.length === 0 ? one : { ...one, lost: left };
      },
      options,
    );
  }

  /** Lets log go: of each epoch what lies before `trimmed`, and whole epochs. The first change of a trim; deletions follow it. */
  letGo(trims: ReadonlyMap<string, number>, retired: ReadonlySet<string>, options?: CallOptions): Promise<LogCatalogue> {
    return this.#change((now) => {
      const leaving = now.epochs.filter(({ epoch }) => retired.has(epoch));
      const isMore = ({ epoch, trimmed = 0 }: LogEpoch): boolean => (trims.get(epoch) ?? 0) > trimmed;
      if (leaving.length === 0 && !now.epochs.some(isMore)) return now;
      return {
        ...now,
        epochs: now.epochs
          .filter(({ epoch }) => !retired.has(epoch))
          .map((one) => (isMore(one) ? withoutLostBefore({ ...one, trimmed: trims.get(one.epoch)! }) : one)),
        retired: [...(now.retired ?? []), ...leaving.map(nameOf)],
      };
    }, options);
  }

  /** Their objects are deleted. */
  dropRetired(epochs: ReadonlySet<string>, options?: CallOptions): Promise<LogCatalogue> {
    return this.#change(({ retired = [], ...now }) => {
      const left = retired.filter(({ epoch }) => !epochs.has(epoch));
      return left.length === 0 ? now : { ...now, retired: left };
    }, options);
  }

  /** Gaps, and steps of the clock, that end before everything that is left. */
  dropOld(
    isOld: (place: { readonly incarnation: string; readonly timeline: number; readonly to: number }) => boolean,
    options?: CallOptions,
  ): Promise<LogCatalogue> {
    return this.#change(({ clockSteps = [], ...now }) => {
      const left = clockSteps.filter((step) => !isOld({ ...step, to: step.position }));
      const gaps = now.gaps.filter((gap) => !isOld(gap));
      return left.length === 0 ? { ...now, gaps } : { ...now, gaps, clockSteps: left };
    }, options);
  }

  #changeEpoch(name: string, apply: (epoch: LogEpoch) => LogEpoch, options?: CallOptions): Promise<LogCatalogue> {
    return this.#change((now) => {
      const epochs = now.epochs.map((one) => (one.epoch === name ? apply(one) : one));
      return isSame(epochs, now.epochs) ? now : { ...now, epochs };
    }, options);
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
      if (isSame(next, catalogue)) return catalogue;
      const bytes = this.#codec.encode(this.#key, encodeLogCatalogue(next, hex(randomBytes(NONCE_BYTES))));
      if ((await this.#repository.store.swap(this.#key, bytes, version, options)) !== 'conflict') return next;
      await sleep(10 * 2 ** Math.min(attempt, 6) * Math.random());
    }
    throw new Fault('HEAD_CONTENTION', `The catalogue of the log changes at once in too many places (${this.#key})`);
  }
}

function nameOf({ epoch, incarnation, timeline }: LogEpoch): RetiredEpoch {
  return { epoch, incarnation, timeline };
}

function withoutLostBefore({ lost = [], ...epoch }: LogEpoch): LogEpoch {
  const left = lost.filter(({ to }) => to > (epoch.trimmed ?? 0));
  return left.length === 0 ? epoch : { ...epoch, lost: left };
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}
