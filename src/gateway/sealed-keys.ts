// Keys on their way to an agent: sealed to a key pair that it has made for this message.

import { sealMessage } from '../codec/sealed-message.ts';
import { encodeKeyPayload } from '../format/key-object.ts';
import type { SealedKeys } from '../protocol/session-messages.ts';
import type { Keyring } from '../repository/keyring.ts';

/** `context`: the session or reading that they are for. */
export function sealKeys(writer: Keyring, repositoryId: Uint8Array, boxKey: string, context: string): SealedKeys {
  const payload = encodeKeyPayload(writer.payload);
  const { box, nonce, sealed } = sealMessage(Buffer.from(boxKey, 'base64'), payload, repositoryId, Buffer.from(context));
  return { keyId: writer.keyId, box: base64(box), nonce: base64(nonce), sealed: base64(sealed) };
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
