// What lets a server start. Its configuration ends with an `include` of a file that exists only while the gate allows the server to run, in a
// directory that a restart of the host empties. Without it the server refuses to start, whoever starts it. The token says under which epoch it
// writes; clients and routes read it: SHOW holdfast.epoch.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../../src/base/replace-file.ts';
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
  replaceFile(path, `${withoutGate(text).replace(/\n*$/, '\n')}${line}\n`);
}

export function writeToken(tokenFile: string, { incarnation, epoch, site }: Token): void {
  const quoted = (text: string | number): string => `'${String(text).replaceAll("'", "''")}'`;
  replaceFile(
    tokenFile,
    `holdfast.incarnation = ${quoted(incarnation)}\nholdfast.epoch = ${quoted(epoch)}\nholdfast.site = ${quoted(site)}\n`,
    0o644,
  );
}

export function removeToken(tokenFile: string): void {
  rmSync(tokenFile, { force: true });
}
