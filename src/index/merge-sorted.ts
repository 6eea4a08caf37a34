// Merges sorted batches of fixed-size records with a tree of losers: one comparison a level for each record, first on the six
// leading key bytes as one number, then on the whole key. Nothing is allocated per record.

import { invariant } from '../base/invariant.ts';
import { compareKeys, keyWord } from './keys.ts';

/** Sizes in bytes; the key leads the record. */
export type RecordShape = { readonly recordBytes: number; readonly keyBytes: number };

/** What becomes of records with equal keys: all stay (in the order of the inputs), or only that of the first or the last input. */
export type EqualKeys = 'all' | 'first' | 'last';

const EXHAUSTED = Number.POSITIVE_INFINITY;
const PREFIX_BYTES = 6;

/** Batches are views of whole records at positions divisible by four, valid until the next one is asked for. */
export type RecordBatches = Iterator<Uint8Array>;

class Heads {
  readonly bytes: Uint8Array[] = [];
  readonly words: Uint32Array[] = [];
  /** Of the head record in its batch, in bytes. */
  readonly at: Float64Array;
  readonly prefix: Float64Array;
  readonly #inputs: readonly RecordBatches[];
  readonly #shape: RecordShape;
  readonly #lastFirst: boolean;

  constructor(inputs: readonly RecordBatches[], shape: RecordShape, lastFirst: boolean) {
    this.#inputs = inputs;
    this.#shape = shape;
    this.#lastFirst = lastFirst;
    this.at = new Float64Array(inputs.length);
    // One more than there are inputs: a head that sorts before all others, to build the tree with.
    this.prefix = new Float64Array(inputs.length + 1).fill(-1);
    for (let i = 0; i < inputs.length; i++) this.#refill(i);
  }

  advance(i: number): void {
    this.at[i]! += this.#shape.recordBytes;
    if (this.at[i]! < this.bytes[i]!.length) this.#loadPrefix(i);
    else this.#refill(i);
  }

  before(a: number, b: number): boolean {
    const pa = this.prefix[a]!;
    const pb = this.prefix[b]!;
    if (pa !== pb) return pa < pb;
    if (a === b || pa === EXHAUSTED) return false;
    const order = compareKeys(this.bytes[a]!, this.at[a]!, this.bytes[b]!, this.at[b]!, this.#shape.keyBytes);
    return order !== 0 ? order < 0 : this.#lastFirst ? a > b : a < b;
  }

  #refill(i: number): void {
    for (;;) {
      const next = this.#inputs[i]!.next();
      if (next.done === true) {
        this.prefix[i] = EXHAUSTED;
        return;
      }
      const batch = next.value;
      if (batch.length === 0) continue;
      this.bytes[i] = batch;
      this.words[i] = new Uint32Array(batch.buffer, batch.byteOffset, batch.length >>> 2);
      this.at[i] = 0;
      this.#loadPrefix(i);
      return;
    }
  }

  #loadPrefix(i: number): void {
    const bytes = this.bytes[i]!;
    const at = this.at[i]!;
    this.prefix[i] = keyWord(bytes, at) * 65536 + ((bytes[at + 4]! << 8) | bytes[at + 5]!);
  }
}

/** Yields views of `out`, valid until the next is asked for, not to be written to. Equal keys inside one input are that input's affair. */
export function* mergeSorted(
  inputs: readonly RecordBatches[],
  shape: RecordShape,
  equal: EqualKeys,
  out: Uint8Array,
): Generator<Uint8Array> {
  const { recordBytes, keyBytes } = shape;
  invariant(
    recordBytes % 4 === 0 && out.byteOffset % 4 === 0 && keyBytes >= PREFIX_BYTES,
    'records are merged in words of four bytes',
  );
  const words = recordBytes >>> 2;
  const outWords = new Uint32Array(out.buffer, out.byteOffset, out.length >>> 2);
  const capacity = Math.floor(out.length / recordBytes) * words;
  invariant(capacity > 0, 'a merge has room for a record');
  const heads = new Heads(inputs, shape, equal === 'last');
  const tree = buildTree(heads, inputs.length);
  // The record that was emitted last stays readable in `out` until the next one is emitted.
  let lastAt = 0;
  let lastPrefix = -1;
  let filled = 0;
  for (let i = tree[0]!; inputs.length > 0 && heads.prefix[i] !== EXHAUSTED; i = replay(heads, tree, i)) {
    const prefix = heads.prefix[i]!;
    const at = heads.at[i]!;
    const repeated = equal !== 'all' && prefix === lastPrefix && compareKeys(out, lastAt, heads.bytes[i]!, at, keyBytes) === 0;
    if (!repeated) {
      if (filled === capacity) {
        yield out.subarray(0, filled << 2);
        filled = 0;
      }
      const source = heads.words[i]!;
      const sourceAt = at >>> 2;
      for (let w = 0; w < words; w++) outWords[filled + w] = source[sourceAt + w]!;
      lastAt = filled << 2;
      lastPrefix = prefix;
      filled += words;
    }
    heads.advance(i);
  }
  if (filled > 0) yield out.subarray(0, filled << 2);
}

function buildTree(heads: Heads, inputs: number): Int32Array {
  const tree = new Int32Array(Math.max(1, inputs)).fill(inputs);
  for (let i = inputs - 1; i >= 0; i--) replay(heads, tree, i);
  return tree;
}

/** Plays input `start` up the tree; the winner stands in tree[0]. */
function replay(heads: Heads, tree: Int32Array, start: number): number {
  let winner = start;
  for (let node = (start + tree.length) >>> 1; node > 0; node >>>= 1) {
    const challenger = tree[node]!;
    if (heads.before(challenger, winner)) {
      tree[node] = winner;
      winner = challenger;
    }
  }
  tree[0] = winner;
  return winner;
}
