// Keys of sessions where the tenant's private key is at the service: data keys are asked for, many at a time, each sealed to a key pair of
// this reading; keys of maps are derived from the asset's key that we hold.

import { Fault } from '../base/faults.ts';
import { openWithPrivateKey } from '../codec/sealed-box.ts';
import type { RepositoryParameters } from '../format/repository-object.ts';
import { SESSION_KEYS_MAX, SessionKeysAnswer } from '../protocol/session-messages.ts';
import type { Keyring } from '../repository/keyring.ts';
import { hex, unhex } from '../repository/layout.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { KeyReceiver } from './received-keys.ts';
import type { ServiceClient } from './service-client.ts';

export type KeyAsker = {
  readonly client: ServiceClient;
  readonly path: string;
  readonly receiver: KeyReceiver;
  readonly parameters: RepositoryParameters;
  readonly signal: AbortSignal;
};

type Waiting = { readonly name: string; readonly resolve: (key: Uint8Array) => void; readonly reject: (error: unknown) => void };

export class RemoteKeys implements SessionKeyFinder {
  readonly #keyring: Keyring;
  readonly #asker: KeyAsker | undefined;
  readonly #known = new Map<string, Promise<Uint8Array>>();
  #waiting: Waiting[] = [];

  constructor(keyring: Keyring, asker: KeyAsker | undefined) {
    this.#keyring = keyring;
    this.#asker = asker;
  }

  /** For a writer: it reads maps of its own asset and no content. */
  static forMaps(keyring: Keyring): RemoteKeys {
    return new RemoteKeys(keyring, undefined);
  }

  dataKey(session: Uint8Array): Promise<Uint8Array> {
    const name = hex(session);
    let key = this.#known.get(name);
    if (key === undefined) {
      key = new Promise((resolve, reject) => {
        // All that are wanted in one go are asked for together.
        if (this.#waiting.push({ name, resolve, reject }) === 1) setImmediate(() => this.#askAll());
      });
      key.catch(() => this.#known.delete(name));
      this.#known.set(name, key);
    }
    return key;
  }

  metadataKey(session: Uint8Array, assetId: Uint8Array): Uint8Array {
    return this.#keyring.metadataKeyOf(session, assetId);
  }

  #askAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; from += SESSION_KEYS_MAX) {
      const some = waiting.slice(from, from + SESSION_KEYS_MAX);
      this.#ask(some).catch((error: unknown) => {
        for (const { reject } of some) reject(error);
      });
    }
  }

  async #ask(waiting: readonly Waiting[]): Promise<void> {
    if (this.#asker === undefined) throw new Fault('KEY_CANNOT_READ', 'This key writes and reads no content');
    const { client, path, receiver, parameters, signal } = this.#asker;
    const message = { sessions: waiting.map(({ name }) => name), boxKey: receiver.boxKey };
    const { boxes } = await client.say(path, message, SessionKeysAnswer, signal);
    waiting.forEach(({ name, resolve, reject }, i) => {
      const box = Buffer.from(boxes[i] ?? '', 'base64');
      const key = openWithPrivateKey(receiver.pair, box, parameters.id, unhex(name));
      if (key === undefined) reject(new Fault('SERVICE_CORRUPT_ANSWER', `The key of the session ${name} is not sealed to us`));
      else resolve(key);
    });
  }
}
