// Known chunks where the index is somewhere else: a worker asks for many ids at once and waits for the answer, in memory that it shares with
// the main thread, which does the asking. Workers wait each for themselves, so while one waits the others read.
//
// Best effort as any lookup: a chunk that is not found is stored. Answers stay right as long as the session runs.

import { CHUNKS, readPlace } from '../index/tables.ts';
import type { Found, KnownChunks } from './dedup.ts';

/** Ids of one question. */
export const ASK_IDS_MAX = 2048;
/** Answers that are remembered, at least half of these. */
const REMEMBERED_MAX = 32 * 1024;

const ID_BYTES = CHUNKS.keyBytes;
/** Block id, u32 offset, u32 length: the end of a chunk record. */
export const ANSWER_BYTES = CHUNKS.recordBytes - CHUNKS.keyBytes;

const IDLE = 0;
const ASKED = 1;
const ANSWERED = 2;
const GIVEN_UP = 3;
const WAIT_MS = 1000;

/** `found[i]` is 1 or 0; of a found one `places[i * ANSWER_BYTES]` is filled. */
export type PresenceAnswer = { readonly found: Uint8Array; readonly places: Uint8Array };

/** One worker's question, in shared memory: state, ids, found, places. */
export type QuestionMemory = SharedArrayBuffer;

export function newQuestionMemory(): QuestionMemory {
  return new SharedArrayBuffer(4 + ASK_IDS_MAX * (ID_BYTES + 1 + ANSWER_BYTES));
}

/** Either side's view. */
export class Question {
  readonly #state: Int32Array;
  readonly ids: Uint8Array;
  readonly found: Uint8Array;
  readonly places: Uint8Array;

  constructor(memory: QuestionMemory) {
    this.#state = new Int32Array(memory, 0, 1);
    this.ids = new Uint8Array(memory, 4, ASK_IDS_MAX * ID_BYTES);
    this.found = new Uint8Array(memory, 4 + ASK_IDS_MAX * ID_BYTES, ASK_IDS_MAX);
    this.places = new Uint8Array(memory, 4 + ASK_IDS_MAX * (ID_BYTES + 1), ASK_IDS_MAX * ANSWER_BYTES);
  }

  /** In a worker: false when the work was given up. `tell` lets the main thread know. */
  wait(tell: () => void): boolean {
    if (Atomics.compareExchange(this.#state, 0, IDLE, ASKED) !== IDLE) return false;
    tell();
    while (Atomics.load(this.#state, 0) === ASKED) Atomics.wait(this.#state, 0, ASKED, WAIT_MS);
    return Atomics.compareExchange(this.#state, 0, ANSWERED, IDLE) === ANSWERED;
  }

  answer({ found, places }: PresenceAnswer): void {
    this.found.set(found);
    this.places.set(places);
    if (Atomics.compareExchange(this.#state, 0, ASKED, ANSWERED) === ASKED) Atomics.notify(this.#state, 0);
  }

  giveUp(): void {
    Atomics.store(this.#state, 0, GIVEN_UP);
    Atomics.notify(this.#state, 0);
  }
}

/** A chunk record's place, or null: it is not known. */
type Remembered = Uint8Array | null;

export class AskedChunks implements KnownChunks {
  readonly #question: Question;
  readonly #tell: (count: number) => void;
  readonly #giveUp: () => never;
  #recent = new Map<string, Remembered>();
  #older = new Map<string, Remembered>();

  /** `tell` sends the number of ids to the main thread; `giveUp` throws. */
  constructor(memory: QuestionMemory, tell: (count: number) => void, giveUp: () => never) {
    this.#question = new Question(memory);
    this.#tell = tell;
    this.#giveUp = giveUp;
  }

  chunk(id: Uint8Array, found: Found): boolean {
    const place = this.#recall(nameOf(id, 0));
    if (place === undefined || place === null) return false;
    readPlace(place, 0, found);
    return true;
  }

  /** Learns what `chunk` will say of these. */
  ask(ids: Uint8Array, count: number): void {
    const names: string[] = [];
    const { ids: asked } = this.#question;
    for (let i = 0; i < count; i++) {
      const name = nameOf(ids, i * ID_BYTES);
      if (this.#recall(name) !== undefined) continue;
      this.#recent.set(name, null);
      asked.set(ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES), names.length * ID_BYTES);
      if (names.push(name) === ASK_IDS_MAX) this.#send(names.splice(0));
    }
    if (names.length > 0) this.#send(names);
  }

  #send(names: readonly string[]): void {
    const { found, places } = this.#question;
    if (!this.#question.wait(() => this.#tell(names.length))) this.#giveUp();
    for (let i = 0; i < names.length; i++)
      if (found[i] === 1) this.#recent.set(names[i]!, places.slice(i * ANSWER_BYTES, (i + 1) * ANSWER_BYTES));
    if (this.#recent.size < REMEMBERED_MAX / 2) return;
    this.#older = this.#recent;
    this.#recent = new Map();
  }

  #recall(name: string): Remembered | undefined {
    const recent = this.#recent.get(name);
    return recent === undefined ? this.#older.get(name) : recent;
  }
}

function nameOf(ids: Uint8Array, at: number): string {
  return Buffer.from(ids.buffer, ids.byteOffset + at, ID_BYTES).toString('latin1');
}
