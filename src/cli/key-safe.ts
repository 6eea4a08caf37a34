// A key for the safe: written as text that can be printed, and read back when every passphrase is lost.

import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import { exportKeyText, importKeyText } from '../repository/key-safe.ts';
import { newPassphrase } from './key.ts';
import { locationOf, openStoreOf, withRepository } from './open.ts';
import { usage } from './option.ts';
import { readPassphrase } from './passphrase.ts';
import type { Invocation } from './verb.ts';

export function exportKey(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  const target = args[0] ?? '-';
  if (target === '-' && output.isJson) throw usage('With --json the key goes to a file: name one');
  return withRepository(invocation, async (repository) => {
    const file = options.text('export-passphrase-file');
    const passphrase = file === undefined ? undefined : await readTextPassphrase(invocation);
    const text = await exportKeyText(repository, passphrase, new Date());
    if (target === '-') output.line(text.trimEnd());
    else writeSecretFile(target, text);
    const warning =
      passphrase === undefined
        ? 'This text opens every backup in the repository, without any passphrase. Print it, put it in a safe, and destroy the file.'
        : 'This text opens every backup in the repository, with its passphrase. Keep the two in different places.';
    output.notice(warning);
    output.summary('key export', { key: repository.keyring.keyId, file: target, sealed: passphrase !== undefined, warning });
    return 0;
  });
}

/** Never over something that is there; readable by its owner only. */
function writeSecretFile(path: string, text: string): void {
  let fd: number;
  try {
    fd = openSync(path, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault(code === 'EEXIST' ? 'TARGET_OCCUPIED' : 'TARGET_DENIED', `Cannot make the file "${path}": ${code}`, {
      hint: 'Choose another file, in a directory that this user may write to.',
      cause: error,
    });
  }
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } catch (error) {
    throw new Fault('TARGET_FAILED', `Cannot write the file "${path}": ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

export async function importKey(invocation: Invocation): Promise<number> {
  const { args, options, environment, output, signal } = invocation;
  const text = readText(args[0]!);
  const label = options.text('label') ?? 'from the safe';
  const store = await openStoreOf(invocation, locationOf(options, environment), false);
  try {
    const { id, role } = await importKeyText(
      store,
      {
        text,
        label,
        now: new Date(),
        textPassphrase: () => readTextPassphrase(invocation),
        passphrase: () => newPassphrase(invocation),
      },
      { signal },
    );
    output.line(`Added the ${role}'s key ${id} (${label})`);
    output.summary('key import', { key: id, role, label });
    return 0;
  } finally {
    await store.close();
  }
}

function readTextPassphrase({ options, environment, output }: Invocation): Promise<Uint8Array> {
  const source = {
    file: options.text('export-passphrase-file'),
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
