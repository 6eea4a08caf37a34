// Reading and changing the head: read, apply a pure change (head-changes.ts), swap; on a conflict, again from what is there now.
//
// A change may be applied although its caller is told 'conflict': the answer was lost, and others changed the head since. So every change
// must recognise that it is there already: by a session's presence, by its step, or because doing it twice is doing it once.

import { Fault, isFault } from '../base/faults.ts';
import { EMPTY_HEAD, type Head } from '../format/head.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import type { Random } from './keyring.ts';
import type { RegisterCodec } from './register-codec.ts';
import { Registers, type Versioned } from './registers.ts';
import { mustNotBeReplica } from './replica-mark.ts';

/** With the back-off below: about a minute of losing every race. */
export const HEAD_ATTEMPTS_MAX = 50;
const BACKOFF_FIRST_MS = 20;
const BACKOFF_MAX_MS = 2_000;

export type RepositoryPorts = {
  readonly store: ObjectStore;
  readonly codec: RegisterCodec;
  readonly random: Random;
  readonly now: () => Date;
  readonly sleep: (durationMs: number, options?: CallOptions) => Promise<void>;
};

/** What a change answers: the next head, or none when there is nothing to change. */
export type HeadChange<T> = { readonly next?: Head | undefined; readonly result: T };

export class HeadKeeper {
  readonly ports: RepositoryPorts;
  readonly registers: Registers;
  #sequenceSeen: number;
  #mayChange = false;

  /** `sequenceSeen`: highest ever seen of this repository; an older head is HEAD_ROLLED_BACK. */
  constructor(ports: RepositoryPorts, sequenceSeen = 0) {
    this.ports = ports;
    this.registers = new Registers(ports.store, ports.codec, ports.random);
    this.#sequenceSeen = sequenceSeen;
  }

  get store(): ObjectStore {
    return this.ports.store;
  }

  /** To be kept for the next run. */
  get sequenceSeen(): number {
    return this.#sequenceSeen;
  }

  /** RFC 3339. */
  now(): string {
    return this.ports.now().toISOString();
  }

  /** For a new repository; an existing head stays as it is, whosever it is. */
  async create(options?: CallOptions): Promise<'created' | 'exists'> {
    return (await this.registers.swapHead(EMPTY_HEAD, undefined, options)) === 'conflict' ? 'exists' : 'created';
  }

  async read(options?: CallOptions): Promise<Head> {
    return (await this.#read(options)).value;
  }

  /** Answers the head with the change in it, and what the change answered. It may be called several times. HEAD_CONTENTION when others
   *  always win; REPLICA_READ_ONLY. Any other fault leaves it open whether the change happened. */
  async change<T>(
    change: (head: Head) => HeadChange<T>,
    options?: CallOptions,
  ): Promise<{ readonly head: Head; readonly result: T }> {
    // Once: a repository becomes a replica only while it is empty.
    if (!this.#mayChange) await mustNotBeReplica(this.store, this.ports.codec, options);
    this.#mayChange = true;
    for (let attempt = 0; attempt < HEAD_ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await this.ports.sleep(this.#backoffMs(attempt), options);
      const current = await this.#read(options);
      const { next, result } = change(current.value);
      if (next === undefined) return { head: current.value, result };
      const head = { ...next, sequence: current.value.sequence + 1 };
      if ((await this.registers.swapHead(head, current.version, options)) === 'conflict') continue;
      this.#saw(head);
      return { head, result };
    }
    throw new Fault(
      'HEAD_CONTENTION',
      `The head of the repository at ${this.store.location} was changed by others ${HEAD_ATTEMPTS_MAX} times in a row`,
    );
  }

  async #read(options?: CallOptions): Promise<Versioned<Head>> {
    // Taken before the request: an answer may arrive after that of a later request of this process.
    const seen = this.#sequenceSeen;
    const current = await this.#present(options);
    if (current === undefined) throw new Fault('HEAD_MISSING', `The repository at ${this.store.location} has no head`);
    if (current.value.sequence < seen) {
      throw new Fault(
        'HEAD_ROLLED_BACK',
        `The head of the repository at ${this.store.location} is change ${current.value.sequence}; change ${seen} was seen before`,
      );
    }
    this.#saw(current.value);
    return current;
  }

  async #present(options?: CallOptions): Promise<Versioned<Head> | undefined> {
    try {
      return await this.registers.readHead(options);
    } catch (error) {
      // The value itself, not the way to it (STORE_CORRUPT_ANSWER): another request would answer the same.
      if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
      throw new Fault('HEAD_DAMAGED', `The head of the repository at ${this.store.location} is damaged: ${error.message}`, {
        cause: error,
      });
    }
  }

  #saw({ sequence }: Head): void {
    this.#sequenceSeen = Math.max(this.#sequenceSeen, sequence);
  }

  // Full jitter: those who collided do not collide again.
  #backoffMs(attempt: number): number {
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
    const [a, b] = this.ports.random(2);
    return Math.floor((ceiling * (a! * 256 + b!)) / 65_536);
  }
}
