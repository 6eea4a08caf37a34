// Which snapshots and which of their paths need something that is damaged. Walked only when there is damage: snapshot by snapshot, parts
// that are known to be sound once for all snapshots.

import { decodeEntriesBranch, decodeEntriesLeaf, isEntriesLeaf } from '../format/entries-node.ts';
import { loadChecksum } from '../index/checksum.ts';
import { VisitedSet } from '../index/visited-set.ts';
import { blockOf, digestOf, type References, referenceAt, referenceCount } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import { contentNode, type MapNode, readContentOf, rootNode } from '../repository/map-walk.ts';
import type { Repository } from '../repository/repository.ts';
import { sortDirectory } from '../repository/sort-directory.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { ReadNode } from './content-map.ts';
import type { AffectedPath, AffectedSnapshot, DamageList } from './verify-report.ts';

const DIGEST_BYTES = 16;
/** Originals of hard links whose names are remembered, so that their other names are reported too. */
const ORIGINALS_MAX = 100_000;

export type AffectedOptions = { readonly readNode: ReadNode; readonly damage: DamageList; readonly pathsMax: number };

export class AffectedFinder {
  readonly #options: AffectedOptions;
  readonly #unitBytes: number;
  readonly #call: CallOptions | undefined;
  /** Digests of nodes below which nothing is damaged. */
  readonly #sound: VisitedSet;
  #paths: AffectedPath[] = [];
  #count = 0;
  #originals = new Set<string>();

  static async open(repository: Repository, options: AffectedOptions, call?: CallOptions): Promise<AffectedFinder> {
    const sound = new VisitedSet({
      directory: sortDirectory(repository.cacheDirectory),
      checksum: await loadChecksum(),
      digestBytes: DIGEST_BYTES,
    });
    return new AffectedFinder(options, repository.parameters.paged.unitBytes, sound, call);
  }

  private constructor(options: AffectedOptions, unitBytes: number, sound: VisitedSet, call: CallOptions | undefined) {
    this.#options = options;
    this.#unitBytes = unitBytes;
    this.#sound = sound;
    this.#call = call;
  }

  /** Undefined when the snapshot can be restored whole. */
  async of(snapshot: Snapshot): Promise<AffectedSnapshot | undefined> {
    this.#paths = [];
    this.#count = 0;
    this.#originals = new Set();
    const root = rootNode(snapshot.root, this.#unitBytes);
    if (root === undefined) return undefined;
    if (root.role.kind === 'entries') await this.#tree(root, '', '', snapshot.root.entries);
    else if (await this.#isBroken(root)) this.#report({ path: '' }, 1);
    if (this.#count === 0) return undefined;
    return {
      session: snapshot.id,
      asset: snapshot.asset,
      startedAt: snapshot.startedAt,
      paths: this.#paths,
      pathsCount: this.#count,
    };
  }

  close(): void {
    this.#sound.close();
  }

  /** True when everything below is sound and says nothing about other parts. */
  async #tree(node: MapNode, path: string, until: string, entries: number): Promise<boolean> {
    this.#call?.signal?.throwIfAborted();
    if (this.#sound.has(digestOf(node.reference))) return true;
    const bytes = this.#isBad(node.reference) ? undefined : await this.#read(node);
    if (bytes === undefined) {
      this.#report({ path, until }, entries);
      return false;
    }
    let isSound = true;
    if (isEntriesLeaf(bytes)) isSound = await this.#leaf(bytes);
    else {
      const children = decodeEntriesBranch(bytes);
      for (const [i, child] of children.entries()) {
        const next = children[i + 1]?.firstPath ?? until;
        const childIsSound = await this.#tree(
          { reference: child.reference, role: node.role },
          child.firstPath,
          next,
          child.entries,
        );
        isSound &&= childIsSound;
      }
    }
    if (isSound) this.#sound.add(digestOf(node.reference));
    return isSound;
  }

  async #leaf(bytes: Uint8Array): Promise<boolean> {
    let isSound = true;
    for (const entry of decodeEntriesLeaf(bytes)) {
      const map = contentNode(entry, this.#unitBytes);
      const isInline = entry.content.kind === 'chunks';
      const isBroken =
        map !== undefined
          ? await this.#isBroken(map)
          : isInline && this.#hasBad((entry.content as { references: References }).references);
      // Another name of a file that is damaged: it is in this snapshot that the two belong together.
      const isLinkToBroken = entry.hardLinkTo !== '' && this.#originals.has(entry.hardLinkTo);
      if (entry.hardLinkTo !== '') isSound = false;
      if (!isBroken && !isLinkToBroken) continue;
      isSound = false;
      this.#report({ path: entry.path }, 1);
      if (entry.links > 1 && this.#originals.size < ORIGINALS_MAX) this.#originals.add(entry.path);
    }
    return isSound;
  }

  /** Of a content's map. */
  async #isBroken(node: MapNode): Promise<boolean> {
    if (this.#sound.has(digestOf(node.reference))) return false;
    const bytes = this.#isBad(node.reference) ? undefined : await this.#read(node);
    if (bytes === undefined) return true;
    const { nodes, content } = readContentOf(bytes, node.role, this.#unitBytes);
    if (content.some((references) => this.#hasBad(references))) return true;
    for (const child of nodes) if (await this.#isBroken(child)) return true;
    this.#sound.add(digestOf(node.reference));
    return false;
  }

  async #read(node: MapNode): Promise<Uint8Array | undefined> {
    try {
      return await this.#options.readNode(node.reference);
    } catch {
      // Whatever it was: this part cannot be read now, and the structure was looked at before.
      this.#call?.signal?.throwIfAborted();
      return undefined;
    }
  }

  #isBad(reference: References): boolean {
    const { damage } = this.#options;
    return damage.blocks.has(hex(blockOf(reference))) || damage.nodes.has(hex(digestOf(reference)));
  }

  #hasBad(references: References): boolean {
    const { blocks } = this.#options.damage;
    let latest: Uint8Array | undefined;
    for (let n = 0; n < referenceCount(references); n++) {
      const block = blockOf(referenceAt(references, n));
      if (latest !== undefined && Buffer.compare(latest, block) === 0) continue;
      if (blocks.has(hex(block))) return true;
      latest = block;
    }
    return false;
  }

  #report(path: AffectedPath, entries: number): void {
    this.#count += entries;
    if (this.#paths.length < this.#options.pathsMax) this.#paths.push(path);
  }
}
