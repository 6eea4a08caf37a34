// The changes of the head, as pure functions: the whole protocol is in what they check. README.md, "The head", argues why they suffice;
// test/repository/protocol-model.ts explores them in every interleaving.
//
// A session that has left `writers` never comes back: its name is never used again. Much below rests on that.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import {
  CONDEMNED_MAX,
  type Condemned,
  type Head,
  INDEXES_MAX,
  type IndexRef,
  PINS_MAX,
  type Pin,
  RETIRED_MAX,
  SNAPSHOTS_MAX,
  WRITERS_MAX,
  type Writer,
} from '../format/head.ts';

/** Left free for what must always be possible: a backup that has begun can be committed, whatever others did meanwhile. */
const INDEXES_RESERVED = INDEXES_MAX / 2;

export type IndexExchange = {
  /** Of the head that the plan was made from. */
  readonly generation: number;
  /** Ids of index objects that leave the live index. */
  readonly drop: readonly string[];
  /** Index objects that come in their place; they are in the store. */
  readonly add: readonly IndexRef[];
};

export type Condemnation = IndexExchange & {
  /** Snapshots that were marked. Whatever they need is neither condemned nor dropped. */
  readonly roots: ReadonlySet<string>;
  readonly list: { readonly id: string; readonly packs: number } | null;
  /** Set when blocks were written anew without what nothing needs: a backup that runs may still refer to the rest. Then it is 'stale' while
   *  there is one, and so a block's old pack never comes back beside the new one. */
  readonly whenQuiet?: boolean;
};

export function writerOf(head: Head, session: string): Writer | undefined {
  return head.writers.find((writer) => writer.session === session);
}

/** Snapshots that must stay restorable: registered, or forgotten while somebody reads them. */
export function rootsOf(head: Head): Set<string> {
  const roots = new Set(head.snapshots.map(({ session }) => session));
  for (const { session } of head.pins) roots.add(session);
  return roots;
}

/** Index objects in which a reader finds every block of every root. More than the live index: what is condemned and not settled is still
 *  there, and a backup that ran meanwhile may have committed with references to it. Not for backups: they re-use the live index only. */
export function readableIndexes(head: Head): IndexRef[] {
  return [...head.indexes, ...head.condemned.flatMap(({ awaits, indexes }) => (awaits.length > 0 ? indexes : []))];
}

/** REPOSITORY_BUSY or REPOSITORY_FULL when there is no room to end what would begin. */
export function join(head: Head, writer: Writer): Head {
  if (head.writers.length >= WRITERS_MAX)
    throw new Fault('REPOSITORY_BUSY', `The repository has ${WRITERS_MAX} writers, the most it can have`);
  if (head.snapshots.length + head.writers.length >= SNAPSHOTS_MAX) {
    throw new Fault(
      'REPOSITORY_FULL',
      `The repository has room for ${SNAPSHOTS_MAX} snapshots and ${head.snapshots.length} are there`,
    );
  }
  if (head.indexes.length >= INDEXES_RESERVED)
    throw new Fault('REPOSITORY_FULL', `The repository has ${head.indexes.length} index objects`);
  return { ...head, writers: [...head.writers, writer] };
}

/** Marks one change of a session, so that a repetition is recognised. */
export function step(head: Head, session: string, seenAt: string): Head {
  return {
    ...head,
    writers: head.writers.map((writer) => (writer.session === session ? { ...writer, step: writer.step + 1, seenAt } : writer)),
  };
}

/** A running session's own new packs become visible. Their packs cannot be condemned: nobody condemns packs of a session that runs. */
export function publish(head: Head, indexes: readonly IndexRef[]): Head {
  const known = new Set(head.indexes.map(({ id }) => id));
  const next = [...head.indexes, ...indexes.filter(({ id }) => !known.has(id))];
  if (next.length > INDEXES_MAX) throw new Fault('REPOSITORY_FULL', `The repository would have ${next.length} index objects`);
  return { ...head, indexes: next };
}

/** A committed session becomes a snapshot. */
export function register(head: Head, session: string, assetId: string, indexes: readonly IndexRef[]): Head {
  invariant(writerOf(head, session)?.kind === 'backup', 'only a running backup becomes a snapshot');
  const writers = head.writers.filter((writer) => writer.session !== session);
  return publish({ ...head, writers, snapshots: [...head.snapshots, { session, assetId }] }, indexes);
}

/** A session that cannot commit any more leaves: its register is revoked, or it never had one. */
export function leave(head: Head, session: string): Head {
  const writer = writerOf(head, session);
  if (writer === undefined) return head;
  const writers = head.writers.filter((other) => other !== writer);
  return writer.kind === 'backup' ? retire({ ...head, writers }, [session]) : { ...head, writers };
}

/** Packs of sessions that are over come back into the index. `stale`: what was found out about them may not hold any more. */
export function adopt(head: Head, { generation, add }: IndexExchange, packSessions: Iterable<string>): Head | 'stale' {
  if (head.generation !== generation) return 'stale';
  for (const session of packSessions) if (writerOf(head, session) !== undefined) return 'stale';
  return { ...publish(head, add), generation: generation + 1 };
}

/** Packs leave the index, and the swap that makes it so tells who may still need them. `stale`: plan again, from this head. */
export function condemn(head: Head, { generation, roots, drop, add, list, whenQuiet = false }: Condemnation): Head | 'stale' {
  if (head.generation !== generation) return 'stale';
  if (whenQuiet && head.writers.some(({ kind }) => kind === 'backup')) return 'stale';
  for (const root of rootsOf(head)) if (!roots.has(root)) return 'stale';
  if (head.condemned.length >= CONDEMNED_MAX)
    throw new Fault('REPOSITORY_BUSY', `${CONDEMNED_MAX} condemned lists wait for backups that are still running`);
  const dropped = new Set(drop);
  const gone = head.indexes.filter(({ id }) => dropped.has(id));
  invariant(gone.length === dropped.size, 'index objects leave only by a change of generation');
  const entry: Condemned = {
    generation: generation + 1,
    id: list?.id ?? null,
    packs: list?.packs ?? 0,
    indexes: gone,
    awaits: head.writers.filter(({ kind }) => kind === 'backup').map(({ session }) => session),
  };
  const indexes = [...head.indexes.filter(({ id }) => !dropped.has(id)), ...add];
  return { ...head, generation: generation + 1, indexes, condemned: [...head.condemned, entry] };
}

export type Settlement = {
  /** Of the head that it was worked out from. */
  readonly generation: number;
  /** Which condemnation. */
  readonly condemned: number;
  /** Index objects that name the packs which come back; empty when none does. */
  readonly add: readonly IndexRef[];
  /** What stays condemned. */
  readonly list: { readonly id: string; readonly packs: number } | null;
};

/** All that could need the condemned packs has ended and was looked at: from now on they may be deleted. */
export function settle(head: Head, { generation, condemned, add, list }: Settlement): Head | 'stale' {
  const entry = head.condemned.find((other) => other.generation === condemned);
  if (entry === undefined || entry.awaits.length === 0) return 'stale';
  if (head.generation !== generation || entry.awaits.some((session) => writerOf(head, session) !== undefined)) return 'stale';
  const settled: Condemned = { ...entry, awaits: [], id: list?.id ?? null, packs: list?.packs ?? 0 };
  return {
    ...publish(head, add),
    generation: add.length === 0 ? generation : generation + 1,
    condemned: head.condemned.map((other) => (other === entry ? settled : other)),
  };
}

/** The packs of a settled condemnation are deleted. */
export function dropCondemned(head: Head, condemned: number): Head {
  return { ...head, condemned: head.condemned.filter((entry) => entry.generation !== condemned || entry.awaits.length > 0) };
}

export function forget(head: Head, sessions: ReadonlySet<string>): Head {
  const gone = head.snapshots.filter(({ session }) => sessions.has(session)).map(({ session }) => session);
  return retire({ ...head, snapshots: head.snapshots.filter(({ session }) => !sessions.has(session)) }, gone);
}

/** Sessions whose register may be deleted: over, and nobody reads their snapshot. No pin can come back to them. */
export function deletableRegisters(head: Head): string[] {
  const pinned = new Set(head.pins.map(({ session }) => session));
  return head.retired.filter((session) => !pinned.has(session));
}

/** Their registers are deleted. */
export function dropRetired(head: Head, sessions: ReadonlySet<string>): Head {
  return { ...head, retired: head.retired.filter((session) => !sessions.has(session)) };
}

/** Undefined when there is no such snapshot. */
export function pin(head: Head, added: Pin): Head | undefined {
  if (head.pins.length >= PINS_MAX)
    throw new Fault('REPOSITORY_BUSY', `The repository has ${PINS_MAX} readers, the most it can have`);
  if (!head.snapshots.some(({ session }) => session === added.session)) return undefined;
  return { ...head, pins: [...head.pins, added] };
}

export function unpin(head: Head, holders: ReadonlySet<string>): Head {
  return { ...head, pins: head.pins.filter(({ holder }) => !holders.has(holder)) };
}

function retire(head: Head, sessions: readonly string[]): Head {
  if (head.retired.length + sessions.length > RETIRED_MAX)
    throw new Fault('REPOSITORY_BUSY', `${head.retired.length} registers wait to be deleted`);
  return { ...head, retired: [...head.retired, ...sessions] };
}
