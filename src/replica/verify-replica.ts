// Proving a replica: everything that its head and its catalogues name is there, in its length or byte by byte, and is what the source has.
// With `mend`, what is damaged or missing is taken from the source. A damaged object must go before the same one can be made again; it goes
// only when it was read twice and its good bytes are at hand.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { bytesEqual } from '../model/reference.ts';
import { KEYS_PREFIX, REPOSITORY_OBJECT, SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { type ObjectProof, readProven } from './mirror-object.ts';
import { type HeldObject, ReplicaContents } from './replica-contents.ts';

const WINDOW = 256;
const PROBLEMS_MAX = 1000;

export type VerifyReplicaOptions = {
  /** Undefined when it is gone: then the replica is compared with itself only. */
  readonly source: ObjectStore | undefined;
  readonly replica: ObjectStore;
  readonly keyring: OpenedRepository['keyring'];
  /** Read every byte. Otherwise only whether it is there in its length. */
  readonly isFull: boolean;
  readonly mend: boolean;
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly onObject: (bytes: number) => void;
};

export type ReplicaProblem = { readonly key: string; readonly why: string; readonly isMended: boolean };

export type VerifiedReplica = {
  readonly objects: number;
  readonly bytesRead: number;
  readonly problems: readonly ReplicaProblem[];
  /** Also those that are not in the list any more. */
  readonly problemCount: number;
  readonly mended: number;
};

export async function verifyReplica(options: VerifyReplicaOptions): Promise<VerifiedReplica> {
  const check = new Check(options);
  await check.run();
  return check;
}

class Check implements VerifiedReplica {
  readonly #options: VerifyReplicaOptions;
  readonly #contents: ReplicaContents;
  objects = 0;
  bytesRead = 0;
  readonly problems: ReplicaProblem[] = [];
  problemCount = 0;
  mended = 0;

  constructor(options: VerifyReplicaOptions) {
    this.#options = options;
    this.#contents = new ReplicaContents(options.replica, options.keyring, options.signal);
  }

  async run(): Promise<void> {
    const { replica, signal } = this.#options;
    const head = await this.#contents.head();
    if (head === undefined || (await replica.size(REPOSITORY_OBJECT, { signal })) === undefined) {
      this.#tell('head', 'the replica is not whole yet: its first copy has not ended', false);
      return;
    }
    await this.#checkAll(this.#contents.objects(head, () => {}));
    for (const assetId of await this.#contents.logAssets(head)) {
      for (const epoch of await this.#contents.epochs(assetId)) {
        this.#contents.sessions.add(epoch.epoch);
        await this.#checkAll(this.#contents.logObjects(assetId, epoch));
      }
    }
    await forEachBounded(this.#contents.snapshotRegisters(head), this.#options.parallel, ({ key }) => this.#checkRegister(key));
    await forEachBounded(this.#contents.sessions, this.#options.parallel, (session) => this.#checkSessionKey(session));
    await this.#checkKeys();
  }

  async #checkAll(objects: AsyncIterable<HeldObject>): Promise<void> {
    const { parallel, signal } = this.#options;
    let window: HeldObject[] = [];
    const flush = async (): Promise<void> => {
      await forEachBounded(window, parallel, (object) => this.#checkObject(object));
      window = [];
    };
    for await (const object of objects) {
      signal.throwIfAborted();
      window.push(object);
      if (window.length >= WINDOW) await flush();
    }
    await flush();
  }

  async #checkObject({ key, proof, length }: HeldObject): Promise<void> {
    const { replica, isFull, signal, onObject } = this.#options;
    const why = isFull ? await this.#readWhy(key, proof) : wrongLength(await replica.size(key, { signal }), length);
    this.objects++;
    onObject(length ?? 0);
    if (why === undefined) return;
    // A range that went into its section meanwhile.
    const section = /^(log\/.*)\.\d+$/.exec(key)?.[1];
    if (why === 'missing' && section !== undefined && (await replica.size(section, { signal })) !== undefined) return;
    await this.#found(key, proof, why);
  }

  async #readWhy(key: string, proof: ObjectProof): Promise<string | undefined> {
    try {
      const bytes = await readProven(this.#options.replica, key, proof, this.#options.signal);
      this.bytesRead += bytes?.length ?? 0;
      return bytes === undefined ? 'missing' : undefined;
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
      return 'damaged';
    }
  }

  async #found(key: string, proof: ObjectProof, why: string): Promise<void> {
    const { source, replica, mend, signal } = this.#options;
    if (!mend || source === undefined) return this.#tell(key, why, false);
    let good: Uint8Array | undefined;
    try {
      good = await readProven(source, key, proof, signal);
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
      return this.#tell(key, `${why}, and the source has it damaged, too`, false);
    }
    if (good === undefined) return this.#tell(key, `${why}, and the source does not have it`, false);
    if (why !== 'missing') await replica.delete(key, { signal });
    await replica.put(key, good, { signal });
    const isMended = (await this.#readWhy(key, proof)) === undefined;
    if (isMended) this.mended++;
    this.#tell(key, why, isMended);
  }

  /** A register of a snapshot never changes while the snapshot is registered. */
  async #checkRegister(key: string): Promise<void> {
    const { source, replica, mend, signal } = this.#options;
    this.objects++;
    const here = await replica.read(key, { signal });
    const there = await source?.read(key, { signal });
    if (here !== undefined && (there === undefined || bytesEqual(here.bytes, there.bytes))) return;
    const why = here === undefined ? 'missing' : 'another value than at the source';
    if (!mend || there === undefined) return this.#tell(key, why, false);
    const isMended = (await replica.swap(key, there.bytes, here?.version, { signal })) !== 'conflict';
    if (isMended) this.mended++;
    this.#tell(key, why, isMended);
  }

  /** Under any pair that this key holds. */
  async #checkSessionKey(session: string): Promise<void> {
    const { replica, keyring, signal } = this.#options;
    this.objects++;
    for (const pair of keyring.pairIds)
      if ((await replica.size(`${SESSION_KEYS_PREFIX}${pair}/${session}`, { signal })) !== undefined) return;
    for (const pair of keyring.pairIds) {
      const key = `${SESSION_KEYS_PREFIX}${pair}/${session}`;
      if (this.#options.source !== undefined && (await this.#options.source.size(key, { signal })) !== undefined)
        return this.#found(key, 'any', 'missing');
    }
    this.#tell(`${SESSION_KEYS_PREFIX}${session}`, 'missing', false);
  }

  async #checkKeys(): Promise<void> {
    const { source, replica, signal } = this.#options;
    if (source === undefined) return;
    for await (const page of source.list(KEYS_PREFIX, { signal }))
      for (const { key } of page) {
        this.objects++;
        if ((await replica.size(key, { signal })) === undefined) await this.#found(key, 'any', 'missing');
      }
  }

  #tell(key: string, why: string, isMended: boolean): void {
    this.problemCount++;
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ key, why, isMended });
  }
}

function wrongLength(size: number | undefined, length: number | undefined): string | undefined {
  if (size === undefined) return 'missing';
  return length === undefined || size === length ? undefined : `it has ${size} bytes instead of ${length}`;
}
