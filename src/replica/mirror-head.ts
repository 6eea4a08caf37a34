// Copying what one head names, then the head: so whatever the replica's head names is at the replica, at every moment.
//
//   keys, session keys -> packs -> condemned lists, index objects -> snapshot registers -> the mark (which head comes next) -> head -> the mark
//
// The source goes on changing meanwhile. What a prune takes away there while it is being copied is not needed by a later head: then that
// one is copied instead. What is missing at the source although its newest head names it is damage there: it is told, and the head is
// copied all the same, for everything else must not fall behind; the replica may still hold it.

import { forEachBounded } from '../base/bounded.ts';
import { Fault, isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { decodeHead, type Head } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import { bytesEqual } from '../model/reference.ts';
import { condemnedKey } from '../repository/condemned-lists.ts';
import { readableIndexes, rootsOf } from '../repository/head-changes.ts';
import { decodeIndexObject } from '../repository/index-objects.ts';
import type { Keyring } from '../repository/keyring.ts';
import { HEAD_REGISTER, hex, indexKey, packKey } from '../repository/layout.ts';
import type { RegisterCodec } from '../repository/register-codec.ts';
import { snapshotKey } from '../repository/registers.ts';
import type { RegisterValue } from '../store/object-store.ts';
import { HeldPacks, sessionsOf } from './held-packs.ts';
import { copyObject, type Mirror, readProven } from './mirror-object.ts';
import { putRegister } from './mirror-register.ts';
import type { SessionKeyMirror } from './mirror-session-keys.ts';
import type { ReplicaClaim } from './replica-claim.ts';

const REGISTERS_PARALLEL = 16;
const INDEXES_PARALLEL = 4;

export type HeadMirrorParts = {
  readonly mirror: Mirror;
  readonly codec: RegisterCodec;
  readonly keyring: Keyring;
  readonly sessionKeys: SessionKeyMirror;
  readonly claim: ReplicaClaim;
  /** Packs on their way at a time. */
  readonly parallel: number;
  /** Goes forward only, milliseconds. */
  readonly nowMs: () => number;
  /** Of people's clock. */
  readonly now: () => Date;
};

export type SeenHead = { readonly head: Head; readonly bytes: Uint8Array };

export class HeadMirror {
  readonly #parts: HeadMirrorParts;
  #copied: { readonly head: Head; readonly register: RegisterValue } | undefined;
  held = new HeldPacks();
  /** Index objects that the replica's head names and the replica does not have. */
  #unheld: ReadonlySet<string> = new Set();

  private constructor(parts: HeadMirrorParts) {
    this.#parts = parts;
  }

  /** Finds out what the replica holds. REPLICA_DIVERGED when its head is not one that was copied. */
  static async open(parts: HeadMirrorParts): Promise<HeadMirror> {
    const { replica, signal } = parts.mirror;
    const mirror = new HeadMirror(parts);
    const register = await replica.read(HEAD_REGISTER, { signal });
    if (register === undefined) return mirror;
    parts.claim.mustKnow(digestOf(register.bytes));
    const head = mirror.#decode(register.bytes);
    mirror.#copied = { head, register };
    await mirror.#hold(head);
    return mirror;
  }

  /** Whether `held` is all that the replica's head names. Otherwise what is not in it must not be taken for waste. */
  get holdsAll(): boolean {
    return this.#unheld.size === 0;
  }

  /** That the replica has. */
  get head(): Head | undefined {
    return this.#copied?.head;
  }

  async readSource(): Promise<SeenHead> {
    const { source, signal } = this.#parts.mirror;
    const register = await source.read(HEAD_REGISTER, { signal });
    if (register === undefined) throw new Fault('HEAD_MISSING', `The repository at ${source.location} has no head`);
    return { head: this.#decode(register.bytes), bytes: register.bytes };
  }

  /** Copies the source's head as it is when this begins, or a newer one. Answers whether the replica changed. */
  async pull(): Promise<boolean> {
    const { mirror, nowMs, now, claim } = this.#parts;
    const { progress } = mirror;
    let startMs = nowMs();
    let at = now();
    let seen = await this.readSource();
    this.#mustFollow(seen);
    if (this.#copied !== undefined && this.holdsAll && bytesEqual(seen.bytes, this.#copied.register.bytes)) {
      progress.headCurrentAtMs = startMs;
      await claim.renew(at);
      return false;
    }
    for (;;) {
      const missing = await this.#copyObjects(seen.head);
      if (missing.length === 0) break;
      startMs = nowMs();
      at = now();
      const next = await this.readSource();
      if (!bytesEqual(next.bytes, seen.bytes)) {
        this.#mustFollow(next);
        seen = next;
        continue;
      }
      for (const { key, why } of missing) progress.missing.set(key, why);
      break;
    }
    await this.#advance(seen, at);
    progress.headCurrentAtMs = startMs;
    progress.headBytesBehind = 0;
    return true;
  }

  async #advance({ head, bytes }: SeenHead, at: Date): Promise<void> {
    const { mirror, claim } = this.#parts;
    const { replica, signal } = mirror;
    const before = this.#copied;
    await claim.announce(digestOf(bytes));
    await putRegister(replica, HEAD_REGISTER, bytes, before?.register, { signal });
    const register = await replica.read(HEAD_REGISTER, { signal });
    if (register === undefined || !bytesEqual(register.bytes, bytes))
      throw new Fault('REPLICA_DIVERGED', `The head of the replica at ${replica.location} was changed by somebody else`);
    this.#copied = { head, register };
    await claim.copied(digestOf(bytes), head.sequence, at);
    const needed = rootsOf(head);
    const gone = [...(before === undefined ? [] : rootsOf(before.head))].filter((session) => !needed.has(session));
    await forEachBounded(gone, REGISTERS_PARALLEL, (session) => replica.delete(snapshotKey(session), { signal }));
    if (before !== undefined && (before.head.generation !== head.generation || !this.holdsAll)) await this.#hold(head);
  }

  /** Answers what the source does not have. */
  async #copyObjects(head: Head): Promise<{ readonly key: string; readonly why: string }[]> {
    const { mirror } = this.#parts;
    const missing: { key: string; why: string }[] = [];
    const attempt = async (key: string, copy: () => Promise<boolean>): Promise<void> => {
      try {
        if (await copy()) mirror.progress.missing.delete(key);
        else missing.push({ key, why: 'the source does not have it' });
      } catch (error) {
        if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
        missing.push({ key, why: error.message });
      }
    };
    const before = this.#copied?.head;
    const had = new Set(before === undefined ? [] : readableIndexes(before).map(({ id }) => id));
    const fresh = readableIndexes(head).filter(({ id }) => !had.has(id) || this.#unheld.has(id));
    const packs: IndexedPack[][] = [];
    await forEachBounded(fresh, INDEXES_PARALLEL, ({ id }) =>
      attempt(indexKey(id), async () => {
        const named = await this.#readIndex(id);
        if (named !== undefined) packs.push(named.filter(({ packId }) => !this.held.has(packId)));
        return named !== undefined;
      }),
    );
    await this.#copyPacks(packs.flat(), attempt);
    const lists = head.condemned.flatMap(({ id }) => (id === null ? [] : [condemnedKey(id)]));
    const listed = new Set(before?.condemned.flatMap(({ id }) => (id === null ? [] : [condemnedKey(id)])));
    const objects = [...lists.filter((key) => !listed.has(key)), ...fresh.map(({ id }) => indexKey(id))];
    await forEachBounded(objects, REGISTERS_PARALLEL, (key) =>
      attempt(key, async () => (await copyObject(mirror, key, 'named')) !== undefined),
    );
    const roots = before === undefined ? new Set<string>() : rootsOf(before);
    await forEachBounded(rootsOf(head), REGISTERS_PARALLEL, async (session) => {
      if (!roots.has(session)) await attempt(snapshotKey(session), () => this.#copySnapshot(session));
    });
    return missing;
  }

  async #copyPacks(
    packs: readonly IndexedPack[],
    attempt: (key: string, copy: () => Promise<boolean>) => Promise<void>,
  ): Promise<void> {
    const { mirror, sessionKeys, parallel } = this.#parts;
    const { progress, replica, signal } = mirror;
    progress.headBytesBehind = packs.reduce((sum, { packLength }) => sum + packLength, 0);
    await sessionKeys.copy(packs.flatMap(sessionsOf));
    await forEachBounded(packs, parallel, async (pack) => {
      const key = packKey(pack.packId);
      await attempt(key, async () => {
        // Copied before this process was killed, perhaps.
        const isThere =
          (await replica.size(key, { signal })) !== undefined || (await copyObject(mirror, key, 'named')) !== undefined;
        if (isThere) {
          progress.packs++;
          this.held.add([pack]);
        }
        return isThere;
      });
      progress.headBytesBehind -= pack.packLength;
    });
  }

  async #copySnapshot(session: string): Promise<boolean> {
    const { source, replica, signal } = this.#parts.mirror;
    const key = snapshotKey(session);
    const register = await source.read(key, { signal });
    if (register === undefined) return false;
    await putRegister(replica, key, register.bytes, await replica.read(key, { signal }), { signal });
    return true;
  }

  async #readIndex(id: string): Promise<IndexedPack[] | undefined> {
    const { source, signal } = this.#parts.mirror;
    const bytes = await readProven(source, indexKey(id), 'named', signal);
    return bytes === undefined ? undefined : decodeIndexObject(id, bytes, this.#parts.keyring);
  }

  /** What this head names, and nothing else. */
  async #hold(head: Head): Promise<void> {
    const { mirror, keyring } = this.#parts;
    const held = new HeldPacks();
    const unheld = new Set<string>();
    await forEachBounded(readableIndexes(head), INDEXES_PARALLEL, async ({ id }) => {
      const bytes = await readProven(mirror.replica, indexKey(id), 'named', mirror.signal);
      if (bytes === undefined) unheld.add(id);
      else held.add(decodeIndexObject(id, bytes, keyring));
    });
    this.held = held;
    this.#unheld = unheld;
  }

  #mustFollow({ head, bytes }: SeenHead): void {
    const { source, replica } = this.#parts.mirror;
    const copied = this.#copied;
    if (copied === undefined || head.sequence > copied.head.sequence || bytesEqual(bytes, copied.register.bytes)) return;
    throw new Fault(
      'REPLICA_DIVERGED',
      `The head at ${source.location} is change ${head.sequence}, and the replica at ${replica.location} has change ${copied.head.sequence}, which does not come before it`,
    );
  }

  #decode(bytes: Uint8Array): Head {
    return decodeHead(this.#parts.codec.decode(HEAD_REGISTER, bytes));
  }
}

const digestOf = (bytes: Uint8Array): string => hex(objectId(bytes));
