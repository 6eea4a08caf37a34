// A key for the safe: written as text that can be printed, and read back when every passphrase is lost.

import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { decodeKeyPayload, encodeKeyPayload, type KeyPayload } from '../format/key-object.ts';
import { decodeKeyText, encodeKeyText, type KeyText } from '../format/key-text.ts';
import { decodeRepositoryObject, type RepositoryParameters } from '../format/repository-object.ts';
import { bytesEqual } from '../model/reference.ts';
import { openKeyObject, sealKeyObject } from '../repository/keyring.ts';
import { putKey } from '../repository/keys.ts';
import { hex, REPOSITORY_OBJECT } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { newPassphrase } from './key.ts';
import { locationOf, openStoreOf, withRepository } from './open.ts';
import { usage } from './option.ts';
import { readPassphrase } from './passphrase.ts';
import type { Invocation } from './verb.ts';

/** Of a key that is sealed in its text: its id is bound to the seal, and the same for all. */
const SAFE_KEY_ID = 'safe';

export function exportKey(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withRepository(invocation, async (repository) => {
    const file = options.text('export-passphrase-file');
    const passphrase = file === undefined ? undefined : await readExportPassphrase(invocation, file);
    const text = await keyText(repository, passphrase);
    const target = args[0] ?? '-';
    if (target === '-') {
      if (output.isJson) throw usage('With --json the key goes to a file: name one');
      output.line(text);
    } else writeSecretFile(target, text);
    const warning =
      passphrase === undefined
        ? 'This text opens every backup in the repository, without any passphrase. Print it, put it in a safe, and destroy the file.'
        : 'This text opens every backup in the repository, with its passphrase. Keep the two in different places.';
    output.notice(warning);
    output.summary('key export', { key: repository.keyring.keyId, file: target, sealed: passphrase !== undefined, warning });
    return 0;
  });
}

async function keyText({ keyring, parameters, store }: Repository, passphrase: Uint8Array | undefined): Promise<string> {
  const { payload, keyId } = keyring;
  const now = new Date().toISOString();
  const content: KeyText =
    passphrase === undefined
      ? { kind: 'KEY', bytes: encodeKeyPayload(payload) }
      : {
          kind: 'SEALED KEY',
          bytes: await sealKeyObject(payload, {
            id: SAFE_KEY_ID,
            label: `copy of ${keyId}`,
            createdAt: now,
            passphrase,
            repositoryId: parameters.id,
            random: randomBytes,
          }),
        };
  return [
    'Key of a Holdfast repository, for the safe',
    '',
    `Repository  ${hex(parameters.id)}`,
    `Location    ${store.location}`,
    `Key         ${keyId} (${keyring.role})`,
    `Written     ${now}`,
    `Protection  ${passphrase === undefined ? 'none: whoever has this text can read every backup' : 'a passphrase, which is kept elsewhere'}`,
    '',
    'To use it: holdfast key import FILE, with a file that holds the lines below.',
    '',
    encodeKeyText(content),
  ].join('\n');
}

/** Never over something that is there; readable by its owner only. */
function writeSecretFile(path: string, text: string): void {
  let fd: number;
  try {
    fd = openSync(path, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault(code === 'EEXIST' ? 'TARGET_OCCUPIED' : 'TARGET_DENIED', `Cannot make the file "${path}": ${code}`, {
      cause: error,
    });
  }
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } catch (error) {
    throw new Fault('TARGET_FAILED', `Cannot write the file "${path}": ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/** Makes a key object from a text; no other key is needed. */
export async function importKey(invocation: Invocation): Promise<number> {
  const { args, options, environment, output, signal } = invocation;
  const text = decodeKeyText(readText(args[0]!));
  const store = await openStoreOf(invocation, locationOf(options, environment), false);
  try {
    const object = await store.get(REPOSITORY_OBJECT, undefined, { signal });
    const parameters = decodeRepositoryObject(object, store.location);
    const payload = await payloadOf(invocation, text, parameters);
    if (!bytesEqual(payload.repositoryDigest, objectId(object))) {
      throw new Fault('KEY_OF_OTHER_REPOSITORY', `The key in "${args[0]}" was not made for the repository at ${store.location}`);
    }
    const label = options.text('label') ?? 'from the safe';
    const id = await putKey(
      { store, parameters },
      payload,
      { passphrase: await newPassphrase(invocation), label, now: new Date() },
      { signal },
    );
    output.line(`Added the ${payload.role}'s key ${id} (${label})`);
    output.summary('key import', { key: id, role: payload.role, label });
    return 0;
  } finally {
    await store.close();
  }
}

async function payloadOf(invocation: Invocation, { kind, bytes }: KeyText, parameters: RepositoryParameters): Promise<KeyPayload> {
  const what = 'The key in the text';
  if (kind === 'KEY') return decodeKeyPayload(bytes, what);
  const passphrase = await readExportPassphrase(invocation, invocation.options.text('export-passphrase-file'));
  const opened = await openKeyObject(bytes, { id: SAFE_KEY_ID, passphrase, repositoryId: parameters.id });
  if (opened === undefined)
    throw new Fault('KEY_PASSPHRASE_WRONG', `${what} does not open with this passphrase, or is of another repository`);
  return opened.payload;
}

function readExportPassphrase({ environment, output }: Invocation, file: string | undefined): Promise<Uint8Array> {
  const source = {
    file,
    fileVariable: 'HOLDFAST_EXPORT_PASSPHRASE_FILE',
    variable: 'HOLDFAST_EXPORT_PASSPHRASE',
    prompt: 'Passphrase of the exported key',
    isNew: false,
  };
  return readPassphrase(source, environment, output);
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw usage(`The file "${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
