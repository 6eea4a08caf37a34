// Buffers of one pack each, shared between threads: a worker fills one, the main thread stores it and frees it. Their number bounds
// the memory of a backup whatever the store's speed: a worker that finds none free waits.

export type PackBuffersSpec = { readonly buffers: readonly SharedArrayBuffer[]; readonly states: SharedArrayBuffer };

const FREE = 0;
const TAKEN = 1;

export function newPackBuffers(count: number, bytes: number): PackBuffersSpec {
  return {
    buffers: Array.from({ length: count }, () => new SharedArrayBuffer(bytes)),
    states: new SharedArrayBuffer(4 * (count + 2)),
  };
}

/** Either side's view. The last but one state counts how often a buffer was freed; the last is 1 when the work was given up. */
export class PackBuffers {
  readonly #buffers: readonly Uint8Array[];
  readonly #states: Int32Array;

  constructor(spec: PackBuffersSpec) {
    this.#buffers = spec.buffers.map((buffer) => new Uint8Array(buffer));
    this.#states = new Int32Array(spec.states);
  }

  get bufferBytes(): number {
    return this.#buffers[0]!.length;
  }

  bytes(position: number): Uint8Array {
    return this.#buffers[position]!;
  }

  /** Claims a free buffer, the lowest so that memory stays warm; undefined when there is none. */
  tryClaim(): number | undefined {
    for (let i = 0; i < this.#buffers.length; i++) {
      if (Atomics.compareExchange(this.#states, i, FREE, TAKEN) === FREE) return i;
    }
    return undefined;
  }

  /** In a worker: claims a buffer, waiting for one; undefined when the work was given up. */
  claim(): number | undefined {
    const freed = this.#buffers.length;
    for (;;) {
      const seen = Atomics.load(this.#states, freed);
      const position = this.tryClaim();
      if (position !== undefined) return position;
      if (Atomics.load(this.#states, freed + 1) === 1) return undefined;
      Atomics.wait(this.#states, freed, seen, 1000);
    }
  }

  free(position: number): void {
    const freed = this.#buffers.length;
    Atomics.store(this.#states, position, FREE);
    Atomics.add(this.#states, freed, 1);
    Atomics.notify(this.#states, freed);
  }

  giveUp(): void {
    const freed = this.#buffers.length;
    Atomics.store(this.#states, freed + 1, 1);
    Atomics.add(this.#states, freed, 1);
    Atomics.notify(this.#states, freed);
  }
}
