// What a committed map may refer to. An agent that says "this block is part of my snapshot" would otherwise get at other agents' content
// by a restore of its own (a confused deputy): block ids are not secret, since they count up and sessions become known by dedup.
//
// Before a session commits, its map is held against what it was allowed to refer to (src/repository/README.md):
//   1. blocks of its own, and of other sessions of its asset or its agent;
//   2. blocks in which a chunk lies that was offered to this session (OpenSession.presence): who asks for a chunk by its keyed id has it;
//   3. what the map of its parent refers to, as it is there.
// Nodes are its own, or the parent's. The map of every parent was held against the same rules, so by induction a snapshot leads to content
// that its agent had, or had in its hands when it asked. (What lies beside an offered chunk in its solid block can be read with it: dedup
// between hosts of one tenant shares blocks.)
//
// The cost is that of the change. New nodes are walked; nodes of others end the walk and become wanted. If anything is wanted, the parent's
// map is walked from its root, and only below nodes that the new map does not share: what is shared is what is wanted there.
// A node is known by its digest, which is checked as it is read, so what was walked here is what a restore will find.

import { Fault, isFault } from '../base/faults.ts';
import { type Checksum, loadChecksum } from '../index/checksum.ts';
import { VisitedSet } from '../index/visited-set.ts';
import { blockOf, bytesEqual, REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import { type MapNode, MapWalker, rootNode } from '../repository/map-walk.ts';
import { BlockSet } from './block-set.ts';

const WANTED_TABLE_BYTES = 4 * 1024 * 1024;

export type MapCheck = {
  readonly root: SnapshotRoot;
  readonly parent: SnapshotRoot | undefined;
  /** 10 bytes. */
  readonly session: Uint8Array;
  /** Blocks of others that this session was told of. */
  readonly offered: BlockSet;
  /** Whether the session that made this block is of the same asset or the same agent. */
  readonly isOwn: (blockId: Uint8Array) => Promise<boolean>;
  readonly readNode: (reference: References) => Promise<Uint8Array>;
  /** Of the repository. */
  readonly unitBytes: number;
  /** Where sets spill to. */
  readonly directory: string;
  readonly signal: AbortSignal;
};

/** SESSION_REFUSED when the map refers to anything else, or cannot be read. */
export async function checkMap(check: MapCheck): Promise<void> {
  const { root, parent, unitBytes } = check;
  const node = rootNode(root, unitBytes);
  const before = parent === undefined ? undefined : rootNode(parent, unitBytes);
  if (node === undefined || (before !== undefined && bytesEqual(node.reference, before.reference))) return;
  const wanted = new WantedNodes(check.directory, await loadChecksum());
  try {
    const blocks = await walkNew(check, node, wanted);
    for (const [session, sample] of blocks.samples()) if (await check.isOwn(sample)) blocks.deleteSession(session);
    if (before !== undefined && wanted.missing + blocks.size > 0) await walkParent(check, before, wanted, blocks);
    const [first] = blocks.samples().values();
    if (first !== undefined) throw refused(check, `it refers to the block ${hex(first)}, which was not offered to it`);
    if (wanted.missing > 0) throw refused(check, `it shares ${wanted.missing} nodes that its parent does not have`);
  } finally {
    wanted.close();
  }
}

/** Answers the blocks of others that were not offered. */
async function walkNew(check: MapCheck, root: MapNode, wanted: WantedNodes): Promise<BlockSet> {
  const { session, offered } = check;
  const blocks = new BlockSet();
  const isNew = (references: References, n: number): boolean => {
    for (let i = 0; i < session.length; i++) if (references[n * REFERENCE_BYTES + i] !== session[i]) return false;
    return true;
  };
  await walk(check, root, {
    enters: ({ reference }) => {
      if (isNew(reference, 0)) return true;
      wanted.add(reference);
      return false;
    },
    onReferences: (references) => {
      for (let n = referenceCount(references) - 1; n >= 0; n--)
        if (!isNew(references, n) && !offered.has(blockOf(references, n))) blocks.add(blockOf(references, n));
    },
    onBadNode: (_, error) => {
      if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_NOT_FOUND')) throw error;
      throw refused(check, error instanceof Fault ? error.message : 'a node cannot be read');
    },
  });
  return blocks;
}

/** Takes away what the parent refers to. */
async function walkParent(check: MapCheck, root: MapNode, wanted: WantedNodes, blocks: BlockSet): Promise<void> {
  await walk(check, root, {
    enters: ({ reference }) => !wanted.find(reference) && wanted.missing + blocks.size > 0,
    onReferences: (references) => {
      for (let n = referenceCount(references) - 1; n >= 0; n--) blocks.delete(blockOf(references, n));
    },
    // What could not be read there by the agent either is nothing that it may refer to.
    onBadNode: (_, error) => {
      if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_NOT_FOUND')) throw error;
    },
  });
}

type Walk = Pick<ConstructorParameters<typeof MapWalker>[0], 'enters' | 'onReferences' | 'onBadNode'>;

async function walk({ readNode, unitBytes, directory, signal }: MapCheck, root: MapNode, how: Walk): Promise<void> {
  const walker = new MapWalker({ ...how, readNode, unitBytes, directory, checksum: await loadChecksum(), signal });
  try {
    await walker.walk(root);
  } finally {
    walker.close();
  }
}

/** References of nodes, in bounded memory: with a block changed here and there, a large volume wants millions. */
class WantedNodes {
  readonly #wanted: VisitedSet;
  readonly #found: VisitedSet;
  readonly #key = new Uint8Array(REFERENCE_BYTES);

  constructor(directory: string, checksum: Checksum) {
    const options = { directory, checksum, digestBytes: REFERENCE_BYTES, tableBytes: WANTED_TABLE_BYTES };
    this.#wanted = new VisitedSet(options);
    this.#found = new VisitedSet(options);
  }

  get missing(): number {
    return this.#wanted.size - this.#found.size;
  }

  add(reference: References): void {
    this.#wanted.add(this.#keyOf(reference));
  }

  /** Whether it is wanted; if so, it is not missing any more. */
  find(reference: References): boolean {
    const key = this.#keyOf(reference);
    if (!this.#wanted.has(key)) return false;
    this.#found.add(key);
    return true;
  }

  close(): void {
    this.#wanted.close();
    this.#found.close();
  }

  /** The digest first: it is what is evenly distributed. */
  #keyOf(reference: References): Uint8Array {
    this.#key.set(reference.subarray(16, 32));
    this.#key.set(reference.subarray(0, 16), 16);
    this.#key.set(reference.subarray(32), 32);
    return this.#key;
  }
}

function refused({ session }: MapCheck, why: string): Fault {
  return new Fault('SESSION_REFUSED', `The map of the session ${hex(session)} is not one that it may commit: ${why}`);
}
