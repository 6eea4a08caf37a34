// What restores and rehearsals have in common: the snapshot through the service, written to a place on this host, and read again from it.

import { checkContent, checkTree } from '../../src/engine/check-restored.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreSingle } from '../../src/engine/restore-single.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import { claimTarget } from '../../src/files/claim-target.ts';
import { displayPath, nameOfPath, parentOfPath } from '../../src/model/entry-path.ts';
import type { Content } from '../../src/model/stored-entry.ts';
import { RemoteReader } from '../../src/remote/remote-reader.ts';
import { type DataPath, openDataPath } from './data-path.ts';
import type { RunContext } from './run-context.ts';
import type { RunProgress } from './run-messages.ts';
import { ToldProblems } from './told-problems.ts';

/** Paths of problems that are remembered, so that reading again does not report them anew. */
const REPORTED_MAX = 100_000;
const DAMAGE: readonly string[] = ['FORMAT_DAMAGED', 'STORE_NOT_FOUND'];

/** Where to: all latin1. */
export type RestorePlace =
  | {
      readonly kind: 'tree';
      readonly directory: string;
      readonly below: string;
      readonly rootName?: string;
      readonly delta: boolean;
    }
  | { readonly kind: 'content'; readonly path: string; readonly delta: boolean };

export class RestoreWork {
  readonly reader: RemoteReader;
  readonly progress = new RestoreProgress();
  readonly data: DataPath;
  readonly #context: RunContext;
  readonly #told = new ToldProblems();
  readonly #reported = new Set<string>();
  problems = 0;
  damaged = 0;
  differing = 0;

  private constructor(context: RunContext, data: DataPath, reader: RemoteReader) {
    this.#context = context;
    this.data = data;
    this.reader = reader;
  }

  static async open(context: RunContext): Promise<RestoreWork> {
    const data = openDataPath(context);
    const { run } = context.claimed;
    try {
      const reader = await RemoteReader.open({ ...data, runId: run.id, fence: run.fence, signal: context.signal });
      return new RestoreWork(context, data, reader);
    } catch (error) {
      data.store.close();
      throw error;
    }
  }

  async restore(place: RestorePlace): Promise<void> {
    // The runs of this agent take turns; whoever restores by hand does not know of them.
    const release =
      place.kind === 'content'
        ? await claimTarget(parentOfPath(place.path) || '/', nameOfPath(place.path))
        : await claimTarget(place.directory, place.rootName);
    try {
      await this.#write(place);
    } finally {
      release();
    }
  }

  async #write(place: RestorePlace): Promise<void> {
    const { reader, progress } = this;
    const { snapshot, parameters, readNode, blocks, keys } = reader;
    const onProblem = (problem: RestoreProblem): void => this.#note(problem);
    this.#context.watch(() => gaugeOf('restoring', progress, snapshot.root.contentBytes));
    const common = { unitBytes: parameters.paged.unitBytes, readNode, blocks, keys, progress, onProblem };
    if (place.kind === 'content') {
      const { path, delta } = place;
      await this.#withPool(undefined, (pool) =>
        restoreSingle({ ...common, pool, path, delta, content: contentOf(reader), sizeBytes: snapshot.root.contentBytes }),
      );
      return;
    }
    const { directory: target, below, delta, rootName } = place;
    await this.#withPool(target, (pool) =>
      restoreTree({
        ...common,
        pool,
        root: snapshot.root.reference,
        below,
        target,
        delta,
        ...(rootName === undefined ? {} : { rootName }),
      }),
    );
  }

  /** Reads again what was restored and compares it with the digests of the snapshot's map. */
  async check(place: RestorePlace): Promise<void> {
    const { snapshot, parameters, readNode } = this.reader;
    const progress = new RestoreProgress();
    const onDifference = (problem: RestoreProblem): void => {
      this.differing++;
      this.#told.add(problem);
    };
    this.#context.watch(() => gaugeOf('comparing', progress, snapshot.root.contentBytes));
    await this.#withPool(undefined, async (pool) => {
      const check = { unitBytes: parameters.paged.unitBytes, readNode, pool, progress, onDifference };
      if (place.kind === 'content') {
        await checkContent(check, contentOf(this.reader), snapshot.root.contentBytes, place.path, place.path);
        await pool.drain();
        return;
      }
      const { directory: target, below, rootName } = place;
      const named = rootName === undefined ? {} : { rootName };
      await checkTree({ ...check, root: snapshot.root.reference, below, target, reported: this.#reported, ...named });
    });
  }

  /** For the result of the run. */
  describe(): Record<string, unknown> {
    const { reader, progress, problems, damaged, data } = this;
    return {
      snapshot: reader.snapshot.id,
      entries: progress.entriesDone,
      bytes: progress.bytesDone,
      bytesFetched: progress.bytesFetched,
      bytesKept: progress.bytesKept,
      problems,
      damaged,
      ...this.#told.describe(),
      serviceBytes: data.client.bytesSent + data.client.bytesReceived,
      storeBytes: data.store.bytesFetched,
    };
  }

  async close(): Promise<void> {
    await this.reader.close();
    this.data.store.close();
  }

  #note(problem: RestoreProblem): void {
    this.problems++;
    this.progress.problems++;
    if (DAMAGE.includes(problem.code)) this.damaged++;
    if (this.#reported.size < REPORTED_MAX) this.#reported.add(problem.path);
    this.#told.add(problem);
  }

  async #withPool(target: string | undefined, work: (pool: ReadingPool) => Promise<void>): Promise<void> {
    const { store, keyring } = this.reader;
    const { settings, signal } = this.#context;
    const pool = new ReadingPool(store, settings.threads, { idKey: keyring.payload.idKey, target }, signal);
    try {
      await work(pool);
    } finally {
      await pool.close();
    }
  }
}

function contentOf({ snapshot: { root } }: RemoteReader): Content {
  return { kind: root.kind === 'units' ? 'units-map' : 'chunks-map', root: root.reference };
}

function gaugeOf(phase: string, { bytesDone, entriesDone, current }: RestoreProgress, bytesTotal: number): RunProgress {
  return { phase, bytesDone, bytesTotal, entriesDone, ...(current === '' ? {} : { current: displayPath(current).slice(0, 1000) }) };
}
