// The files of a base backup, in their places. Over an old directory, what it has already is compared and kept, and what the backup does not
// have is removed: a log file or a relation of another history must never be found by the recovery. pg_control comes last; see
// data-directory.ts.

import {
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import { entriesOf, findEntry } from '../../src/engine/entries-reader.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import type { RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreTree, type TreeRestore } from '../../src/engine/restore-tree.ts';
import { FileStat } from '../../src/files/posix.ts';
import { TargetTree } from '../../src/files/target-tree.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { CONFIGURATION_DIRECTORY, DATA_DIRECTORY, TABLESPACES_DIRECTORY } from './base-entries.ts';
import { mustBeOfLog } from './base-of-log.ts';
import { type DataDirectory, MARK, mustLieApart } from './data-directory.ts';
import { serverOfTablespace } from './running-servers.ts';
import type { ServerFacts } from './server-facts.ts';

const GLOBAL = 'global';
const CONTROL = 'pg_control';

/** Where a base backup is read from: an opened repository, or one snapshot through the service. */
export type BaseReader = Pick<TreeRestore, 'readNode' | 'blocks' | 'keys'> & {
  readonly store: Repository['store'];
  readonly keyring: Pick<Repository['keyring'], 'payload'>;
  readonly parameters: { readonly paged: { readonly unitBytes: number } };
};

export type BaseRestore = {
  readonly reader: BaseReader;
  readonly snapshot: Snapshot;
  readonly directory: DataDirectory;
  /** By oid. */
  readonly tablespaces: Readonly<Record<string, string>>;
  readonly pool: ReadingPool;
  readonly progress: RestoreProgress;
};

/** One for all directories of a base: threads take longer to start than most of these to come. Whoever makes it closes it. */
export function poolOf({ store, keyring }: BaseReader, threads: number, signal: AbortSignal): ReadingPool {
  return new ReadingPool(store, threads, { idKey: keyring.payload.idKey, target: undefined }, signal);
}

/** All but pg_control. */
export async function restoreBase(restore: BaseRestore): Promise<void> {
  const { directory, tablespaces } = restore;
  const path = directory.path;
  const log = linkedLog(path);
  const isLog = (entry: string): boolean => log !== undefined && (entry === 'pg_wal' || entry.startsWith('pg_wal/'));
  if (directory.isOld) {
    const wanted = await kindsBelow(restore, DATA_DIRECTORY);
    removeOthers(path, (entry) => (entry === MARK || isLog(entry) ? 'any' : wanted.get(entry)));
    if (log !== undefined) for (const name of readdirSync(log)) rmSync(join(log, name), { recursive: true, force: true });
  }
  const isControl = (entry: string): boolean => entry === `${GLOBAL}/${CONTROL}`;
  await treeTo(restore, DATA_DIRECTORY, path, { skip: (entry) => isControl(entry) || isLog(entry) });
  const map = join(path, 'tablespace_map');
  if (existsSync(map)) renameSync(map, `${map}.old`);
  for (const [oid, target] of Object.entries(tablespaces)) await restoreTablespace(restore, oid, target);
  await restoreConfiguration(restore);
}

/** Configuration that lay elsewhere comes to lie beside, to be looked at: its own place may be that of another server. */
async function restoreConfiguration(restore: BaseRestore): Promise<void> {
  const { snapshot, reader, directory } = restore;
  const entry = await findEntry(snapshot.root.reference, reader.readNode, CONFIGURATION_DIRECTORY);
  if (entry === undefined) return;
  const target = configurationBeside(directory.path);
  const isNew = !existsSync(target);
  makeDirectory(target, { mode: 0o700 });
  await treeTo(restore, CONFIGURATION_DIRECTORY, target, { delta: !isNew });
}

export function configurationBeside(dataDirectory: string): string {
  return `${dataDirectory}-configuration`;
}

/** Takes it away again, and says LOG_FORKED, when the base is of another history than the log that is to be replayed over it. */
export async function restoreControl(restore: BaseRestore, view: LogView): Promise<void> {
  const target = join(restore.directory.path, GLOBAL);
  await treeTo(restore, `${DATA_DIRECTORY}/${GLOBAL}/${CONTROL}`, target, { delta: false });
  const facts = baseFactsOf(restore.snapshot);
  const { segmentBytes } = JSON.parse(facts.server) as ServerFacts;
  const path = join(target, CONTROL);
  try {
    const { id } = restore.snapshot;
    const hint = `"holdfast forget ${id.slice(0, 8)}" lets go of that base backup; then another one leads to the log.`;
    const base = { name: `The base backup ${id}`, hint, timeline: Number(facts.timeline), segmentBytes };
    await mustBeOfLog({ ...base, control: readFileSync(path) }, view);
  } catch (error) {
    rmSync(path);
    throw error;
  }
}

/** Where each goes: where it was asked to, where it lay before, or beside the data directory. TARGET_OCCUPIED and USAGE, before anything is
 *  changed. */
export function placeTablespaces(
  list: string,
  asked: Readonly<Record<string, string>>,
  directory: DataDirectory,
): Record<string, string> {
  const places: Record<string, string> = {};
  const known = JSON.parse(list) as { readonly oid: string; readonly location?: string }[];
  const stray = Object.keys(asked).find((oid) => !known.some((one) => one.oid === oid));
  if (stray !== undefined)
    throw new Fault('USAGE', `The base backup has no tablespace ${stray}`, {
      hint: `It has ${known.map(({ oid, location = '?' }) => `${oid} (from ${location})`).join(', ') || 'none'}.`,
    });
  for (const { oid } of known) {
    const before = directory.tablespaces[oid] ?? linkOf(join(directory.path, 'pg_tblspc', oid));
    const place = asked[oid] ?? before ?? join(`${directory.path}-tablespaces`, oid);
    const names = existsSync(place) ? readdirSync(place) : [];
    if (names.length > 0 && !directory.isOld) throw new Fault('TARGET_OCCUPIED', `"${place}" is not empty`);
    if (names.some((name) => !/^PG_\d/.test(name)))
      throw new Fault('TARGET_OCCUPIED', `"${place}" holds more than a tablespace: ${names.slice(0, 3).join(', ')}`);
    const running = serverOfTablespace(place);
    if (running !== undefined)
      throw new Fault('TARGET_OCCUPIED', `"${place}" is a tablespace of a server that runs (process ${running.pid})`, {
        hint: 'Say with --tablespace where the restored one goes.',
      });
    if (asked[oid] !== undefined) mustLieApart(place);
    places[oid] = place;
  }
  return places;
}

async function restoreTablespace(restore: BaseRestore, oid: string, target: string): Promise<void> {
  const { directory, snapshot, reader } = restore;
  const below = `${TABLESPACES_DIRECTORY}/${oid}`;
  const entry = await findEntry(snapshot.root.reference, reader.readNode, below);
  if (entry === undefined) throw new Fault('FORMAT_DAMAGED', `The base backup ${snapshot.id} does not hold the tablespace ${oid}`);
  const isNew = !existsSync(target);
  makeDirectory(target, { mode: 0o700 });
  if (directory.isOld) {
    const wanted = await kindsBelow(restore, below);
    // Another major version has a directory of its own beside ours.
    removeOthers(target, (path) => wanted.get(path) ?? (path.includes('/') ? undefined : 'any'));
  }
  await treeTo(restore, below, target, {});
  const link = join(directory.path, 'pg_tblspc', oid);
  rmSync(link, { force: true });
  symlinkSync(target, link);
  if (isNew && process.getuid?.() === 0) chownSync(dirname(target), entry.uid, entry.gid);
}

async function treeTo(
  restore: BaseRestore,
  below: string,
  target: string,
  { skip, delta = restore.directory.isOld }: { readonly skip?: (path: string) => boolean; readonly delta?: boolean },
): Promise<void> {
  const { reader, snapshot, pool, progress } = restore;
  const { parameters, readNode, blocks, keys } = reader;
  const problems: RestoreProblem[] = [];
  const latin1 = Buffer.from(target).toString('latin1');
  pool.turnTo(latin1);
  await restoreTree({
    root: snapshot.root.reference,
    below,
    target: latin1,
    delta,
    unitBytes: parameters.paged.unitBytes,
    readNode,
    blocks,
    keys,
    pool,
    progress,
    onProblem: (problem) => void problems.push(problem),
    ...(skip === undefined ? {} : { skip }),
  });
  const fatal = problems[0];
  if (fatal !== undefined)
    throw new Fault(
      'PG_RECOVERY_FAILED',
      `${problems.length} files of the base could not be restored, the first: ${fatal.path}: ${fatal.message}`,
    );
}

/** Paths relative to `below`. */
async function kindsBelow({ snapshot, reader }: BaseRestore, below: string): Promise<Map<string, string>> {
  const kinds = new Map<string, string>();
  for await (const { path, kind } of entriesOf(snapshot.root.reference, reader.readNode, below))
    if (path !== below) kinds.set(path.slice(below.length + 1), kind);
  return kinds;
}

/** Removes what is of another kind than wanted, or not wanted at all. 'any' stays as it is. Follows no link. */
function removeOthers(target: string, wantedAt: (path: string) => string | undefined): void {
  const tree = new TargetTree(Buffer.from(target).toString('latin1'));
  const stat = new FileStat();
  const removeAll = (path: string): void => {
    if (tree.look(path, stat) === 'directory') for (const name of tree.names(path)) removeAll(`${path}/${name}`);
    tree.remove(path);
  };
  const clear = (names: readonly string[], at: string): void => {
    for (const name of names) {
      const path = at === '' ? name : `${at}/${name}`;
      const wanted = wantedAt(path);
      if (wanted === 'any') continue;
      const kind = tree.look(path, stat);
      if (kind !== wanted) removeAll(path);
      else if (kind === 'directory') clear(tree.names(path), path);
    }
  };
  try {
    clear(readdirSync(target, { encoding: 'latin1' }), '');
  } finally {
    tree.close();
  }
}

/** Where the log lies, when that is another place than the data directory: it stays there. */
function linkedLog(dataDirectory: string): string | undefined {
  const path = join(dataDirectory, 'pg_wal');
  return linkOf(path) !== undefined && existsSync(path) ? realpathSync(path) : undefined;
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
