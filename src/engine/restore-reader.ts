// Runs a window's plan: every range of every pack once, in parallel, and tells which files lost a piece. A pack that is gone may have been
// rewritten by a prune meanwhile: what was to be read of it is looked for in the newer index, and only what is nowhere is lost.

import { type Fault, isFault } from '../base/faults.ts';
import type { PackedAttributes } from '../files/packed-attributes.ts';
import type { BlockPlace } from '../index/tables.ts';
import { bytesEqual } from '../model/reference.ts';
import { type BlockFinder, hasMoved } from '../repository/block-reader.ts';
import { hex } from '../repository/layout.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { BlockToRead, RestoreJob } from '../worker/read-task.ts';
import { JobGroup, type ReadingPool } from './reading-pool.ts';
import { FIELDS, type NeededBlock, type PackRangePlan, type RestoreWindow, rangesOf, writeCount } from './restore-plan.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';

/** The files of a window, by their numbers. */
export type WindowFiles = {
  readonly path: (file: number) => string;
  /** Its content is one piece: it is made by whoever writes it. The others are there already. */
  readonly isWhole: (file: number) => boolean;
  /** Of whole ones. */
  readonly pack: (files: readonly number[]) => PackedAttributes;
  /** Notes that it will not be complete. False when that is known already: then it was reported. */
  readonly lose: (file: number) => boolean;
};

export type RestoreReaderOptions = {
  readonly pool: ReadingPool;
  readonly keys: SessionKeyFinder;
  readonly blocks: BlockFinder;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
  readonly single: string | undefined;
  readonly overZeros: boolean;
  readonly existing: 'refuse' | 'replace';
};

type DamagedBlock = { readonly block: Uint8Array; readonly message: string };
type GoneRange = { readonly range: PackRangePlan; readonly error: Fault };

export class RestoreReader {
  readonly #options: RestoreReaderOptions;

  constructor(options: RestoreReaderOptions) {
    this.#options = options;
  }

  /** Restores what the window needs. Answers the files that are not complete: they were reported. `onStarted` is called when the last range
   *  is on its way: from then on the next window can use whatever thread becomes free. */
  async run(window: RestoreWindow, files: WindowFiles, onStarted?: () => void): Promise<Set<number>> {
    const failed = new Set<number>();
    let ranges = window.ranges();
    while (ranges.length > 0) {
      const gone = await this.#runRanges(ranges, files, failed, onStarted);
      ranges = gone.length === 0 ? [] : await this.#lookAgain(gone, files, failed);
    }
    onStarted?.();
    return failed;
  }

  /** Answers the ranges whose pack is not there. */
  async #runRanges(
    ranges: readonly PackRangePlan[],
    files: WindowFiles,
    failed: Set<number>,
    onStarted?: () => void,
  ): Promise<GoneRange[]> {
    const { pool, keys } = this.#options;
    const gone: GoneRange[] = [];
    const metadataKey = (place: BlockPlace) => keys.metadataKey(place.session, place.assetId);
    const run = async (range: PackRangePlan, isAnew: boolean): Promise<void> => {
      const blocks = await Promise.all(
        range.blocks.map(async ({ id, place }): Promise<BlockToRead> => {
          const { offset, storedLength, rawLength, codec, sealingCounter, kind, session } = place;
          return {
            id,
            offset,
            storedLength,
            rawLength,
            codec,
            sealingCounter,
            key: kind === 'data' ? await keys.dataKey(session) : metadataKey(place),
          };
        }),
      );
      const damaged = await this.#runRange(range, blocks, files, failed);
      if (damaged.length === 0) return;
      if (isAnew) this.#reportDamage(range.blocks, damaged, files, failed);
      else for (const part of rangesOf(piecesOfLost(range.blocks, damaged, failed))) await start(part, true);
    };
    const start = (range: PackRangePlan, isAnew: boolean): Promise<void> =>
      run(range, isAnew).catch((error: unknown) => {
        if (isFault(error, 'STORE_NOT_FOUND')) gone.push({ range, error });
        else if (isFault(error, 'FORMAT_DAMAGED')) this.#reportLoss(range.blocks, error, files, failed);
        else throw error;
      });
    const jobs = new JobGroup(pool);
    for (const range of ranges) await jobs.start(() => start(range, false));
    onStarted?.();
    await jobs.drain();
    return gone;
  }

  /** Where the blocks of packs that are gone lie now. What has not moved is lost, and reported. */
  async #lookAgain(gone: readonly GoneRange[], files: WindowFiles, failed: Set<number>): Promise<PackRangePlan[]> {
    const { blocks } = this.#options;
    await blocks.refresh();
    const moved: NeededBlock[] = [];
    for (const { range, error } of gone) {
      for (const block of range.blocks) {
        const place = blocks.find(block.id);
        if (place !== undefined && hasMoved(block.place, place)) moved.push({ ...block, place });
        else this.#reportLoss([block], error, files, failed);
      }
    }
    return rangesOf(moved);
  }

  /** Answers the blocks that do not open. Of the files that need them nothing more was written from then on. */
  async #runRange(
    range: PackRangePlan,
    blocks: readonly BlockToRead[],
    files: WindowFiles,
    failed: Set<number>,
  ): Promise<readonly DamagedBlock[]> {
    const { pool, progress, single, overZeros, existing, onProblem } = this.#options;
    const begin = blocks[0]!.offset;
    const last = blocks.at(-1)!;
    const { numbers, wholes, parts } = filesOf(range, files);
    const writesPerBlock = Uint32Array.from(range.blocks, writeCount);
    const writes = new Float64Array(FIELDS * writesPerBlock.reduce((sum, n) => sum + n, 0));
    let w = 0;
    for (const block of range.blocks) {
      for (let i = 0; i < block.writes.length; i += FIELDS) {
        writes[w++] = numbers.get(block.writes[i]!)!;
        for (let field = 1; field < FIELDS; field++) writes[w++] = block.writes[i + field]!;
      }
    }
    const job: RestoreJob = {
      kind: 'restore',
      pack: await pool.packBytes(range.packId, begin, last.offset + last.storedLength - begin),
      packName: hex(range.packId),
      bytesOffset: begin,
      blocks,
      files: { whole: files.pack(wholes), parts: parts.map(files.path) },
      writes,
      writesPerBlock,
      single,
      overZeros,
      existing,
    };
    const answer = await pool.run(job);
    if (answer.kind !== 'restore') return [];
    progress.bytesDone += answer.bytesWritten;
    progress.bytesFetched = pool.bytesFetched;
    for (const { path, code, message, what } of answer.problems) {
      const file = what === 'file' ? [...numbers.keys()].find((one) => files.path(one) === path) : undefined;
      if (file !== undefined) failed.add(file);
      if (file === undefined || files.lose(file)) onProblem({ path, code, message });
    }
    return answer.damaged;
  }

  /** The files that need these blocks are lost, the others are restored. */
  #reportLoss(blocks: readonly NeededBlock[], { message }: Fault, files: WindowFiles, failed: Set<number>): void {
    this.#reportDamage(
      blocks,
      blocks.map(({ id }) => ({ block: id, message })),
      files,
      failed,
    );
  }

  #reportDamage(blocks: readonly NeededBlock[], damaged: readonly DamagedBlock[], files: WindowFiles, failed: Set<number>): void {
    for (const { block, message } of damaged) {
      const needed = blocks.find(({ id }) => Buffer.compare(id, block) === 0);
      for (let i = 0; needed !== undefined && i < needed.writes.length; i += 4) {
        const file = needed.writes[i]!;
        if (failed.has(file)) continue;
        failed.add(file);
        if (files.lose(file)) this.#options.onProblem({ path: files.path(file), code: 'FORMAT_DAMAGED', message });
      }
    }
  }
}

/** What is to be read once more when blocks did not open, as a bit may have flipped on the way (see src/repository/read-anew.ts): all pieces of the
 *  files that need them, and nothing of others, which may be finished. */
function piecesOfLost(
  blocks: readonly NeededBlock[],
  damaged: readonly DamagedBlock[],
  failed: ReadonlySet<number>,
): readonly NeededBlock[] {
  const lost = new Set<number>();
  for (const { id, writes } of blocks) {
    if (!damaged.some(({ block }) => bytesEqual(block, id))) continue;
    for (let i = 0; i < writes.length; i += FIELDS) if (!failed.has(writes[i]!)) lost.add(writes[i]!);
  }
  const pieces = blocks.map((block) => ({
    ...block,
    writes: block.writes.filter((_, i) => lost.has(block.writes[i - (i % FIELDS)]!)),
  }));
  return pieces.filter(({ writes }) => writes.length > 0);
}

/** The files of a range, whole ones first, and their numbers in the job by their numbers in the window. */
function filesOf(
  range: PackRangePlan,
  files: WindowFiles,
): { readonly numbers: ReadonlyMap<number, number>; readonly wholes: readonly number[]; readonly parts: readonly number[] } {
  const numbers = new Map<number, number>();
  const wholes: number[] = [];
  const parts: number[] = [];
  for (const { writes } of range.blocks) {
    for (let i = 0; i < writes.length; i += FIELDS) {
      const file = writes[i]!;
      if (numbers.has(file)) continue;
      const isWhole = files.isWhole(file);
      numbers.set(file, wholes.length);
      (isWhole ? wholes : parts).push(file);
    }
  }
  parts.forEach((file, i) => {
    numbers.set(file, wholes.length + i);
  });
  return { numbers, wholes, parts };
}
