// A backup through the service. The service keeps session, index and credentials; here are the source, the workers, and a key that writes
// one asset. Packs go straight to the store, each by a grant of its own; what the service gets is ids, index objects and the snapshot.

import { createHash } from 'node:crypto';
import { Fault, isFault } from '../base/faults.ts';
import type { AskPresence, BackupPlace, IndexSummary } from '../engine/backup-pipeline.ts';
import type { BackupTarget, BeginDetails, TargetSession } from '../engine/backup-target.ts';
import { blocksOfNode, isLeaf } from '../format/node-blocks.ts';
import { decodeDirectory, type PackKind } from '../format/pack.ts';
import type { SealedSnapshot } from '../format/snapshot-register.ts';
import { blockOf, type References } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import {
  BeginSessionAnswer,
  GrantsAnswer,
  IndexAnswer,
  OutcomeAnswer,
  SESSION_PATHS,
  type SessionVerb,
} from '../protocol/session-messages.ts';
import { BlockReader } from '../repository/block-reader.ts';
import { hex, INDEX_PREFIX, PACKS_PREFIX, SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { FinishedPack } from '../worker/pack-writer.ts';
import { PresenceAsker } from './presence-asker.ts';
import { KeyReceiver } from './received-keys.ts';
import { RemoteBlocks } from './remote-blocks.ts';
import { RemoteKeys } from './remote-keys.ts';
import type { ServiceClient } from './service-client.ts';
import type { StoreClient } from './store-client.ts';

const GRANT_ATTEMPTS_MAX = 5;
/** The last word of a backup that failed: not longer than somebody waits for a program to end. */
const ABANDON_MS = 20_000;

export type RemoteTargetOptions = {
  readonly client: ServiceClient;
  readonly store: StoreClient;
  readonly runId: string;
  readonly fence: number;
  /** A local directory, for what the session makes. */
  readonly directory: string;
};

export class RemoteTarget implements BackupTarget {
  readonly #options: RemoteTargetOptions;

  constructor(options: RemoteTargetOptions) {
    this.#options = options;
  }

  /** RUN_FENCED, QUOTA_EXCEEDED, and what the repository says. */
  async begin({ asset, type, signal }: BeginDetails): Promise<TargetSession> {
    const { client, runId, fence } = this.#options;
    const receiver = new KeyReceiver();
    const message = { fence, type, boxKey: receiver.boxKey };
    const begun = await client.say(SESSION_PATHS.beginSession(runId), message, BeginSessionAnswer, signal);
    const { parameters, keyring } = receiver.open(begun.repository, begun.keys, begun.session);
    if (keyring.payload.role !== 'writer' || keyring.payload.asset !== asset)
      throw new Fault('SERVICE_CORRUPT_ANSWER', `The service sent a key that does not write the asset "${asset}"`);
    const register = begun.parent;
    const parent =
      register === undefined ? undefined : openSnapshot({ keyring, parameters }, { ...register, state: 'committed', indexes: [] });
    const isNothingKnown = begun.isNothingKnown === true;
    return new RemoteSession(this.#options, begun.session, { parameters, keyring }, parent, isNothingKnown, signal);
  }
}

class RemoteSession implements TargetSession {
  readonly name: string;
  readonly assetId: Uint8Array;
  readonly place: BackupPlace;
  readonly parent: Snapshot | undefined;
  readonly known = undefined;
  readonly ask: AskPresence | undefined;
  readonly privateRuns: string;
  readonly #options: RemoteTargetOptions;
  readonly #blocks: RemoteBlocks;
  readonly #reader: BlockReader;
  /** Packs on their way: what a grant must say of them, by id. */
  readonly #facts = new Map<string, { readonly kind: PackKind; readonly firstBlock: string }>();

  constructor(
    options: RemoteTargetOptions,
    name: string,
    { parameters, keyring }: Pick<BackupPlace, 'parameters' | 'keyring'>,
    parent: Snapshot | undefined,
    isNothingKnown: boolean,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.name = name;
    this.parent = parent;
    this.privateRuns = options.directory;
    const { payload } = keyring;
    this.assetId = keyring.assetId(payload.role === 'writer' ? payload.asset : '');
    this.place = { parameters, keyring, store: { put: (key, bytes, call) => this.#put(key, bytes, call) } };
    this.ask = isNothingKnown ? undefined : new PresenceAsker(options.client, this.#path('presence')).ask;
    const paths = { places: this.#path('places'), reads: this.#path('reads'), refresh: this.#path('refresh') };
    this.#blocks = new RemoteBlocks(options.client, options.store, paths, signal);
    this.#reader = new BlockReader(this.#blocks.asStore(), keyring, RemoteKeys.forMaps(keyring), this.#blocks);
  }

  readonly readNode = async (reference: References): Promise<Uint8Array> => {
    await this.#blocks.learn(blockOf(reference));
    const node = await this.#reader.read(reference);
    // Its children are read next. Content is not: this key opens none.
    if (!isLeaf(node)) await this.#blocks.learn(blocksOfNode(node));
    return node;
  };

  onUpload({ packId, kind, directory }: FinishedPack): void {
    const [first] = decodeDirectory(directory).blocks;
    if (first !== undefined) this.#facts.set(hex(packId), { kind, firstBlock: hex(first.id) });
  }

  async checkpoint({ id }: IndexSummary): Promise<void> {
    await this.#options.client.say(this.#path('checkpoint'), { indexes: [id] }, OutcomeAnswer);
  }

  async commit(snapshot: SealedSnapshot, indexes: readonly IndexSummary[], signal: AbortSignal): Promise<void> {
    const message = { snapshot, indexes: indexes.map(({ id }) => id) };
    const { outcome } = await this.#options.client.say(this.#path('commit'), message, OutcomeAnswer, signal);
    if (outcome !== 'committed') throw new Fault('SESSION_GONE', `The session ${this.name} was ended before it committed`);
  }

  async abandon(): Promise<'abandoned' | 'committed'> {
    const signal = AbortSignal.timeout(ABANDON_MS);
    const { outcome } = await this.#options.client.say(this.#path('abandon'), {}, OutcomeAnswer, signal);
    return outcome === 'committed' ? 'committed' : 'abandoned';
  }

  close(): void {
    this.#facts.clear();
  }

  async #put(key: string, bytes: Uint8Array, options?: CallOptions): Promise<'created' | 'exists'> {
    const { client } = this.#options;
    if (key.startsWith(PACKS_PREFIX)) return this.#putPack(key.slice(key.lastIndexOf('/') + 1), bytes, options?.signal);
    if (key.startsWith(INDEX_PREFIX)) {
      await client.tell(this.#path('indexes'), bytes, IndexAnswer, options?.signal);
      return 'created';
    }
    if (!key.startsWith(SESSION_KEYS_PREFIX)) throw new Fault('INTERNAL', `An agent does not store ${key}`);
    const pairId = key.slice(SESSION_KEYS_PREFIX.length, key.lastIndexOf('/'));
    await client.say(this.#path('key'), { pairId, sealed: base64(bytes) }, OutcomeAnswer, options?.signal);
    return 'created';
  }

  /** A grant is good once and for a short time: each attempt has its own. */
  async #putPack(pack: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<'created' | 'exists'> {
    const { client, store } = this.#options;
    const facts = this.#facts.get(pack);
    if (facts === undefined) throw new Fault('INTERNAL', `The pack ${pack} was not announced`);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const packs = [{ pack, ...facts, lengthBytes: bytes.length, sha256 }];
    for (let attempt = 1; ; attempt++) {
      try {
        const stored = await client.repeat(async () => {
          const { grants } = await client.say(this.#path('grants'), { packs }, GrantsAnswer, signal);
          const [grant] = grants;
          if (grant === undefined) throw new Fault('SERVICE_CORRUPT_ANSWER', `The service answered no grant for ${pack}`);
          return store.put(grant, bytes, signal);
        }, signal);
        this.#facts.delete(pack);
        return stored;
      } catch (error) {
        if (!isFault(error, 'GRANT_REFUSED') || attempt >= GRANT_ATTEMPTS_MAX) throw error;
      }
    }
  }

  #path(verb: SessionVerb): string {
    return SESSION_PATHS.ofSession(this.name, verb);
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}
