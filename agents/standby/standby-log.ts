// The log of one standby, as its server asks for it: files for its restore_command, and a tail for its receiver. What is not known now is
// waited for: a server that is told "there is no more" believes it, and one that is promoted then has lost the rest. So "absent" is answered
// only when a fresh look at everything has found that nothing follows there, on this timeline and up to the seal; trouble of the store, or a
// hole with log behind it, keeps the server waiting, and is told.

import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import { ASK_MS, LogFollower } from '../../src/engine/log-follower.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import type { RecentLog } from '../../src/engine/recent-log.ts';
import { type Leg, pathTo } from '../../src/engine/recovery-plan.ts';
import { formatLsn, parseSegmentName } from '../../src/model/lsn.ts';
import type { LogRepository } from '../postgres/capture-options.ts';
import { type LogFile, LogFiles } from '../postgres/log-files.ts';
import type { LogSource } from '../postgres/log-server.ts';
import { logOf } from './measure.ts';
import type { StandbyFacts } from './standby-directory.ts';
import type { LogTail } from './wal-sender.ts';

const RETRY_MS = 500;
/** Between two looks at what is stored. */
const LOOK_MS = 250;

export type StandbyLogOptions = {
  readonly repository: LogRepository;
  readonly recent: RecentLog;
  /** As they are now. */
  readonly facts: () => StandbyFacts;
  readonly onTrouble: (error: unknown) => void;
  readonly signal: AbortSignal;
};

type Known = { readonly view: LogView; readonly files: LogFiles; readonly legs: readonly Leg[]; readonly timeline: number };

export class StandbyLog implements LogSource {
  readonly #options: StandbyLogOptions;
  readonly #assetId: Uint8Array;
  #known: Known | undefined;
  /** What keeps the server waiting now. */
  trouble: Fault | undefined;

  constructor(options: StandbyLogOptions) {
    this.#options = options;
    this.#assetId = options.repository.keyring.assetId(options.facts().asset);
  }

  /** LOG_GAP when the asset has no log at all. */
  view(): Promise<LogView> {
    const { repository, facts, signal } = this.#options;
    return logOf(repository, facts(), { signal });
  }

  async fetch(name: string): Promise<LogFile> {
    const { onTrouble, signal } = this.#options;
    for (;;) {
      try {
        const file = await this.#tryFetch(name);
        this.trouble = undefined;
        return file;
      } catch (error) {
        this.#known = undefined;
        if (signal.aborted || !isFault(error)) throw error;
        if (this.trouble?.message !== error.message) onTrouble(error);
        this.trouble = error;
        await sleep(RETRY_MS, undefined, { signal });
      }
    }
  }

  /** The file; undefined when it is not stored. */
  async history(timeline: number): Promise<Uint8Array | undefined> {
    const known = (await this.view()).histories.find((one) => one.timeline === timeline);
    return known === undefined ? undefined : Buffer.from(known.file, 'base64');
  }

  tail(position: number): LogTail {
    const { repository, recent, facts, signal } = this.#options;
    const { timeline, systemId } = facts();
    const incarnation = incarnationOf(systemId);
    const nowMs = (): number => performance.now();
    let seen = recent.count;
    const follower = new LogFollower({ repository, recent, assetId: this.#assetId, incarnation, timeline, position, nowMs });
    return {
      get position() {
        return follower.position;
      },
      next: () => {
        seen = recent.count;
        return follower.next({ signal });
      },
      more: () => {
        const before = seen;
        seen = recent.count;
        return recent.more(before, seen === 0 ? LOOK_MS : ASK_MS);
      },
    };
  }

  async #tryFetch(name: string): Promise<LogFile> {
    const { segmentBytes, timeline, sealed } = this.#options.facts();
    const segment = parseSegmentName(name, segmentBytes);
    if (segment === undefined) return (await this.#look()).files.fetch(name);
    const from = segment.segment * segmentBytes;
    const until = segment.timeline === timeline && sealed !== null ? sealed : Number.POSITIVE_INFINITY;
    // Nothing of what was sealed is missing in it.
    if (from >= until) return { kind: 'absent' };
    const isHeld = (known: Known | undefined): known is Known =>
      known?.timeline === timeline && known.view.storedTo(segment.timeline, from) >= from + segmentBytes;
    const { files } = isHeld(this.#known) ? this.#known : await this.#look();
    const file = await files.fetch(name);
    const lost =
      file.kind === 'absent' ? this.#known!.view.gaps.find((gap) => gap.timeline === timeline && gap.to > from) : undefined;
    if (lost !== undefined && segment.timeline === timeline)
      throw new Fault('LOG_GAP', `The log is not whole from ${formatLsn(lost.from)} to ${formatLsn(lost.to)}: ${lost.cause}`);
    if (file.kind === 'file' && until < from + segmentBytes) file.bytes.fill(0, until - from);
    return file;
  }

  async #look(): Promise<Known> {
    const { timeline, segmentBytes } = this.#options.facts();
    const view = await this.view();
    const legs = legsTo(view, timeline);
    this.#known = { view, legs, timeline, files: new LogFiles({ view, segmentBytes, legs }) };
    return this.#known;
  }
}

/** All of the way to a timeline, up to the furthest that is stored of it, holes or not. */
export function legsTo(view: LogView, timeline: number): Leg[] {
  const path = pathTo(timeline, view.lineages);
  if (path === undefined) throw new Fault('LOG_GAP', `The history of timeline ${timeline} is not stored`);
  const furthest = view.stretches.reduce((max, one) => (one.timeline === timeline ? Math.max(max, one.to) : max), 0);
  let from = 0;
  return path.map(({ timeline: own, until }) => {
    const leg = { timeline: own, from, to: own === timeline ? Math.max(from, furthest) : until };
    from = leg.to;
    return leg;
  });
}
