// A restore through the service: of the one snapshot that the run names. What restores from a repository that is opened here
// (engine/restore-tree.ts, restore-single.ts) restores from this in the same way.

import { blocksOfNode } from '../format/node-blocks.ts';
import type { RepositoryParameters } from '../format/repository-object.ts';
import { blockOf, type References } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { BeginReadingAnswer, OutcomeAnswer, type ReadingVerb, SESSION_PATHS } from '../protocol/session-messages.ts';
import { BlockReader } from '../repository/block-reader.ts';
import type { Keyring } from '../repository/keyring.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { KeyReceiver } from './received-keys.ts';
import { RemoteBlocks } from './remote-blocks.ts';
import { RemoteKeys } from './remote-keys.ts';
import type { ServiceClient } from './service-client.ts';
import type { StoreClient } from './store-client.ts';

const END_MS = 10_000;

export type RemoteReaderOptions = {
  readonly client: ServiceClient;
  readonly store: StoreClient;
  readonly runId: string;
  readonly fence: number;
  readonly signal: AbortSignal;
};

export class RemoteReader {
  readonly snapshot: Snapshot;
  readonly parameters: RepositoryParameters;
  readonly keyring: Keyring;
  readonly blocks: RemoteBlocks;
  readonly keys: RemoteKeys;
  /** Only reads ranges of packs. */
  readonly store: ObjectStore;
  readonly reader: BlockReader;
  readonly #client: ServiceClient;
  readonly #reading: string;

  private constructor(options: RemoteReaderOptions, receiver: KeyReceiver, begun: BeginReadingAnswer) {
    const { client, store, signal } = options;
    const { reading, repository, keys, snapshot } = begun;
    const { parameters, keyring } = receiver.open(repository, keys, reading);
    const path = (verb: ReadingVerb): string => SESSION_PATHS.ofReading(reading, verb);
    this.#client = client;
    this.#reading = reading;
    this.parameters = parameters;
    this.keyring = keyring;
    this.snapshot = openSnapshot({ keyring, parameters }, { ...snapshot, state: 'committed', indexes: [] });
    this.blocks = new RemoteBlocks(
      client,
      store,
      { places: path('places'), reads: path('reads'), refresh: path('refresh') },
      signal,
    );
    this.keys = new RemoteKeys(keyring, { client, path: path('keys'), receiver, parameters, signal });
    this.store = this.blocks.asStore();
    this.reader = new BlockReader(this.store, keyring, this.keys, this.blocks);
  }

  /** RUN_FENCED; SNAPSHOT_NOT_FOUND. Waits until the service has found out what the snapshot needs. */
  static async open(options: RemoteReaderOptions): Promise<RemoteReader> {
    const { client, runId, fence, signal } = options;
    const receiver = new KeyReceiver();
    const message = { fence, boxKey: receiver.boxKey };
    const begun = await client.say(SESSION_PATHS.beginReading(runId), message, BeginReadingAnswer, signal);
    return new RemoteReader(options, receiver, begun);
  }

  readonly readNode = async (reference: References): Promise<Uint8Array> => {
    await this.blocks.learn(blockOf(reference));
    const node = await this.reader.read(reference);
    // Whoever reads a node then asks where its blocks lie, one by one and without waiting.
    await this.blocks.learn(blocksOfNode(node));
    return node;
  };

  /** The service forgets the reading also by itself, when the run is over. */
  async close(): Promise<void> {
    const signal = AbortSignal.timeout(END_MS);
    await this.#client.say(SESSION_PATHS.ofReading(this.#reading, 'end'), {}, OutcomeAnswer, signal).catch(() => {});
  }
}
