// The files that a recovering server asks for, made from the stored log. The answer "absent" makes a server believe that the log ends there
// and come up without the rest; so it is given only where the plan proves that the file is not part of the way. Every doubt is a fault.

import { Fault } from '../../src/base/faults.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import type { Leg } from '../../src/engine/recovery-plan.ts';
import { formatLsn, parseSegmentName } from '../../src/model/lsn.ts';

/** Segments that are read before they are asked for. */
const AHEAD = 4;
/** The log is stored in sections of this length. */
const SECTION_BYTES = 16 * 1024 * 1024;

export type LogFile = { readonly kind: 'file'; readonly bytes: Uint8Array } | { readonly kind: 'absent' };

export type LogFilesOptions = {
  readonly view: LogView;
  readonly segmentBytes: number;
  readonly legs: readonly Leg[];
};

export class LogFiles {
  readonly #options: LogFilesOptions;
  readonly #ahead = new Map<string, Promise<Uint8Array>>();
  /** Short segments: of one section of the store many are cut. */
  #section: { readonly timeline: number; readonly from: number; readonly bytes: Promise<Uint8Array> } | undefined;

  constructor(options: LogFilesOptions) {
    this.#options = options;
  }

  /** `name`: of a segment or a history file. LOG_GAP, STORE_ faults, FORMAT_DAMAGED: then nobody knows. */
  async fetch(name: string): Promise<LogFile> {
    const history = /^([0-9A-F]{8})\.history$/.exec(name);
    if (history !== null) return this.#history(Number.parseInt(history[1]!, 16));
    const segment = parseSegmentName(name, this.#options.segmentBytes);
    // A partial segment, a backup's history: no recovery needs them.
    if (segment === undefined) return { kind: 'absent' };
    return this.#segment(segment.timeline, segment.segment, name);
  }

  #history(timeline: number): LogFile {
    const { view } = this.#options;
    const known = view.histories.find((one) => one.timeline === timeline);
    if (known !== undefined) return { kind: 'file', bytes: Buffer.from(known.file, 'base64') };
    if (timeline !== 1 && view.epochs.some(({ reader }) => reader.epoch.timeline === timeline))
      throw new Fault('LOG_GAP', `The log of timeline ${timeline} is stored, but not its history`);
    return { kind: 'absent' };
  }

  async #segment(timeline: number, segment: number, name: string): Promise<LogFile> {
    const { legs, segmentBytes } = this.#options;
    const index = legs.findIndex((leg) => leg.timeline === timeline);
    if (index === -1) return { kind: 'absent' };
    const leg = legs[index]!;
    const from = segment * segmentBytes;
    // On an older timeline the way leaves it there. On the last one the server only looks ahead: it has a place to stop at, and stops with an
    // error if it does not reach it.
    if (from >= leg.to && (index < legs.length - 1 || this.#options.view.storedTo(timeline, from) === from))
      return { kind: 'absent' };
    if (from + segmentBytes <= leg.from) throw new Fault('LOG_GAP', `The server asks for ${name}, which is before the base backup`);
    const bytes = await (this.#ahead.get(name) ?? this.#read(leg, from));
    this.#ahead.delete(name);
    this.#readAhead(leg, segment);
    return { kind: 'file', bytes };
  }

  #readAhead(leg: Leg, segment: number): void {
    const { segmentBytes } = this.#options;
    for (let next = segment + 1; next <= segment + AHEAD && next * segmentBytes < leg.to; next++) {
      const name = nameOf(leg.timeline, next, segmentBytes);
      if (this.#ahead.has(name)) continue;
      const reading = this.#read(leg, next * segmentBytes);
      // Whoever asks for it sees what went wrong; it is tried again then.
      reading.catch(() => this.#ahead.delete(name));
      this.#ahead.set(name, reading);
    }
  }

  /** A whole segment; what is not stored of it is zeros. */
  async #read(leg: Leg, from: number): Promise<Uint8Array> {
    const { view, segmentBytes } = this.#options;
    const bytes = new Uint8Array(segmentBytes);
    const end = Math.min(from + segmentBytes, view.storedTo(leg.timeline, from));
    if (end < Math.min(leg.to, from + segmentBytes))
      throw new Fault(
        'LOG_GAP',
        `The log of timeline ${leg.timeline} is stored up to ${formatLsn(end)} only, and is needed up to ${formatLsn(leg.to)}`,
      );
    if (segmentBytes >= SECTION_BYTES) await view.read(leg.timeline, from, bytes.subarray(0, end - from));
    else bytes.set(await this.#cut(leg, from, end));
    return bytes;
  }

  async #cut(leg: Leg, from: number, end: number): Promise<Uint8Array> {
    const { view } = this.#options;
    const section = this.#section;
    if (section !== undefined && section.timeline === leg.timeline && section.from <= from) {
      const bytes = await section.bytes;
      if (end <= section.from + bytes.length) return bytes.subarray(from - section.from, end - section.from);
    }
    const to = Math.min(Math.floor(from / SECTION_BYTES + 1) * SECTION_BYTES, view.storedTo(leg.timeline, from));
    const bytes = new Uint8Array(to - from);
    const read = view.read(leg.timeline, from, bytes).then(() => bytes);
    const own = { timeline: leg.timeline, from, bytes: read };
    this.#section = own;
    try {
      return (await read).subarray(0, end - from);
    } catch (error) {
      // It is tried again by whoever asks next.
      if (this.#section === own) this.#section = undefined;
      throw error;
    }
  }
}

function nameOf(timeline: number, segment: number, segmentBytes: number): string {
  const perHalf = 0x1_0000_0000 / segmentBytes;
  return [timeline, Math.floor(segment / perHalf), segment % perHalf]
    .map((n) => n.toString(16).toUpperCase().padStart(8, '0'))
    .join('');
}
