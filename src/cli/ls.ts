// Lists what a snapshot holds.

import { entriesOf } from '../engine/entries-reader.ts';
import type { EntryKind } from '../model/entry.ts';
import { displayPath, isWithinPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import { withRepository } from './open.ts';
import { usage } from './option.ts';
import { pathFields, pathText } from './paths.ts';
import { selectSnapshot } from './select.ts';
import { entryOfArgument, sourceName } from './snapshot-path.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export function ls(invocation: Invocation): Promise<number> {
  const { args, options, output, signal } = invocation;
  return withRepository(invocation, async (repository) => {
    const snapshot = await selectSnapshot(repository, args[0]!, invocation);
    if (snapshot.type !== 'files') return listContent(invocation, snapshot);
    await repository.openIndex({ signal });
    const { readNode } = repository;
    const top = await entryOfArgument(snapshot, args[1], readNode);
    const below = top?.path ?? '';
    let entries = 0;
    let bytes = 0;
    for await (const entry of entriesOf(snapshot.root.reference, readNode, below)) {
      if (options.flag('flat') && !isDirectlyIn(entry.path, below)) continue;
      entries++;
      bytes += entry.sizeBytes;
      if (output.isJson) output.record('entry', entryFields(entry));
      else output.line(options.flag('long') ? longLine(entry) : displayPath(entry.path === '' ? '.' : entry.path));
      signal.throwIfAborted();
      if (output.isClosed) break;
    }
    output.summary('ls', { snapshot: snapshot.id, entries, bytes });
    return 0;
  });
}

/** A volume or a stream is one thing. */
function listContent({ args, output }: Invocation, snapshot: Snapshot): number {
  if (args[1] !== undefined) throw usage(`The snapshot ${snapshot.id} is of a ${snapshot.type} and holds no paths`);
  const bytes = snapshot.root.contentBytes;
  if (output.isJson) output.record('entry', { ...pathFields(sourceName(snapshot)), type: snapshot.type, size: bytes });
  else output.line(`${String(bytes).padStart(14)}  ${displayPath(sourceName(snapshot))}`);
  output.summary('ls', { snapshot: snapshot.id, entries: 1, bytes });
  return 0;
}

function isDirectlyIn(path: string, directory: string): boolean {
  if (path === directory) return true;
  return isWithinPath(path, directory) && !path.slice(directory === '' ? 0 : directory.length + 1).includes('/');
}

export function entryFields(entry: StoredEntry): Readonly<Record<string, unknown>> {
  const { path, kind, mode, uid, gid, sizeBytes, mtimeSec, mtimeNsec, linkTarget, hardLinkTo, rdevMajor, rdevMinor, xattrs } =
    entry;
  return {
    ...pathFields(path),
    type: kind,
    mode: mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    size: sizeBytes,
    mtime: timeText(mtimeSec, mtimeNsec),
    ...(kind === 'symlink' ? { linkTarget: pathText(linkTarget) } : {}),
    ...(hardLinkTo === '' ? {} : { hardLinkTo: pathText(hardLinkTo) }),
    ...(kind === 'character-device' || kind === 'block-device' ? { device: `${rdevMajor}:${rdevMinor}` } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs: xattrs.map(({ name }) => pathText(name)) }),
  };
}

/** RFC 3339 with nanoseconds; the seconds as a number where no calendar reaches. */
function timeText(seconds: number, nanoseconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  return date.toISOString().replace(/\.\d{3}Z$/, `.${String(nanoseconds).padStart(9, '0')}Z`);
}

export function longLine(entry: StoredEntry): string {
  const { path, kind, mode, uid, gid, sizeBytes, mtimeSec, linkTarget, hardLinkTo, rdevMajor, rdevMinor } = entry;
  const isDevice = kind === 'character-device' || kind === 'block-device';
  const size = isDevice ? `${rdevMajor}, ${rdevMinor}` : String(sizeBytes);
  const date = new Date(mtimeSec * 1000);
  const time = Number.isNaN(date.getTime()) ? String(mtimeSec) : formatTime(date);
  const arrow = kind === 'symlink' ? ` -> ${displayPath(linkTarget)}` : hardLinkTo === '' ? '' : ` = ${displayPath(hardLinkTo)}`;
  return `${modeText(kind, mode)} ${String(uid).padStart(6)} ${String(gid).padStart(6)} ${size.padStart(13)} ${time} ${displayPath(path === '' ? '.' : path)}${arrow}`;
}

const KIND_LETTERS: Readonly<Record<EntryKind, string>> = {
  directory: 'd',
  file: '-',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'character-device': 'c',
  'block-device': 'b',
};

/** "drwxr-sr-t" */
export function modeText(kind: EntryKind, mode: number): string {
  let text = KIND_LETTERS[kind];
  for (const [shift, special, letter] of [
    [6, 0o4000, 's'],
    [3, 0o2000, 's'],
    [0, 0o1000, 't'],
  ] as const) {
    const bits = (mode >> shift) & 7;
    const executes = (bits & 1) !== 0;
    text += (bits & 4) !== 0 ? 'r' : '-';
    text += (bits & 2) !== 0 ? 'w' : '-';
    text += (mode & special) !== 0 ? (executes ? letter : letter.toUpperCase()) : executes ? 'x' : '-';
  }
  return text;
}
