// The protocol of src/repository/README.md as a small state machine: a store (packs, the head, registers) and agents that take one step of
// the store at a time. A change of the head is one step, because a swap that fails changes nothing and is tried again from what is there;
// where something is learned first and the head changed later these are two steps, with everybody else's steps in between.
//
// One byte holds a set. Bits name sessions and, at the same time, the packs that these sessions write:
//   bit 0: snapshot S0 (needs block a), pack A (blocks a and b)        bits 1-3: backups 0-2, their packs (block x0, x1, x2)
//   bits 4-6: prunes 0, 1 and the cleaning one, their packs of moved blocks      bit 7: snapshot S1 (needs block b), never forgotten
// Blocks: bit 0 a, bits 1-3 x0-x2, bit 4 b. S0 is what is forgotten: then a is dead, A half dead, and b must be moved to free A.
//
// The generation is not a number here: `fresh` holds the sessions for which it has not changed since they looked.

export const S0 = 1;
export const S1 = 128;
export const PACK_A = 1;
export const BLOCK_A = 1;
export const BLOCK_B = 16;
export const PRUNES = 3;
export const CLEANER = 2;
export const BACKUPS_MAX = 3;

export const backupBit = (w: number): number => 2 << w;
export const pruneBit = (p: number): number => 16 << p;
export const BACKUP_BITS = 2 | 4 | 8;
export const PRUNE_BITS = 16 | 32 | 64;

/** Deliberate faults in the protocol, each of which the exploration must find. */
export type Mutant =
  | 'sweep without settling'
  | 'settle without looking at commits'
  | 'settle leaves what it keeps on the list'
  | 'await those of the plan'
  | 'condemn without checking the snapshots'
  | 'condemn without checking the generation'
  | 'condemn from a head older than the list'
  | 'condemn packs of running sessions'
  | 'condemn overwrites the index'
  | 'condemn ignores pins'
  | 'move blocks without a session'
  | 'delete what a void plan has stored'
  | 'delete what was only listed'
  | 'learn the index before joining'
  | 'share maps of awaited snapshots'
  | 'join again under the same name'
  | 'publish again what the head does not name'
  | 'commit before the upload'
  | 'commit without looking at the head'
  | 'revoke without compare-and-swap'
  | 'drop without a register'
  | 'finish what is not among the writers'
  | 'delete the register before forgetting'
  | 'delete registers of pinned snapshots'
  | 'adopt without checking the generation'
  | 'adopt without checking condemned lists'
  | 'adopt without asking for the pack'
  | 'drop the list before deleting';

export type BackupSpec = {
  /** `resume` looks for packs of dead sessions first and takes them over. */
  readonly kind: 'new' | 'resume';
  /** Blocks that it refers to when it may: of the index it learned. */
  readonly wants: number;
  readonly mayAbandon: boolean;
};

export type Scenario = {
  readonly backups: readonly BackupSpec[];
  readonly prunes: number;
  /** Snapshots that are forgotten, in this order, at any time. */
  readonly forgets: readonly number[];
  /** A reader pins S0, and later lets it go. */
  readonly reader: boolean;
  /** Prunes also delete registers, and throw each other out. */
  readonly housekeeping: boolean;
  /** Swaps that take effect and are reported as a conflict. */
  readonly lostAnswers: number;
};

// Kinds of fields: how exchanging agents changes their values.
export const PLAIN = 0;
export const SESSIONS = 1;
export const BLOCKS = 2;

export const NONE = 0;
export const OPEN = 1;
export const COMMITTED = 2;
export const REVOKED = 3;

export const PENDING = 1;
export const SETTLED = 2;
export const GONE = 3;

/** Over, or dead. */
export const END = 255;

/** Where a field lies in a state. */
export const F = {
  stored: 0,
  index: 1,
  writers: 2,
  snapshots: 3,
  retired: 4,
  pins: 5,
  /** Told of success; forgotten: only to judge. */
  told: 6,
  forgotten: 7,
  fresh: 8,
  unpublished: 9,
  /** Index objects of backups that the head names, and those that are deleted. Packs of the index that are not in `own` stand in merged ones. */
  own: 10,
  ownGone: 11,
  forgets: 12,
  reader: 13,
  lost: 14,
  registerOf0: 15,
} as const;
const BACKUP_FIELDS = 4;
const PRUNE_FIELDS = 10;
const FIRST_BACKUP = 16;
export const B = { pc: 0, mask: 1, refs: 2, register: 3 } as const;
export const P = { pc: 0, target: 1, mask: 2, roots: 3, moved: 4, list: 5, packs: 6, awaits: 7, drop: 8, dropped: 9 } as const;
export const BACKUP_KINDS = [PLAIN, SESSIONS, BLOCKS, PLAIN];
export const PRUNE_KINDS = [PLAIN, SESSIONS, SESSIONS, SESSIONS, BLOCKS, PLAIN, SESSIONS, SESSIONS, SESSIONS, SESSIONS];

export type State = Uint8Array;
/** Who does what; apart from each other, because joining strings for every step would be most of the work. */
export type Emit = (who: string, what: string, next: State) => void;
export type Done = (who: string, what: string) => void;
export type Change = (s: State) => void;

/** One prune in one state. */
export type PruneAgent = {
  readonly world: World;
  readonly state: State;
  readonly p: number;
  readonly bit: number;
  /** Its fields. */
  readonly target: number;
  readonly mask: number;
  readonly roots: number;
  readonly moved: number;
  readonly drop: number;
  readonly isWriter: boolean;
  /** A step to `next`. */
  readonly step: (label: string, next: number, change?: Change) => void;
  /** A swap that takes effect, and leads to the hub unless its answer is lost. */
  readonly swap: (label: string, change: Change) => void;
};

/** Where a prune stands between its tasks. */
export const HUB = 1;

export const BACKUP_NAMES = ['backup 0', 'backup 1', 'backup 2'] as const;
export const PRUNE_NAMES = ['prune 0', 'prune 1', 'the cleaning prune'] as const;

/** Reading and changing one state. */
export class World {
  readonly scenario: Scenario;
  readonly mutant: Mutant | undefined;
  readonly #firstPrune: number;
  readonly width: number;
  readonly prunes: readonly number[];

  constructor(scenario: Scenario, mutant: Mutant | undefined) {
    this.scenario = scenario;
    this.mutant = mutant;
    this.#firstPrune = FIRST_BACKUP + BACKUP_FIELDS * scenario.backups.length;
    this.prunes = [...Array.from({ length: scenario.prunes }, (_, p) => p), CLEANER];
    this.width = this.#firstPrune + PRUNE_FIELDS * this.prunes.length;
  }

  backup(w: number, field: number): number {
    return FIRST_BACKUP + BACKUP_FIELDS * w + field;
  }

  prune(p: number, field: number): number {
    return this.#firstPrune + PRUNE_FIELDS * Math.min(p, this.scenario.prunes) + field;
  }

  /** The register of a session given as a bit. */
  register(bit: number): number {
    return bit === S0 ? F.registerOf0 : this.backup(31 - Math.clz32(bit) - 1, B.register);
  }

  blocksOf(s: State, packs: number): number {
    let blocks = packs & BACKUP_BITS;
    if (packs & PACK_A) blocks |= BLOCK_A | BLOCK_B;
    for (const p of this.prunes) if (packs & pruneBit(p)) blocks |= s[this.prune(p, P.moved)]!;
    return blocks;
  }

  /** What snapshots need, given as sessions. */
  needs(s: State, sessions: number): number {
    let blocks = 0;
    if (sessions & S0) blocks |= BLOCK_A;
    if (sessions & S1) blocks |= BLOCK_B;
    for (let w = 0; w < this.scenario.backups.length; w++) if (sessions & backupBit(w)) blocks |= s[this.backup(w, B.refs)]!;
    return blocks;
  }

  roots(s: State): number {
    return s[F.snapshots]! | (this.mutant === 'condemn ignores pins' ? 0 : s[F.pins]!) | S1;
  }

  /** Packs on lists that are not swept. */
  condemned(s: State): number {
    let packs = 0;
    for (const p of this.prunes) if (isListed(s[this.prune(p, P.list)]!)) packs |= s[this.prune(p, P.packs)]!;
    return packs;
  }

  awaited(s: State): number {
    let sessions = 0;
    for (const p of this.prunes) if (s[this.prune(p, P.list)] === PENDING) sessions |= s[this.prune(p, P.awaits)]!;
    return sessions;
  }

  /** A committed session, if it is among the writers, becomes a snapshot. */
  finish(s: State, bit: number): void {
    if ((s[F.writers]! & bit) === 0 && this.mutant !== 'finish what is not among the writers') return;
    s[F.writers]! &= ~bit;
    s[F.snapshots]! |= bit;
    s[F.index]! |= s[F.unpublished]! & bit;
    s[F.own]! |= s[F.unpublished]! & bit;
    s[F.unpublished]! &= ~bit;
  }

  leave(s: State, bit: number): void {
    if ((s[F.writers]! & bit) === 0) return;
    s[F.writers]! &= ~bit;
    if (bit & BACKUP_BITS) s[F.retired]! |= bit;
  }

  forget(s: State, bit: number): void {
    if ((s[F.snapshots]! & bit) === 0) return;
    s[F.snapshots]! &= ~bit;
    s[F.retired]! |= bit;
    s[F.forgotten]! |= bit;
  }
}

export const isListed = (list: number): boolean => list === PENDING || list === SETTLED;
