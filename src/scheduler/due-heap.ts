// What is due next, of many things: a binary heap with one place for each key. Setting a key anew moves it; nothing is searched.

type Slot<K> = { readonly key: K; atMs: number; place: number };

export class DueHeap<K> {
  readonly #heap: Slot<K>[] = [];
  readonly #slots = new Map<K, Slot<K>>();

  get size(): number {
    return this.#heap.length;
  }

  /** When the first one is due, ms. */
  get nextMs(): number | undefined {
    return this.#heap[0]?.atMs;
  }

  has(key: K): boolean {
    return this.#slots.has(key);
  }

  set(key: K, atMs: number): void {
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = { key, atMs, place: this.#heap.length };
      this.#heap.push(slot);
      this.#slots.set(key, slot);
    }
    slot.atMs = atMs;
    this.#up(slot.place);
    this.#down(slot.place);
  }

  delete(key: K): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    const last = this.#heap.pop()!;
    if (last === slot) return;
    this.#heap[slot.place] = last;
    last.place = slot.place;
    this.#up(last.place);
    this.#down(last.place);
  }

  /** Takes what is due at `nowMs`, the earliest first, at most `countMax`. */
  takeDue(nowMs: number, countMax: number): K[] {
    const keys: K[] = [];
    while (keys.length < countMax && (this.nextMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      const { key } = this.#heap[0]!;
      this.delete(key);
      keys.push(key);
    }
    return keys;
  }

  #up(start: number): void {
    for (let place = start; place > 0; ) {
      const parent = (place - 1) >> 1;
      if (this.#heap[parent]!.atMs <= this.#heap[place]!.atMs) return;
      this.#swap(parent, place);
      place = parent;
    }
  }

  #down(start: number): void {
    for (let place = start; ; ) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2])
        if (child < this.#heap.length && this.#heap[child]!.atMs < this.#heap[least]!.atMs) least = child;
      if (least === place) return;
      this.#swap(least, place);
      place = least;
    }
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a]!, this.#heap[b]!];
    this.#heap[a] = other;
    this.#heap[b] = one;
    one.place = b;
    other.place = a;
  }
}
