import type { EntryKind } from '../model/entry.ts';
import { TYPE, TYPE_MASK } from './posix-constants.ts';

const KINDS: ReadonlyMap<number, EntryKind> = new Map<number, EntryKind>([
  [TYPE.directory, 'directory'],
  [TYPE.file, 'file'],
  [TYPE.symlink, 'symlink'],
  [TYPE.fifo, 'fifo'],
  [TYPE.socket, 'socket'],
  [TYPE.characterDevice, 'character-device'],
  [TYPE.blockDevice, 'block-device'],
]);

/** By the type bits of a mode; undefined for a type that no Unix has. */
export function kindOfMode(mode: number): EntryKind | undefined {
  return KINDS.get(mode & TYPE_MASK);
}
