// What the running session has stored so far, for all its threads: a table in shared memory, open addressing, never deleted from.
// Dedup within a session is best effort: the table may refuse (it is full, or a writer of the slot was stopped half-way), but what it
// answers is always right.
//
// A slot has twelve words: state and the upper part of the block counter, the id (8), the lower part of the counter, offset, length.
// Who wants an empty slot swaps its state to BUSY, writes the other words, and then stores the state FULL. Readers look at the other
// words only after they have loaded FULL, and no word of a full slot is ever written again: the atomic store and load order the rest,
// so a half-written slot cannot be seen. A given id's first free slot is the same for all threads, and who meets a busy one waits
// until it is full: so of many who insert an id at once, one wins, and the others find what it wrote.

import { invariant } from '../base/invariant.ts';
import { CHUNKS, writeChunkRecord } from './tables.ts';

export const SLOT_BYTES = 48;
const SLOT_WORDS = SLOT_BYTES / 4;
const HEADER_WORDS = 16;
const COUNT = 0;
const CLOSED = 1;

const EMPTY = 0;
const BUSY = 1;
const FULL = 2;
const STATE_MASK = 0xffff;

const ID_WORD = 1;
const ID_WORDS = 8;
const COUNTER_WORD = 9;
const OFFSET_WORD = 10;
const LENGTH_WORD = 11;

const FILL_MAX = 0.9;
/** A busy slot is full after some nanoseconds, unless its writer lost its core or its life. */
const SPINS = 200;
const WAITS = 20;
const WAIT_MS = 1;

/** Filled by lookups: the block's counter in this session, and the place in the block. */
export type SessionPlace = { counter: number; offset: number; length: number };

export function newSessionPlace(): SessionPlace {
  return { counter: 0, offset: 0, length: 0 };
}

/** Shared memory for a table of `slots` (a power of two); to be posted to the threads. */
export function newSessionMemory(slots: number): SharedArrayBuffer {
  invariant(slots >= 16 && Number.isInteger(Math.log2(slots)), 'the slots of a table are a power of two');
  return new SharedArrayBuffer(4 * HEADER_WORDS + slots * SLOT_BYTES);
}

export class SessionTable {
  readonly #words: Int32Array;
  readonly #slots: number;
  readonly #countMax: number;
  readonly #id = new Uint8Array(4 * ID_WORDS);
  readonly #idWords = new Int32Array(this.#id.buffer);

  /** A thread's own view of the shared table. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#slots = (this.#words.length - HEADER_WORDS) / SLOT_WORDS;
    this.#countMax = Math.floor(this.#slots * FILL_MAX);
  }

  get count(): number {
    return Atomics.load(this.#words, COUNT);
  }

  /** True when no further ids are taken: time to drain, and to hand out a fresh table. */
  get isFull(): boolean {
    return this.count >= this.#countMax || Atomics.load(this.#words, CLOSED) === 1;
  }

  /** `out` gets the place of this id (32 bytes); false when it is not here, or cannot be read now. */
  find(id: Uint8Array, out: SessionPlace): boolean {
    this.#id.set(id);
    for (let n = 0, slot = this.#firstSlot(); n < this.#slots; n++, slot = (slot + 1) & (this.#slots - 1)) {
      const at = HEADER_WORDS + slot * SLOT_WORDS;
      if (this.#settledState(at) !== FULL) return false;
      if (this.#holds(at)) return this.#read(at, out);
    }
    return false;
  }

  /** 'inserted': the place given is now that of the id, for all threads. 'found': `out` has the place of it. 'refused': neither;
   *  whoever asks stores the chunk and goes on. */
  findOrInsert(
    id: Uint8Array,
    counter: number,
    offset: number,
    length: number,
    out: SessionPlace,
  ): 'inserted' | 'found' | 'refused' {
    this.#id.set(id);
    const isFull = this.isFull;
    for (let n = 0, slot = this.#firstSlot(); n < this.#slots; n++, slot = (slot + 1) & (this.#slots - 1)) {
      const at = HEADER_WORDS + slot * SLOT_WORDS;
      // Without looking first: of memory that is looked at before it is written to, the system makes each page twice, and tells all processors
      // (measured on a virtual machine: 13 us instead of 4 for each new page).
      if (!isFull && Atomics.compareExchange(this.#words, at, EMPTY, BUSY) === EMPTY) {
        this.#write(at, counter, offset, length);
        return 'inserted';
      }
      if (this.#settledState(at) !== FULL) return 'refused';
      if (this.#holds(at)) {
        this.#read(at, out);
        return 'found';
      }
    }
    return 'refused';
  }

  /** No further ids are taken, by any thread. What is in it can still be found. */
  close(): void {
    Atomics.store(this.#words, CLOSED, 1);
  }

  /** Closes the table; its content as chunk records (tables.ts), for `writePrivateRun`. An id whose insertion is still under way in
   *  another thread may be missing. `session` (10 bytes) and the counter make the block id. */
  *drain(session: Uint8Array): Generator<Uint8Array> {
    this.close();
    const perBatch = 1024;
    const batch = new Uint8Array(perBatch * CHUNKS.recordBytes);
    const id = new Uint8Array(4 * ID_WORDS);
    const idWords = new Int32Array(id.buffer);
    const block = new Uint8Array(16);
    block.set(session);
    const place = newSessionPlace();
    let filled = 0;
    for (let at = HEADER_WORDS; at < this.#words.length; at += SLOT_WORDS) {
      if ((Atomics.load(this.#words, at) & STATE_MASK) !== FULL) continue;
      idWords.set(this.#words.subarray(at + ID_WORD, at + ID_WORD + ID_WORDS));
      this.#read(at, place);
      for (let i = 15, rest = place.counter; i >= 10; i--, rest = Math.floor(rest / 256)) block[i] = rest % 256;
      writeChunkRecord(batch, filled, id, block, place.offset, place.length);
      filled += CHUNKS.recordBytes;
      if (filled < batch.length) continue;
      yield batch;
      filled = 0;
    }
    if (filled > 0) yield batch.subarray(0, filled);
  }

  #firstSlot(): number {
    return this.#idWords[0]! & (this.#slots - 1);
  }

  /** The state, after a short while at most if it was BUSY. */
  #settledState(at: number): number {
    const words = this.#words;
    for (let n = 0; n < SPINS + WAITS; n++) {
      const word = Atomics.load(words, at);
      if ((word & STATE_MASK) !== BUSY) return word & STATE_MASK;
      if (n >= SPINS) Atomics.wait(words, at, word, WAIT_MS);
    }
    return BUSY;
  }

  #holds(at: number): boolean {
    for (let n = 0; n < ID_WORDS; n++) if (this.#words[at + ID_WORD + n] !== this.#idWords[n]) return false;
    return true;
  }

  #read(at: number, out: SessionPlace): true {
    const words = this.#words;
    out.counter = (words[at]! >>> 16) * 2 ** 32 + (words[at + COUNTER_WORD]! >>> 0);
    out.offset = words[at + OFFSET_WORD]! >>> 0;
    out.length = words[at + LENGTH_WORD]! >>> 0;
    return true;
  }

  #write(at: number, counter: number, offset: number, length: number): void {
    const words = this.#words;
    for (let n = 0; n < ID_WORDS; n++) words[at + ID_WORD + n] = this.#idWords[n]!;
    words[at + COUNTER_WORD] = (counter % 2 ** 32) | 0;
    words[at + OFFSET_WORD] = offset;
    words[at + LENGTH_WORD] = length;
    Atomics.add(words, COUNT, 1);
    Atomics.store(words, at, FULL | (Math.floor(counter / 2 ** 32) << 16));
    Atomics.notify(words, at);
  }
}
