// Snapshot records <-> JSON values. See README.md, "Snapshots". Fields that are not known are ignored, unlike those of registers: nobody
// writes a snapshot again, so none can be lost.

import { Fault } from '../base/faults.ts';
import { REFERENCE_BYTES } from '../model/reference.ts';
import type { Snapshot, SnapshotRoot, SnapshotStatistics, SourceType, VolumeStat } from '../model/snapshot.ts';
import { isMoment, mustDecode } from './closed-record.ts';
import type { JsonLimits } from './json.ts';

const SNAPSHOT_VERSION = 1;
const SESSION = /^[0-9a-f]{20}$/;
/** Of its JSON. */
export const SNAPSHOT_LIMITS: JsonLimits = { bytesMax: 16 * 1024 * 1024, itemsMax: 500_000 };

const ROOT_OF_TYPE = { files: 'entries', volume: 'units', stream: 'chunks' } as const;
const STATISTICS = [
  'files',
  'directories',
  'others',
  'bytesScanned',
  'bytesRead',
  'bytesNew',
  'bytesStored',
  'filesUnchanged',
  'chunks',
  'chunksNew',
  'durationMs',
] as const satisfies readonly (keyof SnapshotStatistics)[];

/** Refuses what nobody could read again: a bug then. Counts and times that are larger than a number can say become the largest. */
export function encodeSnapshot(snapshot: Snapshot): unknown {
  const { root, parent, statistics, volume, ...rest } = snapshot;
  const capped = (n: number): number => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(n, Number.MAX_SAFE_INTEGER));
  const value = {
    version: SNAPSHOT_VERSION,
    ...rest,
    ...(parent === undefined ? {} : { parent }),
    ...(volume === undefined
      ? {}
      : { volume: { ...volume, mtimeSec: capped(volume.mtimeSec), ctimeSec: capped(volume.ctimeSec) } }),
    root: { ...root, contentBytes: capped(root.contentBytes), reference: Buffer.from(root.reference).toString('base64') },
    statistics: Object.fromEntries(STATISTICS.map((name) => [name, capped(statistics[name])])),
  };
  mustDecode(() => decodeSnapshot(value, 'A snapshot'));
  return value;
}

export function decodeSnapshot(value: unknown, what: string): Snapshot {
  const check = (condition: boolean, why: string): void => {
    if (!condition) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: ${why}`);
  };
  const record = (candidate: unknown, name: string): Record<string, unknown> => {
    check(typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate), `"${name}" is not a record`);
    return candidate as Record<string, unknown>;
  };
  const s = record(value, 'snapshot');
  if (Number.isSafeInteger(s['version']) && (s['version'] as number) > SNAPSHOT_VERSION)
    throw new Fault('FORMAT_TOO_NEW', `${what} was made by a newer Holdfast`);
  check(s['version'] === SNAPSHOT_VERSION, 'unknown version');
  const text = (from: Record<string, unknown>, name: string): string => {
    check(typeof from[name] === 'string', `"${name}" is missing`);
    return from[name] as string;
  };
  const moment = (name: string): string => {
    check(isMoment(s[name]), `"${name}" is not a moment`);
    return s[name] as string;
  };
  const session = (name: string): string => {
    check(SESSION.test(text(s, name)), `"${name}" is not a session`);
    return s[name] as string;
  };
  const count = (from: Record<string, unknown>, name: string): number => {
    check(Number.isSafeInteger(from[name]) && (from[name] as number) >= 0, `"${name}" is missing`);
    return from[name] as number;
  };
  const texts = (name: string): string[] => {
    check(
      Array.isArray(s[name]) && (s[name] as unknown[]).every((item) => typeof item === 'string'),
      `"${name}" is not a list of texts`,
    );
    return s[name] as string[];
  };
  const type = text(s, 'type') as SourceType;
  check(['files', 'volume', 'stream'].includes(type), 'unknown type');
  const r = record(s['root'], 'root');
  const kind = text(r, 'kind') as SnapshotRoot['kind'];
  check(['entries', 'units', 'chunks'].includes(kind), 'unknown kind of map');
  const reference = new Uint8Array(Buffer.from(text(r, 'reference'), 'base64'));
  check(reference.length === 0 || reference.length === REFERENCE_BYTES, 'its root is no reference');
  check(kind === ROOT_OF_TYPE[type], 'its map is of another kind than its source');
  const statistics = record(s['statistics'], 'statistics');
  const volume = s['volume'] === undefined ? undefined : record(s['volume'], 'volume');
  const facts = s['facts'] === undefined ? undefined : record(s['facts'], 'facts');
  check(
    Object.values(facts ?? {}).every((fact) => typeof fact === 'string'),
    'a fact is no text',
  );
  return {
    id: session('id'),
    asset: text(s, 'asset'),
    type,
    host: text(s, 'host'),
    user: text(s, 'user'),
    paths: texts('paths'),
    tags: texts('tags'),
    startedAt: moment('startedAt'),
    endedAt: moment('endedAt'),
    parent: s['parent'] === undefined ? undefined : session('parent'),
    root: { kind, reference, contentBytes: count(r, 'contentBytes'), entries: count(r, 'entries') },
    statistics: Object.fromEntries(STATISTICS.map((name) => [name, count(statistics, name)])) as SnapshotStatistics,
    problems: count(s, 'problems'),
    ...(volume === undefined ? {} : { volume: decodeVolume(volume) }),
    ...(facts === undefined ? {} : { facts: facts as Record<string, string> }),
    program: text(s, 'program'),
  };

  function decodeVolume(v: Record<string, unknown>): VolumeStat {
    const integer = (name: string): number => {
      check(Number.isSafeInteger(v[name]), `"${name}" is missing`);
      return v[name] as number;
    };
    return {
      mtimeSec: integer('mtimeSec'),
      mtimeNsec: integer('mtimeNsec'),
      ctimeSec: integer('ctimeSec'),
      ctimeNsec: integer('ctimeNsec'),
      inode: text(v, 'inode'),
    };
  }
}
