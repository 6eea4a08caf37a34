// Explores every state that a model can reach, breadth first, so that a violation comes with a shortest way to it. States are rows of
// bytes in one arena; two rows that differ only by exchanging like agents are one state (the smallest of the permuted rows stands for all).

/** How a state changes when agents are exchanged: byte i comes from byte `from[i]`, its value mapped by `tables[i]`. */
export type Permutation = { readonly from: readonly number[]; readonly tables: readonly Uint8Array[] };

export type Model = {
  readonly width: number;
  readonly initial: Uint8Array;
  /** Calls `emit` for each step that is possible; `next` is only lent. */
  readonly successors: (state: Uint8Array, emit: (who: string, what: string, next: Uint8Array) => void) => void;
  /** What is wrong with this state, or undefined. */
  readonly violation: (state: Uint8Array) => string | undefined;
  /** Without the identity. */
  readonly permutations: readonly Permutation[];
};

export type Exploration = {
  /** The visited states, for looking at each of them again. */
  readonly forEach: (visit: (state: Uint8Array) => void) => void;
  readonly states: number;
  readonly transitions: number;
  /** Steps of the longest shortest way. */
  readonly depth: number;
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | undefined;
};

export class TooManyStates extends Error {}

export function explore(model: Model, statesMax: number): Exploration {
  const { width } = model;
  const seen = new StateSet(width);
  const parents: number[] = [-1];
  const canonical = new Uint8Array(width);
  const current = new Uint8Array(width);
  let transitions = 0;
  let depth = 0;
  let levelEnd = 1;
  let at = 0;
  const toCanonical = (state: Uint8Array): Uint8Array => {
    canonical.set(state);
    for (const { from, tables } of model.permutations) {
      // Most often the first bytes tell.
      for (let i = 0, isSmaller = false; i < width; i++) {
        const byte = tables[i]![state[from[i]!]!]!;
        if (!isSmaller && byte > canonical[i]!) break;
        if (byte < canonical[i]!) isSmaller = true;
        if (isSmaller) canonical[i] = byte;
      }
    }
    return canonical;
  };
  const emit = (_who: string, _what: string, next: Uint8Array): void => {
    transitions++;
    if (seen.add(toCanonical(next))) parents.push(at);
  };
  const forEach = (visit: (state: Uint8Array) => void): void => {
    const row = new Uint8Array(width);
    for (let n = 0; n < seen.size; n++) {
      seen.read(n, row);
      visit(row);
    }
  };
  seen.add(toCanonical(model.initial));
  for (; at < seen.size; at++) {
    if (at === levelEnd) {
      depth++;
      levelEnd = seen.size;
    }
    if (seen.size > statesMax) throw new TooManyStates(`more than ${statesMax} states`);
    seen.read(at, current);
    const what = model.violation(current);
    if (what !== undefined) {
      return {
        forEach,
        states: seen.size,
        transitions,
        depth,
        violation: { what, trace: traceTo(model, seen, parents, at, toCanonical) },
      };
    }
    model.successors(current, emit);
  }
  return { forEach, states: seen.size, transitions, depth, violation: undefined };
}

function traceTo(
  model: Model,
  seen: StateSet,
  parents: readonly number[],
  end: number,
  toCanonical: (state: Uint8Array) => Uint8Array,
): string[] {
  const trace: string[] = [];
  const from = new Uint8Array(model.width);
  for (let at = end; at > 0; at = parents[at]!) {
    seen.read(parents[at]!, from);
    let step = '?';
    model.successors(from, (who, what, next) => {
      if (seen.find(toCanonical(next)) === at) step = `${who} ${what}`;
    });
    trace.unshift(step);
  }
  return trace;
}

/** A set of rows of equal width, numbered in the order in which they came. Exact: rows are compared, not only their hashes. */
export class StateSet {
  readonly #width: number;
  /** Per row. */
  readonly #words: number;
  readonly #rowBytes: Uint8Array;
  readonly #row: Uint32Array;
  #rows: Uint32Array;
  #hashes = new Int32Array(1 << 16);
  #slots = new Int32Array(1 << 17);
  size = 0;

  constructor(width: number) {
    this.#width = width;
    this.#words = Math.ceil(width / 4);
    this.#rowBytes = new Uint8Array(this.#words * 4);
    this.#row = new Uint32Array(this.#rowBytes.buffer);
    this.#rows = new Uint32Array(this.#words << 16);
  }

  read(n: number, target: Uint8Array): void {
    const from = n * this.#words;
    this.#row.set(this.#rows.subarray(from, from + this.#words));
    for (let i = 0; i < this.#width; i++) target[i] = this.#rowBytes[i]!;
  }

  /** False when it is there already. */
  add(row: Uint8Array): boolean {
    const hash = this.#take(row);
    const slot = this.#slotOf(hash);
    if (this.#slots[slot] !== 0) return false;
    if (this.size === this.#hashes.length) this.#makeRoom();
    this.#rows.set(this.#row, this.size * this.#words);
    this.#hashes[this.size] = hash;
    this.#slots[slot] = ++this.size;
    if (this.size * 2 >= this.#slots.length) this.#spread();
    return true;
  }

  /** Undefined when it is not there. */
  find(row: Uint8Array): number | undefined {
    const n = this.#slots[this.#slotOf(this.#take(row))]!;
    return n === 0 ? undefined : n - 1;
  }

  #take(row: Uint8Array): number {
    this.#rowBytes.set(row);
    let h = 0x811c9dc5;
    for (let i = 0; i < this.#words; i++) {
      h = Math.imul(h ^ this.#row[i]!, 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x2c1b3c6d);
    return h ^ (h >>> 13);
  }

  #slotOf(hash: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const n = this.#slots[slot]!;
      if (n === 0 || (this.#hashes[n - 1] === hash && this.#isRow(n - 1))) return slot;
    }
  }

  #isRow(n: number): boolean {
    const from = n * this.#words;
    for (let i = 0; i < this.#words; i++) if (this.#rows[from + i] !== this.#row[i]) return false;
    return true;
  }

  #makeRoom(): void {
    const hashes = new Int32Array(this.#hashes.length * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const rows = new Uint32Array(this.#rows.length * 2);
    rows.set(this.#rows);
    this.#rows = rows;
  }

  #spread(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let n = 0; n < this.size; n++) {
      let slot = this.#hashes[n]! & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = n + 1;
    }
  }
}
