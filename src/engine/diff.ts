// What differs between two trees: both maps are walked in step, and where they refer to equal nodes neither is read. So the cost is that
// of the difference, not of the trees.

import { decodeEntriesBranch, decodeEntriesLeaf, isEntriesLeaf } from '../format/entries-node.ts';
import { comparePaths } from '../model/entry-path.ts';
import { bytesEqual, digestOf, type References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { ReadNode } from './content-map.ts';
import { changeOfEntry } from './diff-entry.ts';

export type Difference =
  | { readonly change: 'added'; readonly path: string; readonly after: StoredEntry }
  | { readonly change: 'removed'; readonly path: string; readonly before: StoredEntry }
  | {
      /** changed: another kind, content or link target. metadata: the rest. */
      readonly change: 'changed' | 'metadata';
      readonly path: string;
      readonly before: StoredEntry;
      readonly after: StoredEntry;
      /** What differs: 'kind', 'content', 'size', 'target', 'mode', 'owner', 'mtime', 'xattrs', 'device', 'links'. */
      readonly fields: readonly string[];
    };

/** In order of the paths. */
export async function* diffTrees(before: References, after: References, readNode: ReadNode): AsyncGenerator<Difference> {
  const a = new LazyWalk(before, readNode);
  const b = new LazyWalk(after, readNode);
  for (;;) {
    const x = a.head;
    const y = b.head;
    if (x === undefined && y === undefined) return;
    if (x?.kind === 'node' && y?.kind === 'node' && bytesEqual(digestOf(x.reference), digestOf(y.reference))) {
      a.skip();
      b.skip();
      continue;
    }
    const order = x === undefined ? 1 : y === undefined ? -1 : comparePaths(x.firstPath, y.firstPath);
    // A node that begins before the other head must be looked into; so must the larger one of two that begin together.
    if (x?.kind === 'node' && (order < 0 || (order === 0 && (y?.kind !== 'node' || x.entries >= y.entries)))) await a.enter();
    else if (y?.kind === 'node' && order >= 0) await b.enter();
    else if (order < 0 && x?.kind === 'entry') {
      yield { change: 'removed', path: x.firstPath, before: x.entry };
      a.skip();
    } else if (order > 0 && y?.kind === 'entry') {
      yield { change: 'added', path: y.firstPath, after: y.entry };
      b.skip();
    } else if (x?.kind === 'entry' && y?.kind === 'entry') {
      const fields = await changeOfEntry({ entry: x.entry, root: before }, { entry: y.entry, root: after }, readNode);
      a.skip();
      b.skip();
      if (fields.length === 0) continue;
      const isContent = fields.some(
        (field) => field === 'kind' || field === 'content' || field === 'size' || field === 'target' || field === 'device',
      );
      yield { change: isContent ? 'changed' : 'metadata', path: x.firstPath, before: x.entry, after: y.entry, fields };
    }
  }
}

type Head =
  | { readonly kind: 'node'; readonly firstPath: string; readonly reference: References; readonly entries: number }
  | { readonly kind: 'entry'; readonly firstPath: string; readonly entry: StoredEntry };

/** The entries of a map as far as somebody enters its nodes. */
class LazyWalk {
  readonly #readNode: ReadNode;
  /** What is still ahead, the nearest last. */
  readonly #ahead: Head[] = [];

  constructor(root: References, readNode: ReadNode) {
    this.#readNode = readNode;
    // Whatever it holds comes after '', and it is larger than any node that it could be compared with.
    if (root.length > 0) this.#ahead.push({ kind: 'node', firstPath: '', reference: root, entries: Number.POSITIVE_INFINITY });
  }

  get head(): Head | undefined {
    return this.#ahead.at(-1);
  }

  skip(): void {
    this.#ahead.pop();
  }

  async enter(): Promise<void> {
    const head = this.#ahead.pop();
    if (head?.kind !== 'node') return;
    const node = await this.#readNode(head.reference);
    const inside: Head[] = isEntriesLeaf(node)
      ? decodeEntriesLeaf(node).map((entry) => ({ kind: 'entry', firstPath: entry.path, entry }))
      : decodeEntriesBranch(node).map(({ firstPath, reference, entries }) => ({ kind: 'node', firstPath, reference, entries }));
    this.#ahead.push(...inside.reverse());
  }
}
