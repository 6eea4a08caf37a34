// Registers of an S3 store: the object `K~`, changed by PUT with If-None-Match: * or If-Match: <ETag>.
//
// The answer of a PUT can be lost (time-out, broken connection, an error that came after the effect), and a repeated PUT is then
// refused because the first one won. So beside each value, in the same PUT, lie its number and the ids of its last predecessors,
// as user metadata (register-history.ts), and every doubtful answer (412, 409, lost) is settled by reading the register back: our
// id at our number: won. Another id there: lost, for good, as the ETag we named never comes back. Nothing there yet: the request
// may still be on its way; the swap throws the first fault, and when it is called again it sends the same PUT, of which again at
// most one can succeed.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { REGISTER_BYTES_MAX, REGISTER_HISTORY, type RegisterValue, type SwapResult } from './object-store.ts';
import { extendHistory, type RegisterHistory, swapOutcome, VALUE_ID_HEX, valueId } from './register-history.ts';
import type { S3Bucket } from './s3-bucket.ts';

const METADATA = 'holdfast-register';
const FORMAT = '1';
const VERSION = /^([0-9]{1,16})\.(.*)$/;
/** Histories that are remembered between read and swap, so that a swap is one request. */
const REMEMBERED_MAX = 1_024;

type Current = { readonly etag: string; readonly history: RegisterHistory; readonly bytes: Uint8Array };

export class S3Registers {
  readonly #bucket: S3Bucket;
  readonly #remembered = new Map<string, { readonly etag: string; readonly history: RegisterHistory }>();

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  async read(name: string, signal: AbortSignal | undefined): Promise<RegisterValue | undefined> {
    const current = await this.#current(name, signal);
    return current && { bytes: current.bytes, version: versionOf(current.history.sequence, current.etag) };
  }

  async swap(name: string, bytes: Uint8Array, version: string | undefined, signal: AbortSignal | undefined): Promise<SwapResult> {
    const id = valueId(bytes);
    const [, digits, etag] = version === undefined ? [] : (VERSION.exec(version) ?? []);
    invariant(version === undefined || etag !== undefined, 'a version comes from read or swap of the same store');
    const base = Number(digits ?? 0);
    let from: RegisterHistory | undefined;
    if (etag !== undefined) {
      const known = await this.#known(name, etag, signal);
      if (known?.etag !== etag) return this.#judge(known, base, id, name);
      from = known.history;
      invariant(!from.ids.includes(id), 'no two values offered to a register are equal');
    }
    const history = extendHistory(from, id);
    const doubt = await this.#put(name, bytes, etag, history, signal);
    if (typeof doubt === 'string') {
      this.#remember(name, doubt, history);
      return { version: versionOf(history.sequence, doubt) };
    }
    return this.#settle(name, base, id, etag, doubt, signal);
  }

  async exists(name: string, signal: AbortSignal | undefined): Promise<boolean> {
    return (await this.#bucket.get(name, '0-0', signal)) !== undefined;
  }

  /** The ETag when the answer is sure; otherwise the fault to throw if reading back tells nothing. */
  async #put(name: string, bytes: Uint8Array, etag: string | undefined, history: RegisterHistory, signal: AbortSignal | undefined) {
    const metadata = { [METADATA]: encodeHistory(history) };
    try {
      const result = await this.#bucket.put(name, bytes, etag === undefined ? { absent: true } : { etag }, { metadata }, signal);
      return result === 'refused' ? new Fault('STORE_INTERNAL', `the store refused a swap of ${name} for no reason`) : result.etag;
    } catch (error) {
      if (isFault(error) && error.retry === 'later') return error;
      throw error;
    }
  }

  async #settle(
    name: string,
    base: number,
    id: string,
    etag: string | undefined,
    doubt: Fault,
    signal: AbortSignal | undefined,
  ): Promise<SwapResult> {
    const current = await this.#current(name, signal);
    const pending = current === undefined ? base === 0 : current.etag === etag;
    if (pending) throw doubt;
    return this.#judge(current, base, id, name);
  }

  #judge(
    current: { readonly etag: string; readonly history: RegisterHistory } | undefined,
    base: number,
    id: string,
    name: string,
  ): SwapResult {
    const outcome = current === undefined ? 'lost' : swapOutcome(base, id, current.history);
    if (outcome === 'unknown')
      throw new Fault('STORE_OUTCOME_UNKNOWN', `more than ${REGISTER_HISTORY} swaps of ${name} have passed by this one`);
    if (outcome !== 'won' || current === undefined) return 'conflict';
    // Won, and perhaps overwritten since: then no PUT can match this version any more, which is right.
    return { version: versionOf(base + 1, current.history.sequence === base + 1 ? current.etag : 'overwritten') };
  }

  async #current(name: string, signal: AbortSignal | undefined): Promise<Current | undefined> {
    const object = await this.#bucket.get(name, undefined, signal);
    if (object === undefined) return undefined;
    const history = decodeHistory(object.metadata[METADATA]);
    if (history === undefined || object.bytes.length > REGISTER_BYTES_MAX || history.ids[0] !== valueId(object.bytes)) {
      throw new Fault('STORE_CORRUPT_ANSWER', `the register ${name} is damaged`);
    }
    this.#remember(name, object.etag, history);
    return { etag: object.etag, history, bytes: object.bytes };
  }

  /** The history that goes with an ETag: remembered, or else the current one. */
  async #known(name: string, etag: string, signal: AbortSignal | undefined) {
    const remembered = this.#remembered.get(name);
    return remembered?.etag === etag ? remembered : this.#current(name, signal);
  }

  #remember(name: string, etag: string, history: RegisterHistory): void {
    this.#remembered.delete(name);
    this.#remembered.set(name, { etag, history });
    if (this.#remembered.size <= REMEMBERED_MAX) return;
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}

function versionOf(sequence: number, etag: string): string {
  return `${sequence}.${etag}`;
}

/** "1 <number> <ids in base64url, joined>". */
function encodeHistory(history: RegisterHistory): string {
  return `${FORMAT} ${history.sequence} ${Buffer.from(history.ids.join(''), 'hex').toString('base64url')}`;
}

function decodeHistory(text: string | undefined): RegisterHistory | undefined {
  const [format, sequence, packed] = text?.split(' ') ?? [];
  if (format !== FORMAT || packed === undefined || !/^[0-9]{1,16}$/.test(sequence)) return undefined;
  const hex = Buffer.from(packed, 'base64url').toString('hex');
  const ids = Array.from({ length: hex.length / VALUE_ID_HEX }, (_, i) => hex.slice(i * VALUE_ID_HEX, (i + 1) * VALUE_ID_HEX));
  return ids.length === 0 || ids.length > REGISTER_HISTORY ? undefined : { sequence: Number(sequence), ids };
}
