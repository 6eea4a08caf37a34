// What a running backup uploads, noted on the local disk: packs that no index names yet, should it die. The next backup on this host finds
// them without listing the store (adopt-orphans.ts).
//
// One file a session, appended to before each pack is stored: so a line may name a pack that is not there, but no stored pack lacks a line.
// Not synced: after a power cut some are uploaded again, no more. A line: pack id, id of its first block, kind.

import { closeSync, openSync, readdirSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';
import { decodeDirectory, type PackKind } from '../format/pack.ts';
import { hex } from '../repository/layout.ts';
import type { FinishedPack } from '../worker/pack-writer.ts';

const NAME = /^[0-9a-f]{20}$/;
const LINE = /^([0-9a-f]{64}) ([0-9a-f]{32}) (data|metadata)$/;

export type JournalledPack = { readonly id: string; readonly firstBlock: string; readonly kind: PackKind };

export class UploadJournal {
  readonly #directory: string;
  readonly #session: string;
  #fd: number | undefined;

  /** `cacheDirectory` of the repository, `session` in 20 hex digits. Nothing is made before the first pack. */
  constructor(cacheDirectory: string, session: string) {
    this.#directory = directoryOf(cacheDirectory);
    this.#session = session;
  }

  /** Before the pack is stored. A disk that cannot take it costs a resume, not the backup. */
  add({ packId, kind, directory }: Pick<FinishedPack, 'packId' | 'kind' | 'directory'>): void {
    const first = decodeDirectory(directory).blocks[0];
    if (first !== undefined) this.addLine({ id: hex(packId), firstBlock: hex(first.id), kind });
  }

  addLine({ id, firstBlock, kind }: JournalledPack): void {
    try {
      if (this.#fd === undefined) {
        makeDirectory(this.#directory, { mode: 0o700 });
        this.#fd = openSync(join(this.#directory, this.#session), 'a', 0o600);
      }
      writeSync(this.#fd, `${id} ${firstBlock} ${kind}\n`);
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Sessions that have left a journal here. */
export function journalledSessions(cacheDirectory: string): string[] {
  try {
    return readdirSync(directoryOf(cacheDirectory)).filter((name) => NAME.test(name));
  } catch {
    return [];
  }
}

/** Lines that were torn are left out. */
export function readJournal(cacheDirectory: string, session: string): JournalledPack[] {
  let text: string;
  try {
    text = readFileSync(join(directoryOf(cacheDirectory), session), 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const [, id, firstBlock, kind] = LINE.exec(line) ?? [];
    return id === undefined || firstBlock === undefined ? [] : [{ id, firstBlock, kind: kind as PackKind }];
  });
}

export function removeJournal(cacheDirectory: string, session: string): void {
  try {
    unlinkSync(join(directoryOf(cacheDirectory), session));
  } catch {
    // Somebody else has removed it, or there was none.
  }
}

const directoryOf = (cacheDirectory: string): string => join(cacheDirectory, 'journal');
