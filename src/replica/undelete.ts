// Undoing what somebody did who had the credentials of the store and not the keys: deleted all, overwrote all, put old values back. In a
// bucket with Object Lock every version of what was locked is still there, under it.
//
//   the repository object and its keys -> the newest head -> index objects, packs -> keys of sessions, snapshots -> logs
//
// Each version is proven by what cannot be forged without a key: a digest in its name or at its end, the seal of a register, the head's
// number. What the head does not name stays as it is: a prune may have deleted it.

import { randomBytes } from 'node:crypto';
import { forEachBounded } from '../base/bounded.ts';
import { Fault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { epochPrefix } from '../engine/log-objects.ts';
import { decodeHead, type Head } from '../format/head.ts';
import { decodeLogCatalogue, type LogEpoch } from '../format/log-catalogue.ts';
import { decodeRepositoryObject } from '../format/repository-object.ts';
import { decodeSnapshotRegister } from '../format/snapshot-register.ts';
import { bytesEqual } from '../model/reference.ts';
import { Keyring, openKeyObject } from '../repository/keyring.ts';
import { HEAD_REGISTER, INDEX_PREFIX, KEYS_PREFIX, REPOSITORY_OBJECT, SESSION_KEYS_PREFIX, unhex } from '../repository/layout.ts';
import { passphraseForms } from '../repository/passphrase.ts';
import { type RegisterCodec, registerCodec } from '../repository/register-codec.ts';
import { REPLICA_REGISTER } from '../repository/replica-mark.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { KeptVersions, type Returned } from './kept-versions.ts';
import { firstSectionOf } from './mirror-epoch.ts';
import { isProven } from './mirror-object.ts';
import { ReplicaContents } from './replica-contents.ts';

const WINDOW = 256;
const LOST_MAX = 1_000;
const LOG_OBJECT = /\/([0-9a-f]{16})(\.\d{6})?$/;

export type UndeleteOptions = {
  readonly store: ObjectStore;
  readonly passphrase: Uint8Array;
  readonly dryRun: boolean;
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly progress: UndeleteProgress;
};

export class UndeleteProgress {
  looked = 0;
  returned = 0;
  /** Of which no version is right. */
  lost: string[] = [];
  lostCount = 0;
}

/** STORE_NO_OBJECT_LOCK where nothing is kept; KEY_PASSPHRASE_WRONG, FORMAT_NOT_A_REPOSITORY, HEAD_MISSING when no version helps. */
export async function undelete(options: UndeleteOptions): Promise<void> {
  const { store } = options;
  if (store.vault === undefined) throw new Fault('STORE_NO_OBJECT_LOCK', `No versions are kept at ${store.location}`);
  const kept = new KeptVersions(store, store.vault, options);
  const keyring = await returnKeys(kept, options);
  await new Undelete(kept, keyring, options).run();
}

/** A repository object and a key of it that the passphrase opens, of all versions of both; then all its keys. */
async function returnKeys(kept: KeptVersions, { store, passphrase, progress }: UndeleteOptions): Promise<Keyring> {
  const repositories: Uint8Array[] = [];
  for await (const bytes of kept.candidates(REPOSITORY_OBJECT)) repositories.push(bytes);
  if (repositories.length === 0) throw new Fault('FORMAT_NOT_A_REPOSITORY', `There was never a repository at ${store.location}`);
  const ids: string[] = [];
  for await (const key of kept.keys(KEYS_PREFIX, 'object')) ids.push(key.slice(KEYS_PREFIX.length));
  for (const { object, form } of passphraseForms(passphrase).flatMap((form) => repositories.map((object) => ({ object, form })))) {
    const parameters = decoded(() => decodeRepositoryObject(object, store.location));
    if (parameters === undefined) continue;
    for (const id of ids) {
      for await (const bytes of kept.candidates(`${KEYS_PREFIX}${id}`)) {
        const opened = await openKeyObject(bytes, { id, passphrase: form, repositoryId: parameters.id }).catch(() => undefined);
        if (opened === undefined || !bytesEqual(opened.payload.repositoryDigest, objectId(object))) continue;
        await kept.putObject(REPOSITORY_OBJECT, object);
        await kept.putObject(`${KEYS_PREFIX}${id}`, bytes);
        // Of others nothing can be proven. A key that was removed on purpose comes back, too: its passphrase opened all that there was then.
        for (const other of ids) if (other !== id) await kept.object(`${KEYS_PREFIX}${other}`, () => true);
        progress.looked += ids.length + 1;
        return new Keyring(id, opened.payload, parameters);
      }
    }
  }
  throw new Fault('KEY_PASSPHRASE_WRONG', `No version of a key at ${store.location} opens with this passphrase`);
}

class Undelete {
  readonly #kept: KeptVersions;
  readonly #keyring: Keyring;
  readonly #codec: RegisterCodec;
  readonly #options: UndeleteOptions;
  readonly #contents: ReplicaContents;

  constructor(kept: KeptVersions, keyring: Keyring, options: UndeleteOptions) {
    this.#kept = kept;
    this.#keyring = keyring;
    this.#codec = registerCodec(keyring, randomBytes);
    this.#options = options;
    this.#contents = new ReplicaContents(kept.afterwards, keyring, options.signal);
  }

  async run(): Promise<void> {
    const head = await this.#head();
    await this.#objects(head);
    const sessions = new Set([...this.#contents.sessions, ...head.snapshots.map(({ session }) => session)]);
    for (const assetId of await this.#assets(head)) {
      for (const epoch of await this.#catalogue(assetId)) {
        sessions.add(epoch.epoch);
        await this.#log(assetId, epoch);
      }
    }
    await this.#each(sessions, (session) => this.#sessionKey(session));
    await this.#each(this.#contents.snapshotRegisters(head), ({ key }) => this.#snapshot(key));
    const mark = await this.#kept.register(
      REPLICA_REGISTER,
      (bytes) => this.#codec.decode(REPLICA_REGISTER, bytes),
      () => false,
    );
    if (mark.outcome === 'returned') this.#options.progress.returned++;
  }

  /** Whatever was put back: the highest number that the seal holds is the newest. */
  async #head(): Promise<Head> {
    const { outcome, value } = await this.#kept.register(
      HEAD_REGISTER,
      (bytes) => decodeHead(this.#codec.decode(HEAD_REGISTER, bytes)),
      // Of one number the first counts that was offered: src/store/register-order.ts.
      (one, other) => one.sequence >= other.sequence,
    );
    if (value === undefined) throw new Fault('HEAD_MISSING', `No version of the head at ${this.#options.store.location} is right`);
    this.#tell(HEAD_REGISTER, outcome);
    return value;
  }

  /** An index object comes first, and is back before it is read. */
  async #objects(head: Head): Promise<void> {
    let window: { readonly key: string; readonly proof: 'named' | 'sealed' | 'any' }[] = [];
    const flush = async (): Promise<void> => {
      await this.#each(window, ({ key, proof }) => this.#object(key, (bytes) => isProven(key, bytes, proof)));
      window = [];
    };
    for await (const object of this.#contents.objects(head, (key) => this.#tell(key, 'lost'))) {
      if (object.key.startsWith(INDEX_PREFIX)) await this.#object(object.key, (bytes) => isProven(object.key, bytes, object.proof));
      else window.push(object);
      if (window.length >= WINDOW) await flush();
    }
    await flush();
  }

  async #object(key: string, isRight: (bytes: Uint8Array) => boolean): Promise<void> {
    this.#tell(key, await this.#kept.object(key, isRight));
  }

  async #sessionKey(session: string): Promise<void> {
    let isFound = false;
    for (const pair of this.#keyring.pairIds) {
      const key = `${SESSION_KEYS_PREFIX}${pair}/${session}`;
      const outcome = await this.#kept.object(key, (bytes) => {
        return decoded(() => this.#keyring.openSessionKey(pair, unhex(session), bytes)) !== undefined;
      });
      if (outcome === 'lost') continue;
      isFound = true;
      this.#tell(key, outcome);
    }
    if (!isFound) this.#tell(`${SESSION_KEYS_PREFIX}${this.#keyring.pairIds[0]}/${session}`, 'lost');
  }

  async #snapshot(key: string): Promise<void> {
    const session = key.slice(key.lastIndexOf('/') + 1);
    const { outcome } = await this.#kept.register(
      key,
      (bytes) => decodeSnapshotRegister(this.#codec.decode(key, bytes), session),
      (one, other) => one.state === 'committed' && other.state !== 'committed',
    );
    this.#tell(key, outcome);
  }

  async #assets(head: Head): Promise<Set<string>> {
    const assets = new Set(await this.#contents.logAssets(head));
    for await (const key of this.#kept.keys('logs/', 'register')) assets.add(key.slice('logs/'.length));
    return assets;
  }

  async #catalogue(assetId: string): Promise<readonly LogEpoch[]> {
    const key = `logs/${assetId}`;
    const { outcome, value } = await this.#kept.register(
      key,
      (bytes) => decodeLogCatalogue(this.#codec.decode(key, bytes)),
      // Epochs are added and never taken away but at the front.
      (one, other) =>
        (one.epochs.at(-1)?.epoch ?? '') !== (other.epochs.at(-1)?.epoch ?? '') && one.epochs.length > other.epochs.length,
    );
    if (value === undefined) return [];
    this.#tell(key, outcome);
    return value.epochs;
  }

  /** Listed with what is under a deletion. What retention has let go stays there, and ranges whose section is stored. */
  async #log(assetId: string, epoch: LogEpoch): Promise<void> {
    const prefix = `${epochPrefix(unhex(assetId), epoch)}/`;
    const first = firstSectionOf(epoch);
    const lost = new Set(epoch.lost?.map(({ object }) => `${prefix}${object}`));
    const sections = new Set<string>();
    const ranges: string[] = [];
    for await (const key of this.#kept.keys(prefix, 'object')) {
      const [, position, number] = LOG_OBJECT.exec(key) ?? [];
      if (position === undefined || Number.parseInt(position, 16) < first || lost.has(key)) continue;
      if (number === undefined) sections.add(key);
      else ranges.push(key);
    }
    const open = ranges.filter((key) => !sections.has(key.slice(0, key.lastIndexOf('.'))));
    await this.#each([...sections, ...open], (key) => this.#object(key, (bytes) => isProven(key, bytes, 'sealed')));
  }

  #each<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
    return forEachBounded(items, this.#options.parallel, work);
  }

  #tell(key: string, outcome: Returned): void {
    const { progress } = this.#options;
    progress.looked++;
    if (outcome === 'returned') progress.returned++;
    if (outcome !== 'lost') return;
    progress.lostCount++;
    if (progress.lost.length < LOST_MAX) progress.lost.push(key);
  }
}

function decoded<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
