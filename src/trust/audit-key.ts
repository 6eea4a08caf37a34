// The key that signs checkpoints of the audit: drawn once, in a file that only the service's user reads. Beside it lies the public one:
// a copy of that, kept elsewhere, is what an auditor verifies with.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeHome } from '../base/make-directory.ts';
import { writeOnce } from '../base/write-once.ts';
import { generateSigningPair, type SigningPair } from '../codec/signature.ts';

export type AuditKey = SigningPair;

const SECRET = 'audit-key';
export const AUDIT_KEY_PUBLIC = 'audit-key.pub';

/** The pair in `directory` (mode 0700), made when there is none. Two processes that make it at once end with the same. */
export function openAuditKey(directory: string): SigningPair {
  return openSigningKey(directory, SECRET);
}

/** The same for keys of other purposes: `<name>` and `<name>.pub`. */
export function openSigningKey(directory: string, name: string): SigningPair {
  makeHome(directory, 0o700);
  const path = join(directory, name);
  const pair = readPair(path) ?? makePair(path);
  // Not even a draft when it is there: a failover needs the key of a site whose disk is full.
  if (!existsSync(`${path}.pub`)) writeOnce(`${path}.pub`, `${textOf(pair.verifyKey)}\n`, 0o644, `${process.pid}`);
  return pair;
}

/** Of a file that holds a public key: 32 bytes as base64url. Undefined when it is none. */
export function parseVerifyKey(text: string): Uint8Array | undefined {
  const key = Buffer.from(text.trim(), 'base64url');
  return key.length === 32 ? new Uint8Array(key) : undefined;
}

function readPair(path: string): SigningPair | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [signing, verify] = text.trim().split('.');
  return { signingKey: bytesOf(signing!), verifyKey: bytesOf(verify!) };
}

function makePair(path: string): SigningPair {
  const { signingKey, verifyKey } = generateSigningPair();
  writeOnce(path, `${textOf(signingKey)}.${textOf(verifyKey)}\n`, 0o600, `${process.pid}`);
  return readPair(path)!;
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('base64url');
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64url'));
}
