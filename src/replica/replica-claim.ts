// A replication's claim on the replica: the register `replica`. Each change of it is a compare-and-swap from the value that this process
// wrote, so a second replication, or a release, ends this one at its next step. The head that is about to be put there is announced first:
// any other head is known to be somebody else's.

import { Fault } from '../base/faults.ts';
import type { ReplicaMark, ReplicaState } from '../format/replica-mark.ts';
import type { Random } from '../repository/keyring.ts';
import { HEAD_REGISTER, hex, REPOSITORY_OBJECT } from '../repository/layout.ts';
import type { RegisterCodec } from '../repository/register-codec.ts';
import { readReplicaMark, swapReplicaMark } from '../repository/replica-mark.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';

const HOLDER_BYTES = 10;
/** When nothing changes at the source: how old what the mark says may become. */
const RENEW_MS = 10_000;

export type ClaimParts = {
  readonly source: ObjectStore;
  readonly replica: ObjectStore;
  readonly codec: RegisterCodec;
  readonly random: Random;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

export class ReplicaClaim {
  readonly #parts: ClaimParts;
  #mark: ReplicaMark;
  #version: string;

  private constructor(parts: ClaimParts, mark: ReplicaMark, version: string) {
    this.#parts = parts;
    this.#mark = mark;
    this.#version = version;
  }

  /** REPLICA_FOREIGN when there is something else in the place, or a replica that was released. */
  static async take(parts: ClaimParts): Promise<ReplicaClaim> {
    const { source, replica, codec, random, now, signal } = parts;
    const holder = hex(random(HOLDER_BYTES));
    const current = await readReplicaMark(replica, codec, { signal });
    if (current?.value.state === 'released')
      throw new Fault('REPLICA_FOREIGN', `The repository at ${replica.location} was released: it goes its own way now`);
    if (current === undefined) await mustBeEmpty(replica, { signal });
    const mark: ReplicaMark =
      current === undefined
        ? {
            state: 'seeding',
            source: source.location,
            holder,
            asOf: now().toISOString(),
            sequence: 0,
            head: null,
            next: null,
            releasedBy: '',
            reason: '',
          }
        : { ...current.value, holder, source: source.location };
    const swapped = await swapReplicaMark(replica, parts, mark, current?.version, { signal });
    if (swapped === 'conflict') throw takenOver(replica);
    return new ReplicaClaim(parts, mark, swapped.version);
  }

  get state(): ReplicaState {
    return this.#mark.state;
  }

  /** REPLICA_DIVERGED unless this head was announced by a replication. */
  mustKnow(head: string): void {
    if (head === this.#mark.head || head === this.#mark.next) return;
    throw new Fault('REPLICA_DIVERGED', `The head of the replica at ${this.#parts.replica.location} is none that was copied there`);
  }

  announce(next: string): Promise<void> {
    return this.#change({ ...this.#mark, next });
  }

  /** `at`: when the source was looked at. */
  copied(head: string, sequence: number, at: Date): Promise<void> {
    return this.#change({ ...this.#mark, head, next: null, sequence, asOf: at.toISOString() });
  }

  /** From now on it is a repository that can be restored from. */
  follow(): Promise<void> {
    return this.#change({ ...this.#mark, state: 'following' });
  }

  /** Nothing is missing that was there at that time. */
  async renew(at: Date): Promise<void> {
    if (at.getTime() - Date.parse(this.#mark.asOf) < RENEW_MS) return;
    await this.#change({ ...this.#mark, asOf: at.toISOString() });
  }

  /** REPLICA_TAKEN_OVER. To be asked before something is deleted. */
  async mustHold(): Promise<void> {
    const { replica, codec, signal } = this.#parts;
    const current = await readReplicaMark(replica, codec, { signal });
    if (current?.value.holder !== this.#mark.holder || current.value.state === 'released') throw takenOver(replica);
  }

  async #change(mark: ReplicaMark): Promise<void> {
    const { replica, signal } = this.#parts;
    const swapped = await swapReplicaMark(replica, this.#parts, mark, this.#version, { signal });
    if (swapped === 'conflict') throw takenOver(replica);
    this.#mark = mark;
    this.#version = swapped.version;
  }
}

async function mustBeEmpty(replica: ObjectStore, options: CallOptions): Promise<void> {
  const isTaken =
    (await replica.size(REPOSITORY_OBJECT, options)) !== undefined || (await replica.read(HEAD_REGISTER, options)) !== undefined;
  if (isTaken) throw new Fault('REPLICA_FOREIGN', `There is a repository at ${replica.location} that is no replica`);
}

function takenOver({ location }: ObjectStore): Fault {
  return new Fault('REPLICA_TAKEN_OVER', `The replica at ${location} was taken over by another replication, or released`);
}
