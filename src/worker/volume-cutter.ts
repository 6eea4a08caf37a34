// Reads an extent of a volume: compared by position as a paged file is, but long runs of new units are cut by content (content-runs.ts), so
// that what stands elsewhere at another offset is found. A run that reaches the end of the window goes on in the next one: that begins with
// the unit in which the last cut lies, whose bytes are read again.

import { DIGEST_BYTES, ID_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import type { Chunker } from '../codec/chunker.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import { ContentRuns } from './content-runs.ts';
import type { Dedup } from './dedup.ts';
import type { FileTask } from './file-task.ts';
import type { LeafBuilder } from './leaf-builder.ts';
import type { PackWriter } from './pack-writer.ts';
import { type ReadAt, readZeroed } from './read-at.ts';
import type { UnitGroups, UnitSink } from './unit-groups.ts';

export type VolumeCutterParts = {
  readonly paged: PagedChunking;
  readonly chunker: Chunker;
  readonly session: Uint8Array;
  readonly ids: IdHasher;
  readonly dedup: Dedup;
  readonly packs: PackWriter;
  readonly isZero: (bytes: Uint8Array) => boolean;
  /** Share the chunker's window. */
  readonly groups: UnitGroups;
};

/** Units [first, end) of the window, stored up to its byte `stored`. */
type Run = { readonly first: number; readonly end: number; readonly stored: number };

/** What stands in the window: `units` from `firstUnit` of the task on. `begin`: where in it the run that came from the window before goes on. */
type Window = {
  readonly firstUnit: number;
  readonly units: number;
  readonly bytes: number;
  readonly begin: number;
  readonly isLast: boolean;
};

export class VolumeCutter {
  readonly runs: ContentRuns;
  readonly #parts: VolumeCutterParts;
  /** Of the units in the window: 1 when it is new and not stored yet. */
  readonly #isNew: Uint8Array;
  readonly #digests: Uint8Array;
  zeroBytes = 0;

  constructor(parts: VolumeCutterParts) {
    const { paged, chunker, session, ids, dedup, packs } = parts;
    this.#parts = parts;
    this.runs = new ContentRuns(paged.unitBytes, chunker, session, ids, dedup, packs);
    this.#isNew = new Uint8Array(Math.floor(chunker.window.length / paged.unitBytes));
    this.#digests = new Uint8Array(this.#isNew.length * DIGEST_BYTES);
  }

  /** Answers how many bytes there were. */
  cut(read: ReadAt, { offset, length }: FileTask, leaves: readonly LeafBuilder[]): number {
    const { chunker, paged, groups } = this.#parts;
    const sink: UnitSink = {
      set: (unit, ...where) => leaves[Math.floor(unit / UNITS_PER_LEAF)]!.set(unit % UNITS_PER_LEAF, ...where),
    };
    let bytesRead = 0;
    let from = 0;
    let begin = 0;
    while (from < length) {
      const bytes = Math.min(this.#isNew.length * paged.unitBytes, length - from);
      const got = readZeroed(read, chunker.window.subarray(0, bytes), offset + from);
      bytesRead = Math.max(bytesRead, from + got);
      const isLast = from + bytes === length;
      const units = Math.ceil(bytes / paged.unitBytes);
      const window = { firstUnit: from / paged.unitBytes, units, bytes, begin, isLast };
      for (let u = 0; u < units; u++) this.#isNew[u] = this.#look(window, u, leaves) ? 1 : 0;
      const planned: Run[] = [];
      const next = this.#planRuns(window, planned);
      this.#askForAll();
      groups.store();
      this.runs.store();
      for (const run of planned) this.#setRun(window, run, sink);
      this.#groupRest(window, sink);
      groups.leaveBuffer();
      if (isLast) break;
      begin = next % paged.unitBytes;
      from += next - begin;
    }
    groups.store();
    return bytesRead;
  }

  /** One question for what stands in the window and what was put aside of the one before. Who asks for a part of it has the answer then. */
  #askForAll(): void {
    const { dedup, groups } = this.#parts;
    if (!dedup.isAsked) return;
    const ids = Buffer.concat([groups.plannedIds(), this.runs.plannedIds()]);
    if (ids.length > 0) dedup.ask(ids, ids.length / ID_BYTES);
  }

  /** Whether unit `u` of the window is new; its digest is noted. */
  #look({ firstUnit, bytes: end }: Window, u: number, leaves: readonly LeafBuilder[]): boolean {
    const { paged, chunker, isZero, ids } = this.#parts;
    const bytes = chunker.window.subarray(u * paged.unitBytes, Math.min((u + 1) * paged.unitBytes, end));
    if (isZero(bytes)) {
      this.zeroBytes += bytes.length;
      return false;
    }
    const id = ids.id(bytes);
    const unit = firstUnit + u;
    if (leaves[Math.floor(unit / UNITS_PER_LEAF)]!.keepParentIfSame(unit % UNITS_PER_LEAF, id)) return false;
    this.#digests.set(id.subarray(0, DIGEST_BYTES), u * DIGEST_BYTES);
    return true;
  }

  /** Answers up to where the window is done: its end, or the last cut of a run that goes on behind it. */
  #planRuns({ units, bytes, begin, isLast }: Window, planned: Run[]): number {
    const { unitBytes } = this.#parts.paged;
    const isNew = this.#isNew;
    let done = bytes;
    for (let first = nextNew(isNew, 0, units); first < units; ) {
      let end = first + 1;
      while (end < units && isNew[end] === 1) end++;
      const goesOn = end === units && !isLast;
      const from = first === 0 ? begin : first * unitBytes;
      const to = Math.min(end * unitBytes, bytes);
      // Where it began in the window before, it is long.
      const isLong = to - from >= this.runs.runBytesMin || from % unitBytes !== 0;
      if (isLong || (goesOn && first > 0)) {
        const stored = isLong ? this.runs.plan(from, to, !goesOn) : from;
        planned.push({ first: Math.ceil(from / unitBytes), end, stored });
        if (goesOn) done = stored;
      }
      first = nextNew(isNew, end, units);
    }
    return done;
  }

  /** Of what was stored of a run: units that lie in one place. The others remain new; those behind it are looked at again. */
  #setRun({ firstUnit, bytes }: Window, { first, end, stored }: Run, sink: UnitSink): void {
    const { unitBytes } = this.#parts.paged;
    this.#isNew.fill(0, first, end);
    for (let u = first; u < end && Math.min((u + 1) * unitBytes, bytes) <= stored; u++) {
      const at = u * unitBytes;
      const length = Math.min(unitBytes, bytes - at);
      if (this.runs.find(at, at + length))
        sink.set(firstUnit + u, this.runs.foundBlock, this.#digestOf(u), this.runs.foundOffset, length);
      else this.#isNew[u] = 1;
    }
  }

  /** New units that lie in no run, or in a run but in no one place. */
  #groupRest({ firstUnit, units, bytes }: Window, sink: UnitSink): void {
    const { paged, groups } = this.#parts;
    const { unitBytes, groupUnits } = paged;
    for (let from = 0; from < units; from += groupUnits) {
      const group = groups.begin();
      for (let u = from; u < Math.min(from + groupUnits, units); u++) {
        if (this.#isNew[u] === 0) continue;
        const at = u * unitBytes;
        groups.add(group, { unit: firstUnit + u, at, length: Math.min(unitBytes, bytes - at) }, this.#digestOf(u));
      }
      groups.plan(group, sink);
    }
  }

  #digestOf(u: number): Uint8Array {
    return this.#digests.subarray(u * DIGEST_BYTES, (u + 1) * DIGEST_BYTES);
  }
}

function nextNew(isNew: Uint8Array, from: number, units: number): number {
  const next = isNew.indexOf(1, from);
  return next === -1 || next > units ? units : next;
}
