// The index of one repository on the local disk: a cache of the repository's index objects, probed without being loaded.
//
// A log-structured merge tree of immutable runs (sorted-run.ts), each a pair of tables and the ids of the index objects whose packs
// are in it. `add` makes a run; runs are merged in the background so that there are few (merge-plan.ts); the list of runs is a
// manifest (manifest.ts), and several processes of one machine may share a directory.
//
// What keeps answers right: an entry is true as long as the index object that it came from is live, so a run is used only while every
// index object that it covers is live. `retain` says what is live, drops the other runs, and answers which live index objects must be
// added (again). A file that is not what was written is dropped in the same way. Where two runs hold a block, the newer one's place
// is answered; where two hold a chunk, any place is right.

import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invariant } from '../base/invariant.ts';
import { isRunning } from '../base/process-identity.ts';
import { MIB } from '../base/units.ts';
import { makeCacheDirectory, type RandomBytes, unlinkQuietly } from './cache-file.ts';
import { type Checksum, loadChecksum } from './checksum.ts';
import { changeManifest, type RunEntry, readManifest } from './manifest.ts';
import { planMerge, RUNS_MAX } from './merge-plan.ts';
import { type IndexObject, RunMaker } from './run-maker.ts';
import { type AcquiredSource, type RunPair, RunSet } from './run-set.ts';

export type LocalIndexOptions = {
  /** Of one repository; made when it is not there. */
  readonly directory: string;
  /** Memory for the filters that spare reads for absent chunks, default 24 MiB: enough for runs of 28 million chunks. */
  readonly filterBytesMax?: number;
  /** While adding, default 48 MiB. */
  readonly sortMemoryBytes?: number;
  /** Runs of fewer records are always merged, default 64 Ki. */
  readonly smallRunRecords?: number;
  readonly randomBytes?: RandomBytes;
};

const FILTER_BYTES_MAX = 24 * MIB;
const SORT_MEMORY_BYTES = 48 * MIB;
const REFRESHES_MAX = 100;
const OWN_FILE = /^(?:(?:chunks|blocks)-(\d+)-[0-9a-f]{16}\.run(?:\.part)?|(?:draft|nameless)-(\d+)-[0-9a-f]{16}(?:\.part)?)$/;

export class LocalIndex {
  readonly #directory: string;
  readonly #checksum: Checksum;
  readonly #randomBytes: RandomBytes;
  readonly #maker: RunMaker;
  readonly #runs: RunSet;
  readonly #smallRunRecords: number | undefined;
  #live: Set<string> | undefined;
  #retains = 0;
  #merging: Promise<void> | undefined;
  #mergeFailure: unknown;
  #closing = false;

  /** Nothing is answered before `retain`. Throws INDEX_CACHE_DENIED. */
  static async open(options: LocalIndexOptions): Promise<LocalIndex> {
    makeCacheDirectory(options.directory);
    const index = new LocalIndex(options, await loadChecksum());
    await index.#sweep();
    return index;
  }

  private constructor(options: LocalIndexOptions, checksum: Checksum) {
    this.#directory = options.directory;
    this.#checksum = checksum;
    this.#randomBytes = options.randomBytes ?? nodeRandomBytes;
    this.#smallRunRecords = options.smallRunRecords;
    const sortMemoryBytes = options.sortMemoryBytes ?? SORT_MEMORY_BYTES;
    this.#maker = new RunMaker({
      directory: options.directory,
      checksum,
      randomBytes: this.#randomBytes,
      sortMemoryBytes,
      isAbandoned: () => this.#closing,
    });
    this.#runs = new RunSet(options.directory, checksum, options.filterBytesMax ?? FILTER_BYTES_MAX);
  }

  /** Says which index objects (hex ids) the repository has. Answers those that must be added before the index is whole. Also mends:
   *  after INDEX_CACHE_DAMAGED it answers what the damaged file had covered. */
  retain(live: Iterable<string>): string[] {
    invariant(!this.#closing, 'an open index is used');
    this.#live = new Set(live);
    this.#retains++;
    this.#dropFromManifest((entry) => !this.#isLive(entry));
    this.#refresh();
    return this.missing;
  }

  /** Live index objects that are not in the index: never added, or lost with a damaged file. */
  get missing(): string[] {
    const covered = new Set(this.#runs.pairs.flatMap((pair) => pair.entry.covers));
    return [...(this.#live ?? [])].filter((id) => !covered.has(id));
  }

  /** Adds live index objects, all as one run: give many at once where there are many. They can be looked up by what is acquired
   *  afterwards. Answers what is missing then. Throws FORMAT_DAMAGED (nothing is added then), INDEX_CACHE_FULL, INDEX_CACHE_DENIED. */
  async add(objects: Iterable<IndexObject> | AsyncIterable<IndexObject>): Promise<string[]> {
    invariant(this.#live !== undefined && !this.#closing, 'retain comes before add');
    if (this.#runs.pairs.length >= RUNS_MAX) await this.settled();
    const retains = this.#retains;
    const run = await this.#maker.fromObjects(objects);
    if (run === undefined) return this.missing;
    if (retains === this.#retains) for (const id of run.covers) this.#live.add(id);
    // Something in it has died while it was made.
    if (!this.#isLive(run)) {
      this.#removeFiles([run]);
      return this.missing;
    }
    try {
      changeManifest(this.#directory, this.#checksum, this.#randomBytes, (runs) =>
        isListed(runs, run) ? undefined : [...runs, run],
      );
    } catch (cause) {
      this.#removeFiles([run]);
      throw cause;
    }
    this.#refresh();
    this.#startMerging();
    return this.missing;
  }

  /** What readers in this and other threads open; see `openReader`. */
  acquire(): AcquiredSource {
    invariant(this.#live !== undefined && !this.#closing, 'retain comes before acquire');
    return this.#runs.acquire();
  }

  /** Entries of both tables, chunk ids that several runs hold counted for each. */
  get records(): { readonly chunks: number; readonly blocks: number; readonly runs: number } {
    const sum = (table: 'chunks' | 'blocks') => this.#runs.pairs.reduce((n, pair) => n + pair[table].records, 0);
    return { chunks: sum('chunks'), blocks: sum('blocks'), runs: this.#runs.pairs.length };
  }

  /** When no merge is under way. Throws what a merge failed with: nothing is lost by that, but the runs are many. */
  async settled(): Promise<void> {
    await this.#merging;
    const failure = this.#mergeFailure;
    this.#mergeFailure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Abandons a merge that is under way (it will be begun again some day). Acquired sources stay good until they are released. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#merging;
    this.#runs.become([]);
  }

  #isLive(entry: RunEntry): boolean {
    return entry.covers.every((id) => this.#live!.has(id));
  }

  /** Opens what the newest manifest lists and is live; what turns out to be damaged leaves the manifest. */
  #refresh(): void {
    for (let n = 0; n < REFRESHES_MAX; n++) {
      const { runs } = readManifest(this.#directory, this.#checksum);
      const lost = this.#runs.become(runs.filter((entry) => this.#isLive(entry)));
      if (lost.length === 0) return;
      const files = new Set(lost.map((entry) => entry.chunks.file));
      this.#dropFromManifest((entry) => files.has(entry.chunks.file));
    }
  }

  #dropFromManifest(isDropped: (entry: RunEntry) => boolean): void {
    let dropped: RunEntry[] = [];
    changeManifest(this.#directory, this.#checksum, this.#randomBytes, (runs) => {
      dropped = runs.filter(isDropped);
      return dropped.length === 0 ? undefined : runs.filter((entry) => !dropped.includes(entry));
    });
    this.#removeFiles(dropped);
  }

  /** Only what no newer manifest has taken up. */
  #removeFiles(entries: readonly RunEntry[]): void {
    const listed = new Set(filesOf(readManifest(this.#directory, this.#checksum).runs));
    for (const file of filesOf(entries)) if (!listed.has(file)) unlinkQuietly(join(this.#directory, file));
  }

  /** Removes what dead processes have left unfinished. */
  async #sweep(): Promise<void> {
    const names = await readdir(this.#directory);
    const listed = new Set(filesOf(readManifest(this.#directory, this.#checksum).runs));
    for (const name of names) {
      const match = OWN_FILE.exec(name);
      const owner = Number(match?.[1] ?? match?.[2]);
      if (match !== null && !listed.has(name) && !isRunning(owner)) unlinkQuietly(join(this.#directory, name));
    }
  }

  #startMerging(): void {
    if (this.#merging !== undefined) return;
    this.#merging = this.#mergeAll()
      .catch((failure: unknown) => {
        if (!this.#closing) this.#mergeFailure = failure;
      })
      .finally(() => {
        this.#merging = undefined;
      });
  }

  async #mergeAll(): Promise<void> {
    while (!this.#closing) {
      const pairs = this.#runs.pairs;
      const records = pairs.map((pair) => pair.chunks.records + pair.blocks.records);
      const inputs = pairs.slice(pairs.length - planMerge(records, this.#smallRunRecords));
      if (inputs.length === 0) return;
      this.#runs.use(inputs);
      try {
        if (!(await this.#mergeOnce(inputs))) return;
      } finally {
        for (const pair of inputs) this.#runs.unuse(pair);
      }
    }
  }

  /** False when other runs lie between these, or somebody else has changed them meanwhile: then it was in vain. */
  async #mergeOnce(inputs: readonly RunPair[]): Promise<boolean> {
    if (findInputs(readManifest(this.#directory, this.#checksum).runs, inputs) < 0) return false;
    const entry = await this.#maker.fromRuns(inputs);
    let replaced = false;
    changeManifest(this.#directory, this.#checksum, this.#randomBytes, (runs) => {
      const from = findInputs(runs, inputs);
      replaced = from >= 0 || isListed(runs, entry);
      return from >= 0 ? [...runs.slice(0, from), entry, ...runs.slice(from + inputs.length)] : undefined;
    });
    this.#removeFiles(replaced ? inputs.map((pair) => pair.entry) : [entry]);
    if (replaced && !this.#closing) this.#refresh();
    return replaced;
  }
}

function isListed(runs: readonly RunEntry[], entry: RunEntry): boolean {
  return runs.some((run) => run.chunks.file === entry.chunks.file);
}

/** Where these runs lie in the list, one behind the other; or -1. */
function findInputs(runs: readonly RunEntry[], inputs: readonly RunPair[]): number {
  const from = runs.findIndex((run) => run.chunks.file === inputs[0]!.entry.chunks.file);
  return from >= 0 && inputs.every((pair, n) => runs[from + n]?.chunks.file === pair.entry.chunks.file) ? from : -1;
}

function filesOf(entries: readonly RunEntry[]): string[] {
  return entries.flatMap((entry) => [entry.chunks.file, entry.blocks.file]);
}
