// A restore that somebody asked for: to a place on this host that its agent allows.

import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { findEntry } from '../../src/engine/entries-reader.ts';
import { displayPath, faultOfPath, nameOfPath, pathFromText } from '../../src/model/entry-path.ts';
import { RestoreOrder } from '../../src/model/restore-order.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import type { RemoteReader } from '../../src/remote/remote-reader.ts';
import { checkPlace, makeRestoreDirectory } from './restore-place.ts';
import { type RestorePlace, RestoreWork } from './restore-work.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';

const OCCUPIED_HINT = 'Choose another target, or restore with "delta", which overwrites what differs.';

export async function restoreRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings } = context;
  if (claimed.asset?.source.kind === 'postgres')
    return 'extract' in claimed.run.parameters
      ? (await import('./cluster-extract-run.ts')).clusterExtractRun(context)
      : (await import('./cluster-restore-run.ts')).clusterRestoreRun(context);
  const order = readMessage(RestoreOrder, { ...claimed.run.parameters }, 'The order of the restore');
  // Before anything is asked for or read.
  checkPlace(order.target, settings.allowRestore);
  const startedMs = performance.now();
  const work = await RestoreWork.open(context);
  try {
    const place = await placeOf(order, work.reader, settings.allowRestore);
    await work.restore(place);
    if (order.verify === true) await work.check(place);
    const result = { ...work.describe(), target: order.target, durationMs: Math.round(performance.now() - startedMs) };
    const checked = order.verify === true ? { differing: work.differing } : {};
    if (work.damaged > 0 || work.differing > 0) {
      const code = work.damaged > 0 ? 'FORMAT_DAMAGED' : 'RESTORE_TEST_DIFFERS';
      const { message, hint } = new Fault(
        code,
        `${work.damaged} entries are damaged or lost, ${work.differing} differ from the snapshot`,
      );
      return { state: 'failed', result: { ...result, ...checked }, fault: { code, message, hint } };
    }
    return { state: work.problems === 0 ? 'succeeded' : 'warned', result: { ...result, ...checked } };
  } finally {
    await work.close();
  }
}

/** TARGET_OCCUPIED, AGENT_RESTORE_DENIED, SNAPSHOT_PATH_NOT_FOUND. */
async function placeOf(order: RestoreOrder, reader: RemoteReader, allowed: readonly string[]): Promise<RestorePlace> {
  const { delta = false, target } = order;
  if (reader.snapshot.type !== 'files') return contentPlace(target, delta, reader, allowed);
  const below = await belowOf(order, reader);
  const entry = await findEntry(reader.snapshot.root.reference, reader.readNode, below);
  const directory = makeRestoreDirectory(target, allowed);
  if (entry === undefined || entry.kind === 'directory') {
    if (!delta && readdirSync(directory).length > 0) throw occupied(`The directory "${target}" is not empty`);
    return { kind: 'tree', directory: pathFromText(directory), below, delta };
  }
  const rootName = below === '' ? sourceName(reader) : nameOfPath(below);
  if (!delta && look(join(directory, Buffer.from(rootName, 'latin1').toString('utf8'))) !== undefined)
    throw occupied(`There is something of the name "${displayPath(rootName)}" in "${target}" already`);
  return { kind: 'tree', directory: pathFromText(directory), below, rootName, delta };
}

/** A volume goes to a file that is not there yet, into a directory, or (with delta) onto what is there. */
function contentPlace(target: string, delta: boolean, reader: RemoteReader, allowed: readonly string[]): RestorePlace {
  const there = look(target);
  const isInto = target.endsWith('/') || there?.isDirectory() === true;
  const directory = makeRestoreDirectory(isInto ? target : dirname(target), allowed);
  const name = isInto ? Buffer.from(sourceName(reader), 'latin1').toString('utf8') : basename(target);
  const path = join(directory, name);
  const stat = look(path);
  // A link would lead out of what is allowed.
  if (stat?.isSymbolicLink() === true) throw occupied(`There is a symlink at "${path}"`);
  if (stat !== undefined && !delta) throw occupied(`There is something at "${path}" already`);
  return { kind: 'content', path: pathFromText(path), delta: stat !== undefined };
}

/** The path in the snapshot that a person named: as "ls" shows it, or absolute as it was on the source. */
async function belowOf({ path }: RestoreOrder, { snapshot, readNode }: RemoteReader): Promise<string> {
  if (path === undefined) return '';
  const typed = pathFromText(path)
    .replace(/\/{2,}/g, '/')
    .replace(/(?<=.)\/$/, '');
  const roots = snapshot.paths.map((root) => root.replace(/\/$/, ''));
  if (roots.length === 1 && typed === roots[0]) return '';
  const relative = typed.replace(/^\//, '');
  const inRoot = roots.length === 1 && typed.startsWith(`${roots[0]}/`) ? [typed.slice(roots[0]!.length + 1)] : [];
  for (const candidate of [...inRoot, relative]) {
    if (faultOfPath(candidate) !== undefined) continue;
    if ((await findEntry(snapshot.root.reference, readNode, candidate)) !== undefined) return candidate;
  }
  throw new Fault('SNAPSHOT_PATH_NOT_FOUND', `There is no "${displayPath(typed)}" in the snapshot ${snapshot.id}`);
}

function sourceName({ snapshot: { paths, asset } }: RemoteReader): string {
  const name = nameOfPath((paths[0] ?? '').replace(/\/+$/, ''));
  return name === '' ? asset.replace(/[^\w.-]+/g, '_') : name;
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new Fault('TARGET_DENIED', `Cannot look at "${path}": ${code}`, { cause: error });
  }
}

function occupied(message: string): Fault {
  return new Fault('TARGET_OCCUPIED', message, { hint: OCCUPIED_HINT });
}
