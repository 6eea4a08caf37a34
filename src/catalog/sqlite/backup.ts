// A consistent copy of the whole catalogue as one file, by SQLite's online backup.
//
// The copying connection holds one read transaction for all of it: it copies the state of one moment however long it takes and however much
// others write (without it, every write of another connection would make the backup begin again). The copy gets its name when it is whole, sound and on
// disk.

import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { Fault } from '../../base/faults.ts';
import { Connection } from './connection.ts';
import { sqliteFault } from './sqlite-fault.ts';

/** Copied between two turns of the event loop. */
const PAGES_AT_ONCE = 256;

export async function backUpCatalog(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const partial = `${to}.partial`;
  await rm(partial, { force: true });
  // Made before, because SQLite would make it readable for others.
  await (await open(partial, 'wx', 0o600)).close();
  try {
    await copy(from, partial, signal);
    await flush(partial);
    await rename(partial, to);
    await flush(dirname(to));
  } catch (error) {
    await rm(partial, { force: true });
    throw sqliteFault(error);
  }
}

async function copy(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
  const source = new Connection(from, 'read');
  try {
    source.sql('BEGIN').run();
    source.sql('SELECT count(*) FROM sqlite_schema').get();
    await source.database.backup(to, {
      progress: () => {
        signal?.throwIfAborted();
        return PAGES_AT_ONCE;
      },
    });
  } finally {
    source.close();
  }
  const target = new Database(to, { fileMustExist: true });
  try {
    // One file, without a log beside it.
    target.pragma('journal_mode = DELETE');
    // Pages are copied as they are: backups of a damaged one would come to stand in the place of those that are good.
    const found = target.pragma('integrity_check(1)', { simple: true });
    if (found !== 'ok') throw new Fault('CATALOG_DAMAGED', `The catalogue "${from}" is damaged: ${found}`);
  } finally {
    target.close();
  }
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
