// The key that signs checkpoints of the audit: drawn once, in a file that only the service's user reads. Beside it lies the public one:
// a copy of that, kept elsewhere, is what an auditor verifies with.

import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { generateSigningPair, type SigningPair } from '../codec/signature.ts';

const SECRET = 'audit-key';
const PUBLIC = 'audit-key.pub';

/** The pair in `directory` (mode 0700), made when there is none. Two processes that make it at once end with the same. */
export function openAuditKey(directory: string): SigningPair {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, SECRET);
  const pair = readPair(path) ?? makePair(directory, path);
  try {
    readFileSync(join(directory, PUBLIC));
  } catch {
    writeNew(join(directory, PUBLIC), `${Buffer.from(pair.verifyKey).toString('base64url')}\n`, 0o644);
  }
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
  return {
    signingKey: new Uint8Array(Buffer.from(signing!, 'base64url')),
    verifyKey: new Uint8Array(Buffer.from(verify!, 'base64url')),
  };
}

function makePair(directory: string, path: string): SigningPair {
  const { signingKey, verifyKey } = generateSigningPair();
  const text = `${Buffer.from(signingKey).toString('base64url')}.${Buffer.from(verifyKey).toString('base64url')}\n`;
  writeNew(path, text, 0o600);
  const opened = openSync(directory, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
  return readPair(path)!;
}

/** Whole or not at all; what is there stays. */
function writeNew(path: string, text: string, mode: number): void {
  const draft = `${path}.${process.pid}`;
  const file = openSync(draft, 'w', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
}
