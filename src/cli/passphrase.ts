// The passphrase: from a file, the environment, or a person at a terminal. Never from an argument, which everybody on the machine can
// see. A final line break does not count, wherever it came from.

import { openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { Fault } from '../base/faults.ts';
import { readPassphraseFile, withoutLineBreak } from '../repository/passphrase.ts';
import type { Environment } from './environment.ts';
import type { Output } from './output.ts';

export type PassphraseSource = {
  /** Of the option; undefined when it was not given. */
  readonly file: string | undefined;
  /** Names of variables that are asked in turn. */
  readonly fileVariable: string;
  readonly variable: string;
  readonly prompt: string;
  /** A new one, typed twice. */
  readonly isNew: boolean;
};

export const REPOSITORY_PASSPHRASE = {
  fileVariable: 'HOLDFAST_PASSPHRASE_FILE',
  variable: 'HOLDFAST_PASSPHRASE',
  prompt: 'Passphrase of the repository',
} as const;

/** KEY_PASSPHRASE_MISSING when there is none. */
export async function readPassphrase(source: PassphraseSource, environment: Environment, output: Output): Promise<Uint8Array> {
  const { fileVariable, prompt, isNew } = source;
  const stated = statedPassphrase(source, environment);
  if (stated !== undefined) return stated;
  const terminal = output.isTerminal ? openTerminal() : undefined;
  if (terminal === undefined) {
    throw new Fault('KEY_PASSPHRASE_MISSING', 'No passphrase was given, and there is no terminal to ask at', {
      hint: `Name a file with the passphrase in ${fileVariable}.`,
    });
  }
  try {
    const typed = await ask(terminal, `${prompt}: `);
    if (isNew && !typed.equals(await ask(terminal, 'Once more: ')))
      throw new Fault('USAGE', 'The two passphrases differ', { hint: 'Run the command again.' });
    return notEmpty(typed, 'The passphrase');
  } finally {
    terminal.destroy();
  }
}

/** From a file or a variable; undefined when a person must be asked. */
export function statedPassphrase(
  { file: given, fileVariable, variable }: Pick<PassphraseSource, 'file' | 'fileVariable' | 'variable'>,
  { variables }: Environment,
): Uint8Array | undefined {
  const file = given ?? variables[fileVariable];
  if (file !== undefined && file !== '') return readPassphraseFile(file);
  const text = variables[variable];
  return text === undefined || text === '' ? undefined : notEmpty(withoutLineBreak(Buffer.from(text)), `The variable ${variable}`);
}

function notEmpty(passphrase: Uint8Array, what: string): Uint8Array {
  if (passphrase.length === 0) throw new Fault('KEY_PASSPHRASE_MISSING', `${what} is empty`);
  return passphrase;
}

/** The terminal itself, because standard input may be what is backed up. */
function openTerminal(): ReadStream | undefined {
  try {
    return new ReadStream(openSync('/dev/tty', 'r+'));
  } catch {
    return undefined;
  }
}

async function ask(terminal: ReadStream, prompt: string): Promise<Buffer> {
  // Before the prompt: what is typed at once must not be echoed either.
  terminal.setRawMode(true);
  process.stderr.write(prompt);
  try {
    return await readLine(terminal);
  } finally {
    terminal.setRawMode(false);
    terminal.pause();
    process.stderr.write('\n');
  }
}

function readLine(terminal: ReadStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const typed: number[] = [];
    const end = (settle: () => void): void => {
      terminal.off('data', onData);
      settle();
    };
    const onByte = (byte: number): void => {
      if (byte === 13 || byte === 10) end(() => resolve(Buffer.from(typed)));
      else if (byte === 3 || byte === 4)
        end(() => reject(new Fault('INTERRUPTED', 'Interrupted while the passphrase was asked for')));
      else if (byte === 127 || byte === 8) eraseCharacter(typed);
      else if (byte === 21) typed.length = 0;
      else if (byte >= 32) typed.push(byte);
    };
    const onData = (bytes: Buffer): void => bytes.forEach(onByte);
    terminal.on('data', onData);
    terminal.resume();
  });
}

/** A whole UTF-8 sequence. */
function eraseCharacter(typed: number[]): void {
  while (typed.length > 0 && (typed.at(-1)! & 0xc0) === 0x80) typed.pop();
  typed.pop();
}
