// What an agent says about packs is looked at before others can come upon it: an index object of a session names packs that were granted to
// this session and are stored, and no block but this session's own. Otherwise one agent could make the index lead to its own bytes where
// somebody else's block is looked for.
//
// What is not looked at here: whether the packs hold what their directories say. Until that is proved (verify-session.ts) their chunks are
// offered to nobody but the agent that wrote them.

import { forEachBounded } from '../base/bounded.ts';
import { Fault } from '../base/faults.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { type PackDirectory, type PackKind, SESSION_BYTES } from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import { hex, packKey, unhex } from '../repository/layout.ts';
import type { ObjectStore } from '../store/object-store.ts';

const SIZES_IN_FLIGHT_MAX = 16;
/** An agent stores some packs at a time. */
const ON_THEIR_WAY_MAX = 6;
const LOOKS_MAX = 2;

export type GrantedPack = {
  readonly kind: PackKind;
  readonly lengthBytes: number;
  /** Known to be stored. */
  isStored: boolean;
  /** An accepted index object names it. */
  isIndexed: boolean;
};

export type PackOwner = { readonly session: Uint8Array; readonly assetId: Uint8Array };

/** Packs that were granted and may be on their way. Those that were granted a while ago are looked for while others come, so that an index object
 *  waits for the last ones only. What is not seen here is looked for then. */
export class UnseenPacks {
  readonly #store: ObjectStore;
  readonly #signal: AbortSignal;
  /** In the order of their grants. */
  readonly #packs: { readonly id: string; readonly granted: GrantedPack }[] = [];

  constructor(store: ObjectStore, signal: AbortSignal) {
    this.#store = store;
    this.#signal = signal;
  }

  add(id: string, granted: GrantedPack): void {
    this.#packs.push({ id, granted });
  }

  /** Does not wait. Few at a time, whatever an agent asks for. */
  look(): void {
    for (let n = 0; n < LOOKS_MAX && this.#packs.length > ON_THEIR_WAY_MAX; n++) {
      const { id, granted } = this.#packs.shift()!;
      if (granted.isStored) continue;
      this.#store.size(packKey(unhex(id)), { signal: this.#signal }).then(
        (bytes) => {
          granted.isStored ||= bytes === granted.lengthBytes;
        },
        () => {}, // Whoever needs to know asks again.
      );
    }
  }
}

/** SESSION_REFUSED. */
export async function checkIndexedPacks(
  packs: readonly IndexedPack[],
  owner: PackOwner,
  granted: ReadonlyMap<string, GrantedPack>,
  store: ObjectStore,
): Promise<void> {
  for (const pack of packs) {
    const grant = granted.get(hex(pack.packId));
    const isGranted = grant !== undefined && grant.kind === pack.kind && grant.lengthBytes === pack.packLength;
    if (!isGranted || !bytesEqual(pack.session, owner.session))
      throw refused(pack.packId, 'it was not granted to this session, or not so');
    if (!isOwn(directoryOf(pack), owner)) throw refused(pack.packId, 'it names blocks of others');
  }
  await forEachBounded(packs, SIZES_IN_FLIGHT_MAX, async ({ packId, packLength }) => {
    const grant = granted.get(hex(packId))!;
    if (grant.isStored) return;
    if ((await store.size(packKey(packId))) !== packLength) throw refused(packId, 'it is not in the store');
    grant.isStored = true;
  });
}

/** Whether a pack holds nothing but blocks that this session has made and sealed for this asset. */
export function isOwn({ sessions, blocks }: PackDirectory, { session, assetId }: PackOwner): boolean {
  const [first] = sessions;
  return (
    sessions.length === 1 &&
    first !== undefined &&
    bytesEqual(first.session, session) &&
    bytesEqual(first.assetId, assetId) &&
    blocks.every(
      ({ id, sealingCounter }) =>
        bytesEqual(id.subarray(0, SESSION_BYTES), session) && bytesEqual(id.subarray(SESSION_BYTES), sealingCounter),
    )
  );
}

function refused(packId: Uint8Array, why: string): Fault {
  return new Fault('SESSION_REFUSED', `The index object names the pack ${hex(packId)}: ${why}`);
}
