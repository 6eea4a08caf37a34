// Registers of an S3 store: the object `K~`, changed by PUT with If-None-Match: * or If-Match: <ETag>.
//
// The answer of a PUT can be lost (time-out, broken connection, an error that came after the effect), and a repeated PUT is then
// refused because the first one won. So beside each value, in the same PUT, lie its number and the ids of its last predecessors,
// as user metadata (register-history.ts), and every doubtful answer (412, 409, lost) is settled by reading the register back: our
// id at our number: won. Another id there: lost, for good, as the value we named never comes back. Nothing there yet: the request
// may still be on its way; the swap throws the first fault, and when it is called again it sends the same PUT, of which again at
// most one can succeed.
//
// In a bucket that keeps versions (one with Object Lock is) a condition that held proves nothing: there the order of the versions decides,
// and every swap is settled by it (register-order.ts). Conditions are sent all the same where the store keeps them: on a store that
// does so properly there is never a second version to judge.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { REGISTER_BYTES_MAX, REGISTER_HISTORY, type RegisterValue, type SwapResult } from './object-store.ts';
import { extendHistory, type RegisterHistory, swapOutcome, VALUE_ID_HEX, valueId } from './register-history.ts';
import { type OfferedValue, validVersion } from './register-order.ts';
import type { S3Bucket, S3Condition, S3Object } from './s3-bucket.ts';
import { versionsOf } from './s3-versions.ts';

const METADATA = 'holdfast-register';
const PARENT = 'holdfast-parent';
const FORMAT = '1';
const VERSION = /^([0-9]{1,16})\.(.*)$/;
/** Remembered between read and swap, so that a swap is one request. */
const REMEMBERED_MAX = 1_024;
const LOOKS_MAX = 5;
/** The token of a version that nothing can match any more. */
const OVERWRITTEN = 'overwritten';
/** How the condition of a swap is said: older Ceph RGW compares ETags without their quotes, newer with, AWS takes both. In a bucket with
 *  versions Ceph RGW 16 and 18 refuse every one. */
const FORMS = ['bare', 'quoted', 'none'] as const;

type Form = (typeof FORMS)[number];
/** `versionId`: only where versions are kept. */
type Known = { readonly etag: string; readonly versionId: string | undefined; readonly history: RegisterHistory };
/** `isNewest`: nothing that does not count lies on top of it. */
type Current = Known & { readonly bytes: Uint8Array; readonly isNewest: boolean };
type Offered = OfferedValue & { readonly etag: string };
type Swap = {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly id: string;
  readonly base: number;
  readonly from: Known | undefined;
  readonly signal: AbortSignal | undefined;
};

export class S3Registers {
  readonly #bucket: S3Bucket;
  readonly #remembered = new Map<string, Known>();
  /** By name and version; none ever changes. */
  readonly #noted = new Map<string, Offered>();
  #form: Form = 'bare';
  #keepsVersions = false;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  async read(name: string, signal: AbortSignal | undefined): Promise<RegisterValue | undefined> {
    const current = await this.#current(name, signal);
    return current && { bytes: current.bytes, version: versionOf(current.history.sequence, tokenOf(current)) };
  }

  async swap(name: string, bytes: Uint8Array, version: string | undefined, signal: AbortSignal | undefined): Promise<SwapResult> {
    const id = valueId(bytes);
    const [, digits, token] = version === undefined ? [] : (VERSION.exec(version) ?? []);
    invariant(version === undefined || token !== undefined, 'a version comes from read or swap of the same store');
    const base = Number(digits ?? 0);
    let from: Known | undefined;
    if (token !== undefined) {
      from = await this.#known(name, token, signal);
      if (from === undefined || tokenOf(from) !== token) return this.#judge(from, base, id, name);
      invariant(!from.history.ids.includes(id), 'no two values offered to a register are equal');
    }
    return this.#offer({ name, bytes, id, base, from, signal });
  }

  async exists(name: string, signal: AbortSignal | undefined): Promise<boolean> {
    return (await this.#bucket.get(name, '0-0', signal)) !== undefined;
  }

  /** Of the version that is the value; empty when there is none. */
  async versionIds(name: string, signal: AbortSignal | undefined): Promise<string[]> {
    const valid = await this.#valid(name, signal);
    return valid === undefined ? [] : [valid.versionId];
  }

  async #offer(swap: Swap): Promise<SwapResult> {
    const { name, id, base, from, signal } = swap;
    const tried = new Set<Form>();
    for (let form = this.#form; ; ) {
      const sent = await this.#put(swap, form);
      if (sent !== 'refused' && !isFault(sent)) {
        return sent.versionId === undefined ? this.#won(name, sent) : this.#settle(swap, sent.versionId);
      }
      const current = await this.#current(name, signal);
      const isPending = current === undefined ? base === 0 : from !== undefined && tokenOf(current) === tokenOf(from);
      if (!isPending) return this.#judge(current, base, id, name);
      if (isFault(sent)) throw sent;
      // Refused though nobody was there before us: for a late offer on top, which is rare, or because the store wants it said otherwise.
      tried.add(form);
      const others = from === undefined ? (['none'] as const) : FORMS;
      const next = others.find((one) => !tried.has(one) && (one !== 'none' || this.#keepsVersions));
      if (next === undefined) throw new Fault('STORE_INTERNAL', `the store refused a swap of ${name} for no reason`);
      if (current?.isNewest === true) this.#form = next;
      form = next;
    }
  }

  /** Known when the answer is sure; a fault when reading back must tell, to be thrown if that tells nothing. */
  async #put({ name, bytes, id, from, signal }: Swap, form: Form): Promise<Known | 'refused' | Fault> {
    const history = extendHistory(from?.history, id);
    const metadata = {
      [METADATA]: encodeHistory(history),
      ...(from?.versionId !== undefined && { [PARENT]: from.versionId }),
    };
    const condition: S3Condition | undefined =
      form === 'none' ? undefined : from === undefined ? { absent: true } : { etag: from.etag, quotes: form === 'quoted' };
    try {
      const sent = await this.#bucket.put(name, bytes, condition, { metadata }, signal);
      if (sent === 'refused') return sent;
      if (sent.versionId !== undefined) this.#note(name, sent.versionId, sent.etag, metadata);
      return { ...sent, history };
    } catch (error) {
      if (isFault(error) && error.retry === 'later') return error;
      throw error;
    }
  }

  #won(name: string, known: Known): SwapResult {
    keep(this.#remembered, name, known);
    return { version: versionOf(known.history.sequence, tokenOf(known)) };
  }

  /** What became of an offer that is stored as this version. */
  async #settle(swap: Swap, versionId: string): Promise<SwapResult> {
    const { name, id, base, signal } = swap;
    const valid = await this.#valid(name, signal);
    if (valid?.versionId === versionId) return this.#won(name, { ...valid.value, versionId });
    if (valid !== undefined && valid.value.history.sequence <= base)
      throw new Fault('STORE_INTERNAL', `a swap of ${name} was answered and is not listed`);
    const now = valid && { ...valid.value, versionId: valid.versionId };
    // Long ago: its place among the versions still tells.
    const isLongAgo = swapOutcome(base, id, now?.history) === 'unknown';
    if (isLongAgo && (await this.#isFirst(swap, versionId))) return { version: versionOf(base + 1, OVERWRITTEN) };
    const result = isLongAgo ? 'conflict' : this.#judge(now, base, id, name);
    if (result === 'conflict') await this.#withdraw(name, versionId, signal);
    return result;
  }

  /** Whether no other offer of the same number lies between the version that it follows and this one. */
  async #isFirst({ name, base, from, signal }: Swap, versionId: string): Promise<boolean> {
    let first: string | undefined;
    for await (const version of versionsOf(this.#bucket, name, signal)) {
      if (version.isMarker || version.versionId === from?.versionId) break;
      if ((await this.#offered(name, version.versionId, signal))?.history.sequence === base + 1) first = version.versionId;
    }
    return first === versionId;
  }

  /** An offer that does not count should not lie on top for long: rules of the bucket may delete what lies under it. */
  async #withdraw(name: string, versionId: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#bucket.delete(name, signal, versionId);
    } catch (error) {
      if (!isFault(error, 'STORE_DENIED')) throw error;
      // Locked: what counts is said once more. Its place says that this is no other value.
      const valid = await this.#valid(name, signal);
      const object = valid?.isNewest === false ? await this.#bucket.get(name, undefined, signal, valid.versionId) : undefined;
      if (object !== undefined) await this.#bucket.put(name, object.bytes, undefined, { metadata: object.metadata }, signal);
    }
  }

  #judge(current: Known | undefined, base: number, id: string, name: string): SwapResult {
    const outcome = current === undefined ? 'lost' : swapOutcome(base, id, current.history);
    if (outcome === 'unknown')
      throw new Fault('STORE_OUTCOME_UNKNOWN', `more than ${REGISTER_HISTORY} swaps of ${name} have passed by this one`);
    if (outcome !== 'won' || current === undefined) return 'conflict';
    // Won, and perhaps overwritten since: then no PUT can match this version any more, which is right.
    return { version: versionOf(base + 1, current.history.sequence === base + 1 ? tokenOf(current) : OVERWRITTEN) };
  }

  async #current(name: string, signal: AbortSignal | undefined): Promise<Current | undefined> {
    for (let look = 0; look < LOOKS_MAX; look++) {
      const newest = await this.#bucket.get(name, undefined, signal);
      if (newest === undefined) return undefined;
      if (newest.versionId === undefined) return this.#decoded(name, newest, true);
      this.#note(name, newest.versionId, newest.etag, newest.metadata);
      const valid = await this.#valid(name, signal);
      if (valid === undefined) return undefined;
      if (valid.versionId === newest.versionId) return this.#decoded(name, newest, true);
      const object = await this.#bucket.get(name, undefined, signal, valid.versionId);
      if (object !== undefined) return this.#decoded(name, object, valid.isNewest);
    }
    throw new Fault('STORE_INTERNAL', `the register ${name} changes faster than it can be read`);
  }

  #decoded(name: string, object: S3Object, isNewest: boolean): Current {
    const history = decodeHistory(object.metadata[METADATA]);
    if (history === undefined || object.bytes.length > REGISTER_BYTES_MAX || history.ids[0] !== valueId(object.bytes))
      throw damaged(name);
    const { etag, versionId, bytes } = object;
    keep(this.#remembered, name, { etag, versionId, history });
    return { etag, versionId, history, bytes, isNewest };
  }

  #valid(name: string, signal: AbortSignal | undefined) {
    return validVersion(versionsOf(this.#bucket, name, signal), (versionId) => this.#offered(name, versionId, signal));
  }

  /** Undefined when it was withdrawn. */
  async #offered(name: string, versionId: string, signal: AbortSignal | undefined): Promise<Offered | undefined> {
    const noted = this.#noted.get(`${name} ${versionId}`);
    if (noted !== undefined) return noted;
    const object = await this.#bucket.get(name, undefined, signal, versionId);
    return object && this.#note(name, versionId, object.etag, object.metadata);
  }

  #note(name: string, versionId: string, etag: string, metadata: Readonly<Record<string, string>>): Offered {
    this.#keepsVersions = true;
    const history = decodeHistory(metadata[METADATA]);
    if (history === undefined) throw damaged(name);
    const offered = { etag, history, parent: metadata[PARENT] };
    keep(this.#noted, `${name} ${versionId}`, offered);
    return offered;
  }

  /** The value that goes with a version: remembered, or else the current one. */
  async #known(name: string, token: string, signal: AbortSignal | undefined): Promise<Known | undefined> {
    const remembered = this.#remembered.get(name);
    return remembered !== undefined && tokenOf(remembered) === token ? remembered : this.#current(name, signal);
  }
}

function damaged(name: string): Fault {
  return new Fault('STORE_CORRUPT_ANSWER', `the register ${name} is damaged`);
}

/** The newest of so many. */
function keep<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

function tokenOf({ versionId, etag }: Known): string {
  return versionId ?? etag;
}

function versionOf(sequence: number, token: string): string {
  return `${sequence}.${token}`;
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
