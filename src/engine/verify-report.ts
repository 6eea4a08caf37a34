// What verify answers, and the counters that it moves while it works.

export class VerifyProgress {
  phase: 'structure' | 'packs' | 'damage' | 'done' = 'structure';
  snapshotsTotal = 0;
  snapshotsDone = 0;
  nodesDone = 0;
  packsTotal = 0;
  packsDone = 0;
  bytesTotal = 0;
  bytesDone = 0;
  /** Damaged things found so far. */
  damaged = 0;
}

export type DamagedThing = {
  readonly kind: 'snapshot' | 'index' | 'pack' | 'block' | 'node' | 'session-key' | 'log';
  /** Hex: session, index object, pack, block; of a node the block that holds it; of a log the object's key. */
  readonly id: string;
  /** Of a block: the pack it lies in. */
  readonly pack?: string;
  /** What is wrong, for people. */
  readonly message: string;
};

export type AffectedPath = {
  /** Latin1; of a volume or stream ''. */
  readonly path: string;
  /** Set when a part of the tree cannot be listed: everything from `path` to before this one; '' for: to the end. */
  readonly until?: string;
};

export type AffectedSnapshot = {
  readonly session: string;
  /** '' when the snapshot itself cannot be read. */
  readonly asset: string;
  readonly startedAt: string;
  readonly paths: readonly AffectedPath[];
  /** All of them, named or not. */
  readonly pathsCount: number;
};

/** The first ones are named, all are counted. */
const DAMAGED_NAMED_MAX = 10_000;

/** Gathers what is damaged. */
export class DamageList {
  readonly things: DamagedThing[] = [];
  /** Blocks (hex) from which something cannot be read. */
  readonly blocks = new Set<string>();
  /** Packs (hex) that are missing or not what their name says. */
  readonly packs = new Set<string>();
  /** Of those, the missing ones. */
  readonly missing = new Set<string>();
  /** Digests (hex) of nodes that cannot be read or are not what they must be. */
  readonly nodes = new Set<string>();
  readonly #progress: VerifyProgress;
  count = 0;

  constructor(progress: VerifyProgress) {
    this.#progress = progress;
  }

  add(thing: DamagedThing): void {
    this.count++;
    this.#progress.damaged = this.count;
    if (this.things.length < DAMAGED_NAMED_MAX) this.things.push(thing);
    if (thing.kind === 'block') this.blocks.add(thing.id);
    if (thing.kind === 'pack') this.packs.add(thing.id);
  }
}
