// Walks maps of snapshots, every node once however many snapshots share it, some at a time and in bounded memory. Content is not read.
//
// A node is known by its digest and by what it must cover: equal bytes have equal children, so what hangs below is walked once. But equal
// nodes may lie in several places (two assets that know nothing of each other), and each place is somebody's: so every reference of a
// node that is walked is reported, whether what it leads to was walked before or not.

import { Fault } from '../base/faults.ts';
import { decodeChunksNode } from '../format/chunks-node.ts';
import { decodeEntriesBranch, type EntriesLeafReferences, isEntriesLeaf, referencesOfEntriesLeaf } from '../format/entries-node.ts';
import { decodeUnitsBranch, decodeUnitsLeaf, UNITS_FANOUT, UNITS_PER_LEAF, unitsMapHeight } from '../format/units-node.ts';
import type { Checksum } from '../index/checksum.ts';
import { VisitedSet } from '../index/visited-set.ts';
import { digestOf, type References } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import type { StoredEntry } from '../model/stored-entry.ts';

const READS_PARALLEL = 8;
const VISITED_BYTES = 24;
const LEAF_KIND_UNITS = 3;

/** What a node must be: `units` covers so many units, the last of so many bytes. Its height is that of its level in the map: the last node of
 *  a level is as high as its siblings, however little it covers. */
export type NodeRole =
  | { readonly kind: 'entries' }
  | { readonly kind: 'chunks' }
  | { readonly kind: 'units'; readonly height: number; readonly units: number; readonly lastUnitBytes: number };
type UnitsRole = Extract<NodeRole, { readonly kind: 'units' }>;

export type MapNode = { readonly reference: References; readonly role: NodeRole };

/** What a node refers to. */
export type NodeContent = {
  readonly nodes: readonly MapNode[];
  /** Packed references of content; several lists. */
  readonly content: readonly References[];
};

export type MapWalkOptions = {
  readonly readNode: (reference: References) => Promise<Uint8Array>;
  /** Of the repository. */
  readonly unitBytes: number;
  /** Where what was visited spills to. */
  readonly directory: string;
  readonly checksum: Checksum;
  /** Every reference in every node, packed: of nodes and of content. */
  readonly onReferences: (references: References) => void;
  readonly onNode?: () => void;
  /** Whether to walk a node and what is below; asked for every reference of a node. Default: yes. */
  readonly enters?: (node: MapNode) => boolean;
  /** Of a node that cannot be read or is not what it must be; what is below stays unknown. Default: the walk fails with it. */
  readonly onBadNode?: (node: MapNode, error: unknown) => void;
  readonly signal?: AbortSignal | undefined;
};

/** The root of a snapshot's map; none when it holds nothing. */
export function rootNode(root: SnapshotRoot, unitBytes: number): MapNode | undefined {
  if (root.reference.length === 0) return undefined;
  if (root.kind === 'units') return { reference: root.reference, role: unitsRole(root.contentBytes, unitBytes) };
  return { reference: root.reference, role: { kind: root.kind } };
}

function unitsRole(contentBytes: number, unitBytes: number): NodeRole {
  const units = Math.ceil(contentBytes / unitBytes);
  return { kind: 'units', height: unitsMapHeight(units), units, lastUnitBytes: contentBytes - (units - 1) * unitBytes };
}

/** FORMAT_DAMAGED when the bytes are not such a node. */
export function readContentOf(bytes: Uint8Array, role: NodeRole, unitBytes: number): NodeContent {
  if (role.kind === 'units') return unitsContent(bytes, role, unitBytes);
  if (role.kind === 'chunks') {
    const node = decodeChunksNode(bytes);
    if (node.kind === 'leaf') return { nodes: [], content: [node.references] };
    return { nodes: node.children.map(({ reference }) => ({ reference, role })), content: [] };
  }
  if (!isEntriesLeaf(bytes))
    return { nodes: decodeEntriesBranch(bytes).map(({ reference }) => ({ reference, role })), content: [] };
  const { chunks, maps } = referencesOfEntriesLeaf(bytes);
  const nodes = maps.map((map) => mapNode(map, unitBytes)).filter((node) => node !== undefined);
  return { nodes, content: [chunks] };
}

/** The map of an entry's content, when it has one. */
export function contentNode({ content, sizeBytes }: StoredEntry, unitBytes: number): MapNode | undefined {
  if (content.kind !== 'chunks-map' && content.kind !== 'units-map') return undefined;
  return mapNode({ kind: content.kind, root: content.root, sizeBytes }, unitBytes);
}

function mapNode({ kind, root, sizeBytes }: EntriesLeafReferences['maps'][number], unitBytes: number): MapNode | undefined {
  if (root.length === 0) return undefined;
  return { reference: root, role: kind === 'chunks-map' ? { kind: 'chunks' } : unitsRole(sizeBytes, unitBytes) };
}

function unitsContent(bytes: Uint8Array, { height, units, lastUnitBytes }: UnitsRole, unitBytes: number): NodeContent {
  if (height === 0) return { nodes: [], content: [decodeUnitsLeaf(bytes, units, unitBytes, lastUnitBytes).references] };
  if (bytes[0] === LEAF_KIND_UNITS)
    throw new Fault('FORMAT_DAMAGED', 'A units map is damaged: it has a leaf where a branch belongs');
  const children = decodeUnitsBranch(bytes);
  const span = UNITS_PER_LEAF * UNITS_FANOUT ** (height - 1);
  if (children.length !== Math.ceil(units / span)) {
    throw new Fault('FORMAT_DAMAGED', `A units branch is damaged: it has ${children.length} children for ${units} units`);
  }
  const nodes: MapNode[] = [];
  children.forEach((reference, i) => {
    const isLast = i === children.length - 1;
    const role = {
      kind: 'units',
      height: height - 1,
      units: isLast ? units - i * span : span,
      lastUnitBytes: isLast ? lastUnitBytes : unitBytes,
    } as const;
    if (reference.length > 0) nodes.push({ reference, role });
  });
  return { nodes, content: [] };
}

export class MapWalker {
  readonly #options: MapWalkOptions;
  readonly #visited: VisitedSet;
  readonly #key = new Uint8Array(VISITED_BYTES);
  readonly #keyNumbers = new DataView(this.#key.buffer);
  #waiting: MapNode[] = [];

  constructor(options: MapWalkOptions) {
    this.#options = options;
    this.#visited = new VisitedSet({ directory: options.directory, checksum: options.checksum, digestBytes: VISITED_BYTES });
  }

  /** Nodes walked so far. */
  get nodes(): number {
    return this.#visited.size;
  }

  /** Walks what was not walked before below this node. Not concurrently. */
  async walk(root: MapNode): Promise<void> {
    this.#options.onReferences(root.reference);
    this.#expect(root);
    let running = 0;
    let failure: { readonly error: unknown } | undefined;
    await new Promise<void>((resolve) => {
      const pump = (): void => {
        while (running < READS_PARALLEL && this.#waiting.length > 0 && failure === undefined) {
          running++;
          this.#visit(this.#waiting.pop()!)
            .catch((error: unknown) => {
              failure ??= { error };
            })
            .finally(() => {
              running--;
              pump();
            });
        }
        if (running === 0) resolve();
      };
      pump();
    });
    this.#waiting = [];
    if (failure !== undefined) throw failure.error;
  }

  close(): void {
    this.#visited.close();
  }

  #expect(node: MapNode): void {
    if (this.#options.enters?.(node) === false) return;
    this.#key.set(digestOf(node.reference));
    const { role } = node;
    this.#keyNumbers.setUint32(16, role.kind === 'units' ? role.units % 2 ** 32 : 0);
    // A unit has less than 2^24 bytes (BLOCK_RAW_BYTES_MAX).
    this.#keyNumbers.setUint32(20, role.kind === 'units' ? role.height * 2 ** 24 + role.lastUnitBytes : 0);
    if (this.#visited.add(this.#key)) this.#waiting.push(node);
  }

  async #visit(node: MapNode): Promise<void> {
    const { readNode, unitBytes, onReferences, onNode, onBadNode, signal } = this.#options;
    signal?.throwIfAborted();
    let content: NodeContent;
    try {
      content = readContentOf(await readNode(node.reference), node.role, unitBytes);
    } catch (error) {
      signal?.throwIfAborted();
      if (onBadNode === undefined) throw error;
      onBadNode(node, error);
      return;
    }
    onNode?.();
    for (const references of content.content) onReferences(references);
    for (const { reference } of content.nodes) onReferences(reference);
    // The last in is the first out: so neighbours are read one after the other, and few wait.
    for (let i = content.nodes.length - 1; i >= 0; i--) this.#expect(content.nodes[i]!);
  }
}
