// Runs a window's plan: every range of every pack once, in parallel, and tells which files lost a piece. A pack that is gone may have been
// rewritten by a prune meanwhile: what was to be read of it is looked for in the newer index, and only what is nowhere is lost.

import { type Fault, isFault } from '../base/faults.ts';
import type { Attributes } from '../files/attributes.ts';
import type { BlockPlace } from '../index/tables.ts';
import { type BlockFinder, hasMoved } from '../repository/block-reader.ts';
import { hex } from '../repository/layout.ts';
import type { SessionKeyCache } from '../repository/session-keys.ts';
import type { BlockToRead, RestoreFile, RestoreJob } from '../worker/read-task.ts';
import type { ReadingPool } from './reading-pool.ts';
import { type NeededBlock, type PackRangePlan, type RestoreWindow, rangesOf } from './restore-plan.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';

export type WindowFile = { readonly path: string; readonly whole: Attributes | undefined };

export type RestoreReaderOptions = {
  readonly pool: ReadingPool;
  readonly keys: SessionKeyCache;
  readonly blocks: BlockFinder;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
  readonly single: string | undefined;
  readonly overZeros: boolean;
  readonly existing: 'refuse' | 'replace';
};

type GoneRange = { readonly range: PackRangePlan; readonly error: Fault };

export class RestoreReader {
  readonly #options: RestoreReaderOptions;

  constructor(options: RestoreReaderOptions) {
    this.#options = options;
  }

  /** Restores what the window needs. Answers the files that are not complete: they were reported. */
  async run(window: RestoreWindow, files: readonly WindowFile[]): Promise<Set<number>> {
    const failed = new Set<number>();
    let ranges = window.ranges();
    while (ranges.length > 0) {
      const gone = await this.#runRanges(ranges, files, failed);
      ranges = gone.length === 0 ? [] : await this.#lookAgain(gone, files, failed);
    }
    return failed;
  }

  /** Answers the ranges whose pack is not there. */
  async #runRanges(ranges: readonly PackRangePlan[], files: readonly WindowFile[], failed: Set<number>): Promise<GoneRange[]> {
    const { pool, keys } = this.#options;
    const gone: GoneRange[] = [];
    const metadataKey = (place: BlockPlace) => keys.metadataKey(place.session, place.assetId);
    const run = async (range: PackRangePlan): Promise<void> => {
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
      await this.#runRange(range, blocks, files, failed);
    };
    for (const range of ranges) {
      await pool.start(() =>
        run(range).catch((error: unknown) => {
          if (isFault(error, 'STORE_NOT_FOUND')) gone.push({ range, error });
          else if (isFault(error, 'FORMAT_DAMAGED')) this.#reportLoss(range.blocks, error, files, failed);
          else throw error;
        }),
      );
    }
    await pool.drain();
    return gone;
  }

  /** Where the blocks of packs that are gone lie now. What has not moved is lost, and reported. */
  async #lookAgain(gone: readonly GoneRange[], files: readonly WindowFile[], failed: Set<number>): Promise<PackRangePlan[]> {
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

  async #runRange(
    range: PackRangePlan,
    blocks: readonly BlockToRead[],
    files: readonly WindowFile[],
    failed: Set<number>,
  ): Promise<void> {
    const { pool, progress, single, overZeros, existing, onProblem } = this.#options;
    const begin = blocks[0]!.offset;
    const last = blocks.at(-1)!;
    const local = new Map<number, number>();
    const jobFiles: RestoreFile[] = [];
    const global: number[] = [];
    let count = 0;
    for (const block of range.blocks) count += block.writes.length;
    const writes = new Float64Array(count);
    const writesPerBlock = new Uint32Array(blocks.length);
    let w = 0;
    range.blocks.forEach((block, b) => {
      writesPerBlock[b] = block.writes.length / 4;
      for (let i = 0; i < block.writes.length; i += 4) {
        const file = block.writes[i]!;
        let position = local.get(file);
        if (position === undefined) {
          position = jobFiles.length;
          local.set(file, position);
          global.push(file);
          const { path, whole } = files[file]!;
          jobFiles.push({ path, mode: whole === undefined ? 'part' : 'whole', attributes: whole });
        }
        writes[w] = position;
        writes[w + 1] = block.writes[i + 1]!;
        writes[w + 2] = block.writes[i + 2]!;
        writes[w + 3] = block.writes[i + 3]!;
        w += 4;
      }
    });
    const job: RestoreJob = {
      kind: 'restore',
      pack: await pool.packBytes(range.packId, begin, last.offset + last.storedLength - begin),
      packName: hex(range.packId),
      bytesOffset: begin,
      blocks,
      files: jobFiles,
      writes,
      writesPerBlock,
      single,
      overZeros,
      existing,
    };
    const answer = await pool.run(job);
    if (answer.kind !== 'restore') return;
    progress.bytesDone += answer.bytesWritten;
    progress.bytesFetched = pool.bytesFetched;
    for (const { path, code, message, what } of answer.problems) {
      onProblem({ path, code, message });
      if (what === 'file') for (const [file, position] of local) if (jobFiles[position]!.path === path) failed.add(file);
    }
    if (answer.damaged.length > 0) this.#reportDamage(range.blocks, answer.damaged, files, failed);
  }

  /** The files that need these blocks are lost, the others are restored. */
  #reportLoss(blocks: readonly NeededBlock[], { message }: Fault, files: readonly WindowFile[], failed: Set<number>): void {
    this.#reportDamage(
      blocks,
      blocks.map(({ id }) => ({ block: id, message })),
      files,
      failed,
    );
  }

  #reportDamage(
    blocks: readonly NeededBlock[],
    damaged: readonly { readonly block: Uint8Array; readonly message: string }[],
    files: readonly WindowFile[],
    failed: Set<number>,
  ): void {
    for (const { block, message } of damaged) {
      const needed = blocks.find(({ id }) => Buffer.compare(id, block) === 0);
      for (let i = 0; needed !== undefined && i < needed.writes.length; i += 4) {
        const file = needed.writes[i]!;
        if (failed.has(file)) continue;
        failed.add(file);
        this.#options.onProblem({ path: files[file]!.path, code: 'FORMAT_DAMAGED', message });
      }
    }
  }
}
