// Known chunks where the index is somewhere else: a worker asks for many ids at once, through memory that it shares with the main thread,
// which does the asking. It goes on reading while it waits: several questions may be on their way, and only who needs an answer now
// blocks for it.
//
// Best effort as any lookup: a chunk that is not found is stored. Answers stay right as long as the session runs.

import { invariant } from '../base/invariant.ts';
import { CHUNKS, readPlace } from '../index/tables.ts';
import { ASK_IDS_MAX, type Asked, type Found, type KnownChunks } from './dedup.ts';

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

/** Questions of one worker, in shared memory; of each: state, ids, found, places. */
export type QuestionMemory = readonly SharedArrayBuffer[];

/** More than a worker can have on their way: four for each of its jobs (`ContentCutter`), and one that blocks. */
const QUESTIONS = 16;

export function newQuestionMemory(): QuestionMemory {
  return Array.from({ length: QUESTIONS }, () => new SharedArrayBuffer(4 + ASK_IDS_MAX * (ID_BYTES + 1 + ANSWER_BYTES)));
}

/** Either side's view. */
export class Question {
  readonly #state: Int32Array;
  readonly ids: Uint8Array;
  readonly found: Uint8Array;
  readonly places: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#state = new Int32Array(memory, 0, 1);
    this.ids = new Uint8Array(memory, 4, ASK_IDS_MAX * ID_BYTES);
    this.found = new Uint8Array(memory, 4 + ASK_IDS_MAX * ID_BYTES, ASK_IDS_MAX);
    this.places = new Uint8Array(memory, 4 + ASK_IDS_MAX * (ID_BYTES + 1), ASK_IDS_MAX * ANSWER_BYTES);
  }

  /** In a worker: false when the work was given up. */
  begin(): boolean {
    return Atomics.compareExchange(this.#state, 0, IDLE, ASKED) === IDLE;
  }

  /** In a worker: waits for the answer; false when the work was given up. */
  wait(): boolean {
    while (Atomics.load(this.#state, 0) === ASKED) Atomics.wait(this.#state, 0, ASKED, WAIT_MS);
    return Atomics.load(this.#state, 0) === ANSWERED;
  }

  /** In a worker: the answer was taken. */
  end(): void {
    Atomics.compareExchange(this.#state, 0, ANSWERED, IDLE);
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

export type AskedChunksPorts = {
  /** Lets the main thread know of `count` ids in a question. `isAwaited`: by a message, not by waiting for the memory. */
  readonly tell: (question: number, count: number, isAwaited: boolean) => void;
  /** Throws: the work was given up. */
  readonly giveUp: () => never;
};

export class AskedChunks implements KnownChunks {
  readonly #questions: readonly Question[];
  readonly #free: number[];
  readonly #ports: AskedChunksPorts;
  #recent = new Map<string, Remembered>();
  #older = new Map<string, Remembered>();

  constructor(memory: QuestionMemory, ports: AskedChunksPorts) {
    this.#questions = memory.map((one) => new Question(one));
    this.#free = memory.map((_, i) => i);
    this.#ports = ports;
  }

  chunk(id: Uint8Array, found: Found): boolean {
    const place = this.#recall(nameOf(id, 0));
    if (place === undefined || place === null) return false;
    readPlace(place, 0, found);
    return true;
  }

  /** Asks for `count` ids, at most ASK_IDS_MAX. Each is to be finished. */
  begin(ids: Uint8Array, count: number, isAwaited: boolean): Asked {
    const names: string[] = [];
    const number = this.#free.pop();
    invariant(number !== undefined && count <= ASK_IDS_MAX, 'a worker has few questions, and each has room');
    const question = this.#questions[number]!;
    for (let i = 0; i < count; i++) {
      const name = nameOf(ids, i * ID_BYTES);
      if (this.#recall(name) !== undefined) continue;
      this.#recent.set(name, null);
      question.ids.set(ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES), names.length * ID_BYTES);
      names.push(name);
    }
    if (names.length === 0) {
      this.#free.push(number);
      return { question: undefined, names };
    }
    if (!question.begin()) this.#ports.giveUp();
    this.#ports.tell(number, names.length, isAwaited);
    return { question: number, names };
  }

  /** Waits for the answer, from when on `chunk` knows it. */
  finish({ question: number, names }: Asked): void {
    if (number === undefined) return;
    const question = this.#questions[number]!;
    if (!question.wait()) this.#ports.giveUp();
    const { found, places } = question;
    for (let i = 0; i < names.length; i++)
      if (found[i] === 1) this.#recent.set(names[i]!, places.slice(i * ANSWER_BYTES, (i + 1) * ANSWER_BYTES));
    question.end();
    this.#free.push(number);
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
