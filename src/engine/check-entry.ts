// In what an entry of a file system differs from one of a snapshot, its content apart.

import { kindOfMode } from '../files/kind-of-mode.ts';
import type { FileStat } from '../files/posix.ts';
import type { StoredEntry } from '../model/stored-entry.ts';

/** Names of what differs. `isReported`: that its owner, mode or time could not be set is known already. */
export function differencesOfStat(entry: StoredEntry, stat: FileStat, linkTarget: string, isReported: boolean): string[] {
  const kind = kindOfMode(stat.mode);
  if (kind !== entry.kind) return [`it is a ${kind ?? 'thing of unknown kind'}`];
  const differs: string[] = [];
  if (kind === 'file' && stat.sizeBytes !== entry.sizeBytes) differs.push(`${stat.sizeBytes} bytes instead of ${entry.sizeBytes}`);
  if (kind === 'symlink' && linkTarget !== entry.linkTarget) differs.push('its target');
  if (isReported) return differs;
  if (kind !== 'symlink' && (stat.mode & 0o7777) !== entry.mode) differs.push('mode');
  if (stat.uid !== entry.uid || stat.gid !== entry.gid) differs.push('owner');
  if (stat.mtimeSec !== entry.mtimeSec || stat.mtimeNsec !== entry.mtimeNsec) differs.push('time of modification');
  const isDevice = kind === 'character-device' || kind === 'block-device';
  if (isDevice && (stat.rdevMajor !== entry.rdevMajor || stat.rdevMinor !== entry.rdevMinor)) differs.push('device number');
  return differs;
}
