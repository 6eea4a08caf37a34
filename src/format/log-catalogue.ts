// The value of a register `logs/<asset id>`: which pieces of an asset's log there are. See README.md, "Logs".

import { ClosedRecord, mustDecode } from './closed-record.ts';
import { NONCE_DIGITS, SESSION_DIGITS } from './head.ts';

export const INCARNATION_DIGITS = 16;
const EPOCHS_MAX = 200_000;
const HISTORIES_MAX = 10_000;
const GAPS_MAX = 100_000;
const ANCESTORS_MAX = 10_000;
const TEXT_MAX = 4096;
const HISTORY_LENGTH_MAX = 1024 * 1024;
const LOST_MAX = 100_000;
const CLOCK_STEPS_MAX = 100_000;
const OBJECT_NAME_MAX = 64;

/** One contiguous piece of log, written by one run of one capture. Its end is what is stored of it. */
export type LogEpoch = {
  /** 20 hex: its session key is that of a session of this name. */
  readonly epoch: string;
  /** 16 hex: the cluster, e.g. PostgreSQL's system identifier. */
  readonly incarnation: string;
  readonly timeline: number;
  /** Position of its first byte. */
  readonly from: number;
  /** RFC 3339. */
  readonly at: string;
  readonly host: string;
  /** Sections before this position were let go, and may be gone: a multiple of a section's length. Absent: none. */
  readonly trimmed?: number;
  /** Objects that are damaged or gone. Absent: none. */
  readonly lost?: readonly LostLog[];
};

/** An object that can no longer be read. */
export type LostLog = {
  /** The last part of its name. It says nothing of the section that is stored later in a lost range's place. */
  readonly object: string;
  readonly from: number;
  readonly to: number;
  readonly at: string;
  readonly cause: string;
};

/** An epoch that nobody needs any more, and whose objects may still be there. */
export type RetiredEpoch = Pick<LogEpoch, 'epoch' | 'incarnation' | 'timeline'>;

/** Where a timeline comes from. */
export type LogHistory = {
  readonly incarnation: string;
  readonly timeline: number;
  /** Oldest first: each ends at `until`, where the next begins; the last one's end is where `timeline` begins. */
  readonly ancestors: readonly { readonly timeline: number; readonly until: number }[];
  /** The database's own file, base64. */
  readonly file: string;
};

/** Log that no way leads over: known to be lost, or stored and not fit to be replayed. */
export type LogGap = {
  readonly incarnation: string;
  readonly timeline: number;
  readonly from: number;
  readonly to: number;
  readonly at: string;
  readonly cause: string;
  /** Absent: it is lost, and counts only as long as nobody else has stored it. */
  readonly isStored?: true;
};

/** The database's clock was set back: the mark at `position` is the first after it. */
export type LogClockStep = {
  readonly incarnation: string;
  readonly timeline: number;
  readonly position: number;
  /** The latest time since the step before, and that of the mark. Unix microseconds. */
  readonly before: number;
  readonly after: number;
};

export type LogCatalogue = {
  readonly epochs: readonly LogEpoch[];
  readonly histories: readonly LogHistory[];
  readonly gaps: readonly LogGap[];
  /** Absent: none. */
  readonly clockSteps?: readonly LogClockStep[];
  /** Absent: none. */
  readonly retired?: readonly RetiredEpoch[];
};

export const EMPTY_LOG_CATALOGUE: LogCatalogue = { epochs: [], histories: [], gaps: [] };

/** Refuses what nobody could read again: a bug then. */
export function encodeLogCatalogue(catalogue: LogCatalogue, nonce: string): unknown {
  const value = { ...catalogue, nonce };
  mustDecode(() => decodeLogCatalogue(value));
  return value;
}

/** FORMAT_DAMAGED when it is not exactly such a value. */
export function decodeLogCatalogue(value: unknown): LogCatalogue {
  const r = new ClosedRecord(value, 'The catalogue of a log');
  const catalogue: LogCatalogue = {
    epochs: r.records('epochs', EPOCHS_MAX, (e) => ({
      epoch: e.hex('epoch', SESSION_DIGITS),
      incarnation: e.hex('incarnation', INCARNATION_DIGITS),
      timeline: e.count('timeline', 0xffff_ffff),
      from: e.count('from'),
      at: e.moment('at'),
      host: e.text('host', TEXT_MAX),
      ...(e.has('trimmed') ? { trimmed: e.count('trimmed') } : {}),
      ...(e.has('lost') ? { lost: e.records('lost', LOST_MAX, decodeLost) } : {}),
    })),
    histories: r.records('histories', HISTORIES_MAX, (h) => ({
      incarnation: h.hex('incarnation', INCARNATION_DIGITS),
      timeline: h.count('timeline', 0xffff_ffff),
      ancestors: h.records('ancestors', ANCESTORS_MAX, (a) => ({
        timeline: a.count('timeline', 0xffff_ffff),
        until: a.count('until'),
      })),
      file: h.text('file', HISTORY_LENGTH_MAX),
    })),
    gaps: r.records('gaps', GAPS_MAX, (g) => ({
      incarnation: g.hex('incarnation', INCARNATION_DIGITS),
      timeline: g.count('timeline', 0xffff_ffff),
      from: g.count('from'),
      to: g.count('to'),
      at: g.moment('at'),
      cause: g.text('cause', TEXT_MAX),
      ...(g.has('isStored') ? { isStored: mustBeTrue(g, 'isStored') } : {}),
    })),
    ...(r.has('clockSteps')
      ? {
          clockSteps: r.records('clockSteps', CLOCK_STEPS_MAX, (s) => ({
            incarnation: s.hex('incarnation', INCARNATION_DIGITS),
            timeline: s.count('timeline', 0xffff_ffff),
            position: s.count('position'),
            before: s.count('before'),
            after: s.count('after'),
          })),
        }
      : {}),
    ...(r.has('retired')
      ? {
          retired: r.records('retired', EPOCHS_MAX, (e) => ({
            epoch: e.hex('epoch', SESSION_DIGITS),
            incarnation: e.hex('incarnation', INCARNATION_DIGITS),
            timeline: e.count('timeline', 0xffff_ffff),
          })),
        }
      : {}),
  };
  r.hex('nonce', NONCE_DIGITS);
  r.end();
  return catalogue;
}

function mustBeTrue(r: ClosedRecord, name: string): true {
  r.check(r.any(name) === true, `${name} is not true`);
  return true;
}

function decodeLost(l: ClosedRecord): LostLog {
  return {
    object: l.text('object', OBJECT_NAME_MAX),
    from: l.count('from'),
    to: l.count('to'),
    at: l.moment('at'),
    cause: l.text('cause', TEXT_MAX),
  };
}
