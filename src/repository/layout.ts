// Names of objects and registers in the store. See src/format/README.md, "Objects".

export const REPOSITORY_OBJECT = 'repository';
export const HEAD_REGISTER = 'head';
export const KEYS_PREFIX = 'keys/';
export const SESSION_KEYS_PREFIX = 'session-keys/';
export const PACKS_PREFIX = 'packs/';
export const INDEX_PREFIX = 'index/';
export const SNAPSHOTS_PREFIX = 'snapshots/';
export const CONDEMNED_PREFIX = 'condemned/';

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
export const unhex = (text: string): Uint8Array => Buffer.from(text, 'hex');

export const keyObjectKey = (keyId: string): string => `${KEYS_PREFIX}${keyId}`;
export const sessionKeyKey = (pairId: string, session: Uint8Array): string => `${SESSION_KEYS_PREFIX}${pairId}/${hex(session)}`;
export const indexKey = (indexId: string): string => `${INDEX_PREFIX}${indexId}`;

export function packKey(packId: Uint8Array): string {
  const name = hex(packId);
  return `${PACKS_PREFIX}${name.slice(0, 2)}/${name}`;
}
