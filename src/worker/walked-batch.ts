// Walked entries on their way between threads: in columns, because that costs the thread that gets them a fraction of what objects do.

import type { WalkedEntry, WalkItem, WalkProblem } from '../files/walk.ts';
import { KINDS } from '../format/entries-leaf-cursor.ts';
import type { EntryKind } from '../model/entry.ts';

/** Of an entry, whole numbers below 2^32: kind, mode, uid, gid, mtimeNsec, ctimeNsec, links, rdevMajor, rdevMinor. */
const SMALL_FIELDS = 9;
/** Others: sizeBytes, mtimeSec, ctimeSec, inode, device, allocatedBytes. */
const LARGE_FIELDS = 6;

export type WalkedBatch = {
  /** Of all entries, each with a zero byte, which no path has, behind it. */
  readonly paths: string;
  readonly small: Uint32Array;
  readonly large: Float64Array;
  /** Of the symlinks among them, in order. */
  readonly linkTargets: readonly string[];
  /** Of those with several names, in order. */
  readonly hardLinkKeys: readonly string[];
  /** `at`: how many entries come before it. */
  readonly problems: readonly { readonly at: number; readonly problem: WalkProblem }[];
};

export class WalkedBatchWriter {
  readonly #small: Uint32Array;
  readonly #large: Float64Array;
  #paths: string[] = [];
  #linkTargets: string[] = [];
  #hardLinkKeys: string[] = [];
  #problems: { readonly at: number; readonly problem: WalkProblem }[] = [];

  constructor(entriesMax: number) {
    this.#small = new Uint32Array(entriesMax * SMALL_FIELDS);
    this.#large = new Float64Array(entriesMax * LARGE_FIELDS);
  }

  get entries(): number {
    return this.#paths.length;
  }

  add(item: WalkItem): void {
    const n = this.#paths.length;
    if (item.kind === 'problem') {
      this.#problems.push({ at: n, problem: item });
      return;
    }
    const small = this.#small;
    let at = n * SMALL_FIELDS;
    small[at++] = KINDS.indexOf(item.kind);
    small[at++] = item.mode;
    small[at++] = item.uid;
    small[at++] = item.gid;
    small[at++] = item.mtimeNsec;
    small[at++] = item.ctimeNsec;
    small[at++] = item.links;
    small[at++] = item.rdevMajor;
    small[at++] = item.rdevMinor;
    const large = this.#large;
    at = n * LARGE_FIELDS;
    large[at++] = item.sizeBytes;
    large[at++] = item.mtimeSec;
    large[at++] = item.ctimeSec;
    large[at++] = item.inode;
    large[at++] = item.device;
    large[at++] = item.allocatedBytes;
    this.#paths.push(item.path);
    if (item.kind === 'symlink') this.#linkTargets.push(item.linkTarget);
    if (hasKey(item.kind, item.links)) this.#hardLinkKeys.push(item.hardLinkKey);
  }

  /** What was added since the last. */
  take(): WalkedBatch {
    const n = this.entries;
    const batch = {
      paths: `${this.#paths.join('\0')}\0`,
      small: this.#small.slice(0, n * SMALL_FIELDS),
      large: this.#large.slice(0, n * LARGE_FIELDS),
      linkTargets: this.#linkTargets,
      hardLinkKeys: this.#hardLinkKeys,
      problems: this.#problems,
    };
    this.#paths = [];
    this.#linkTargets = [];
    this.#hardLinkKeys = [];
    this.#problems = [];
    return batch;
  }
}

/** Items as they were added. */
export function* walkedItems(batch: WalkedBatch): Generator<WalkItem, void, undefined> {
  const { paths, small, large, linkTargets, hardLinkKeys, problems } = batch;
  const entries = large.length / LARGE_FIELDS;
  let [start, links, keys, told] = [0, 0, 0, 0];
  for (let n = 0; n < entries; n++) {
    for (; problems[told]?.at === n; told++) yield problems[told]!.problem;
    const end = paths.indexOf('\0', start);
    const s = n * SMALL_FIELDS;
    const l = n * LARGE_FIELDS;
    const kind = KINDS[small[s]!]!;
    const entry: WalkedEntry = {
      path: paths.slice(start, end),
      kind,
      mode: small[s + 1]!,
      uid: small[s + 2]!,
      gid: small[s + 3]!,
      sizeBytes: large[l]!,
      mtimeSec: large[l + 1]!,
      mtimeNsec: small[s + 4]!,
      ctimeSec: large[l + 2]!,
      ctimeNsec: small[s + 5]!,
      inode: large[l + 3]!,
      device: large[l + 4]!,
      links: small[s + 6]!,
      rdevMajor: small[s + 7]!,
      rdevMinor: small[s + 8]!,
      linkTarget: kind === 'symlink' ? linkTargets[links++]! : '',
      root: 0,
      allocatedBytes: large[l + 5]!,
      hardLinkKey: hasKey(kind, small[s + 6]!) ? hardLinkKeys[keys++]! : '',
    };
    start = end + 1;
    yield entry;
  }
  for (; told < problems.length; told++) yield problems[told]!.problem;
}

function hasKey(kind: EntryKind, links: number): boolean {
  return links > 1 && kind !== 'directory';
}
