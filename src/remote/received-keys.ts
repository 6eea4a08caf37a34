// Keys that the service has sealed to a key pair of ours, made for one message.

import { Fault } from '../base/faults.ts';
import { generateBoxPair, type KeyPair } from '../codec/sealed-box.ts';
import { openMessage } from '../codec/sealed-message.ts';
import { decodeKeyPayload } from '../format/key-object.ts';
import { decodeRepositoryObject, type RepositoryParameters } from '../format/repository-object.ts';
import type { SealedKeys } from '../protocol/session-messages.ts';
import { Keyring } from '../repository/keyring.ts';

export class KeyReceiver {
  readonly #pair: KeyPair = generateBoxPair();

  /** For the message. */
  get boxKey(): string {
    return Buffer.from(this.#pair.publicKey).toString('base64');
  }

  get pair(): KeyPair {
    return this.#pair;
  }

  /** SERVICE_CORRUPT_ANSWER when they are not for this message. */
  open(
    repository: string,
    keys: SealedKeys,
    context: string,
  ): { readonly parameters: RepositoryParameters; readonly keyring: Keyring } {
    const parameters = decodeRepositoryObject(Buffer.from(repository, 'base64'), 'the service');
    const message = {
      box: Buffer.from(keys.box, 'base64'),
      nonce: Buffer.from(keys.nonce, 'base64'),
      sealed: Buffer.from(keys.sealed, 'base64'),
    };
    const payload = openMessage(this.#pair, message, parameters.id, Buffer.from(context));
    if (payload === undefined) throw new Fault('SERVICE_CORRUPT_ANSWER', 'The keys that the service sent are not sealed to us');
    return { parameters, keyring: new Keyring(keys.keyId, decodeKeyPayload(payload, 'The key that the service sent'), parameters) };
  }
}
