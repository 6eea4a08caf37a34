// The value of the register `head`: who writes, which snapshots exist, which index objects are live, which packs are condemned. See
// README.md, "Registers"; how it changes is src/repository/README.md.

import { ClosedRecord, mustDecode } from './closed-record.ts';
import type { JsonLimits } from './json.ts';

/** Of the JSON of a register; a head with 200,000 snapshots has 16 MB. */
export const REGISTER_LIMITS: JsonLimits = { bytesMax: 64 * 1024 * 1024, itemsMax: 4_000_000 };

export const SESSION_DIGITS = 20;
export const ASSET_DIGITS = 32;
export const OBJECT_DIGITS = 64;
export const NONCE_DIGITS = 32;

// What a reader accepts. Those who add things stop earlier (src/repository/head-changes.ts), so that nobody writes what cannot be read.
export const SNAPSHOTS_MAX = 200_000;
export const WRITERS_MAX = 10_000;
export const INDEXES_MAX = 100_000;
export const CONDEMNED_MAX = 1_000;
export const PINS_MAX = 10_000;
export const RETIRED_MAX = 200_000;
export const HOST_LENGTH_MAX = 255;

export type WriterKind = 'backup' | 'maintenance';

/** Which process on which machine: what tells that it is dead for certain. */
export type ProcessFacts = {
  readonly host: string;
  readonly processId: number;
  /** Changes with every boot of the host, and with every start of a container: where numbers of processes begin anew. */
  readonly bootId: string;
};

export type Writer = ProcessFacts & {
  /** 20 hex digits. */
  readonly session: string;
  /** A backup ends as a snapshot, or not at all. Maintenance (prune, repair) re-uses nothing and has no register of its own. */
  readonly kind: WriterKind;
  /** Of the head when it began. */
  readonly generation: number;
  /** How many changes of the head this session has made since it began: what makes a repeated request harmless. */
  readonly step: number;
  /** 32 hex digits; null for maintenance. */
  readonly assetId: string | null;
  readonly startedAt: string;
  /** When it last changed the head. */
  readonly seenAt: string;
};

export type RegisteredSnapshot = { readonly session: string; readonly assetId: string };

export type IndexRef = {
  /** 64 hex digits. */
  readonly id: string;
  readonly bytes: number;
  readonly packs: number;
};

/** One condemnation: packs that left the index, and what must happen before they are deleted. */
export type Condemned = {
  /** That it began; its name. */
  readonly generation: number;
  /** The object `condemned/<id>`, 64 hex digits; null when only index objects were exchanged. */
  readonly id: string | null;
  readonly packs: number;
  /** Index objects that left the live index with it. They stay readable until the sweep: sessions in `awaits` may need them. */
  readonly indexes: readonly IndexRef[];
  /** Backups that ran when it began and are not settled. None: nobody can need these packs any more, sweep. */
  readonly awaits: readonly string[];
};

/** A reader that holds on to a snapshot. */
export type Pin = ProcessFacts & {
  /** 20 hex digits. */
  readonly holder: string;
  readonly session: string;
  readonly at: string;
};

export type Head = {
  /** Goes up with every change. */
  readonly sequence: number;
  /** Goes up when packs leave the index, or come back to it: plans made from an older generation are void. */
  readonly generation: number;
  readonly writers: readonly Writer[];
  readonly snapshots: readonly RegisteredSnapshot[];
  readonly indexes: readonly IndexRef[];
  readonly condemned: readonly Condemned[];
  readonly pins: readonly Pin[];
  /** Sessions that are over and whose register may still be there. */
  readonly retired: readonly string[];
};

export const EMPTY_HEAD: Head = {
  sequence: 0,
  generation: 0,
  writers: [],
  snapshots: [],
  indexes: [],
  condemned: [],
  pins: [],
  retired: [],
};

/** Refuses what nobody could read again: a bug then. */
export function encodeHead(head: Head, nonce: string): unknown {
  const value = { ...head, nonce };
  mustDecode(() => decodeHead(value));
  return value;
}

/** FORMAT_DAMAGED when it is not exactly a head. */
export function decodeHead(value: unknown): Head {
  const r = new ClosedRecord(value, 'The register "head"');
  const head: Head = {
    sequence: r.count('sequence'),
    generation: r.count('generation'),
    writers: r.records('writers', WRITERS_MAX, decodeWriter),
    snapshots: r.records('snapshots', SNAPSHOTS_MAX, (s) => ({
      session: s.hex('session', SESSION_DIGITS),
      assetId: s.hex('assetId', ASSET_DIGITS),
    })),
    indexes: r.records('indexes', INDEXES_MAX, decodeIndexRef),
    condemned: r.records('condemned', CONDEMNED_MAX, decodeCondemned),
    pins: r.records('pins', PINS_MAX, decodePin),
    retired: r.hexes('retired', RETIRED_MAX, SESSION_DIGITS),
  };
  r.hex('nonce', NONCE_DIGITS);
  r.end();
  checkOnce(r, head);
  return head;
}

export function decodeIndexRef(r: ClosedRecord): IndexRef {
  return { id: r.hex('id', OBJECT_DIGITS), bytes: r.count('bytes'), packs: r.count('packs') };
}

function decodeWriter(r: ClosedRecord): Writer {
  const kind = r.oneOf('kind', ['backup', 'maintenance']);
  const writer: Writer = {
    session: r.hex('session', SESSION_DIGITS),
    kind,
    generation: r.count('generation'),
    step: r.count('step'),
    assetId: r.hexOrNull('assetId', ASSET_DIGITS),
    startedAt: r.moment('startedAt'),
    seenAt: r.moment('seenAt'),
    ...decodeProcess(r),
  };
  r.check((kind === 'backup') === (writer.assetId !== null), 'a backup has an asset, maintenance has none');
  return writer;
}

function decodeCondemned(r: ClosedRecord): Condemned {
  const condemned: Condemned = {
    generation: r.count('generation'),
    id: r.hexOrNull('id', OBJECT_DIGITS),
    packs: r.count('packs'),
    indexes: r.records('indexes', INDEXES_MAX, decodeIndexRef),
    awaits: r.hexes('awaits', WRITERS_MAX, SESSION_DIGITS),
  };
  r.check((condemned.id === null) === (condemned.packs === 0), 'condemned packs stand in a list, and a list holds packs');
  return condemned;
}

function decodePin(r: ClosedRecord): Pin {
  return {
    holder: r.hex('holder', SESSION_DIGITS),
    session: r.hex('session', SESSION_DIGITS),
    at: r.moment('at'),
    ...decodeProcess(r),
  };
}

function decodeProcess(r: ClosedRecord): ProcessFacts {
  return { host: r.text('host', HOST_LENGTH_MAX), processId: r.count('processId'), bootId: r.text('bootId', HOST_LENGTH_MAX) };
}

// A session is in one place only, an index object is live or condemned and not both, a condemnation has a generation of its own.
function checkOnce(r: ClosedRecord, { generation, writers, snapshots, indexes, condemned, retired }: Head): void {
  const sessions = new Set<string>(retired);
  for (const { session } of writers) sessions.add(session);
  for (const { session } of snapshots) sessions.add(session);
  r.check(sessions.size === retired.length + writers.length + snapshots.length, 'a session is in it twice');
  const objects = new Set<string>();
  let count = 0;
  for (const list of [indexes, ...condemned.map((entry) => entry.indexes)]) {
    for (const { id } of list) objects.add(id);
    count += list.length;
  }
  r.check(objects.size === count, 'an index object is in it twice');
  r.check(new Set(condemned.map((entry) => entry.generation)).size === condemned.length, 'two condemnations have one generation');
  r.check(
    condemned.every((entry) => entry.generation <= generation),
    'a condemnation is newer than the head',
  );
}
