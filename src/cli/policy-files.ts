// Policy files as a command names them: read, with what they extend and what stands above them.

import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault } from '../base/faults.ts';
import type { PolicyLevel } from '../policy/effective-policy.ts';
import { withBases } from '../policy/policy-bases.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import { POLICY_TEXT_BYTES_MAX, type ReadPolicy, readPolicy } from '../policy/read-policy.ts';
import { usage } from './option.ts';

/** Never throws for what the file says. */
export function readPolicyFile(file: string): ReadPolicy {
  return readPolicy(readBounded(file));
}

/** The levels that `--above` names and the document, each with what it extends. Throws POLICY_INVALID, POLICY_NOT_FOUND, USAGE. */
export function levelsOf(file: string, document: PolicyDocument, above: readonly string[]): readonly PolicyLevel[] {
  const levels = above.flatMap((other) => bases({ level: 'base', scope: other, document: validDocument(other) }, other));
  return [...levels, ...bases({ level: 'asset', scope: file, document }, file)];
}

/** Throws POLICY_INVALID with the places in the file. */
export function validDocument(file: string): PolicyDocument {
  const read = readPolicyFile(file);
  if (read.kind === 'policy') return read.document;
  const lines = read.problems.map(({ line, column, message }) => `\n  ${file}:${line}:${column}: ${message}`);
  throw new Fault('POLICY_INVALID', `The policy is not valid:${lines.join('')}`);
}

function bases(level: PolicyLevel, file: string): readonly PolicyLevel[] {
  return withBases(level, (name) => {
    const path = join(dirname(file), `${name}.yaml`);
    return isThere(path) ? validDocument(path) : undefined;
  });
}

function isThere(path: string): boolean {
  try {
    closeSync(openSync(path, 'r'));
    return true;
  } catch {
    return false;
  }
}

/** One byte more than a policy may have is enough to see that it is too long: also of a file that never ends. */
function readBounded(file: string): string {
  try {
    const fd = file === '-' ? 0 : openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(POLICY_TEXT_BYTES_MAX + 1);
      let length = 0;
      for (let got = 1; got > 0 && length < bytes.length; length += got)
        got = readSync(fd, bytes, length, bytes.length - length, null);
      return bytes.toString('utf8', 0, length);
    } finally {
      if (fd !== 0) closeSync(fd);
    }
  } catch (error) {
    throw usage(`The file "${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
