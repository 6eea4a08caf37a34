// What lets a server start. Its configuration ends with an `include` of a file that exists only while the gate allows the server to run, in a
// directory that a restart of the host empties. Without it the server refuses to start, whoever starts it. The token says under which epoch it
// writes; clients and routes read it: SHOW holdfast.epoch.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GATE_MARK, withoutGate } from '../postgres/recovery-settings.ts';

export type Token = {
  readonly incarnation: string;
  /** 0: a standby, which writes nothing. */
  readonly epoch: number;
  readonly site: string;
};

/** Makes the server of the directory one that only starts with the token file. */
export function closeGate(dataDirectory: string, tokenFile: string): void {
  const path = join(dataDirectory, 'postgresql.conf');
  const text = readFileSync(path, 'utf8');
  const line = `include '${tokenFile.replaceAll("'", "''")}' ${GATE_MARK}`;
  if (text.split('\n').includes(line)) return;
  replace(path, `${withoutGate(text).replace(/\n*$/, '\n')}${line}\n`);
}

export function writeToken(tokenFile: string, { incarnation, epoch, site }: Token): void {
  const quoted = (text: string | number): string => `'${String(text).replaceAll("'", "''")}'`;
  replace(
    tokenFile,
    `holdfast.incarnation = ${quoted(incarnation)}\nholdfast.epoch = ${quoted(epoch)}\nholdfast.site = ${quoted(site)}\n`,
    0o644,
  );
}

export function removeToken(tokenFile: string): void {
  rmSync(tokenFile, { force: true });
}

/** Owner and mode stay those of the file that is replaced, if there is one: it is written to in place of the old one by its owner's leave. */
function replace(path: string, text: string, mode?: number): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
