// What an orchestrator asks of one site about one database: the port between a failover and the site daemons (agents/site serves it, and has
// the client that speaks to another site).
//
// Every call may be made again, with the same words and the same outcome: whoever was killed asks anew. A call that has to wait (demote,
// catchUp, promoted, protect) waits until it is done or the signal ends it; what it began goes on at the site, and the same call joins it.
// A call that names a failover is refused (SITE_REFUSED) while another failover has a say over the same epoch, and once a later epoch has begun:
// whoever slept, or has kept what was signed long ago, changes nothing.
//
// Faults of every call: SITE_UNREACHABLE (no answer: it may have taken place), SITE_DENIED (the site does not trust who asks, or answers with
// another key), SITE_UNKNOWN_ASSET, SITE_REFUSED (it cannot be, and will not be by waiting: the message says what to do), and what the work
// itself throws (GATE_NOT_HOLDER, REGISTRY_UNREACHABLE, ...).

import type { LeaseTerms } from './lease-terms.ts';
import type { PromiseRequest } from './promotion-candidate.ts';
import type { Demotion, LogEnd, Member } from './writer-record.ts';

export type SiteCall = { readonly signal: AbortSignal };

/** An epoch, and the failover that ends or began it. */
export type EpochOfFailover = { readonly epoch: number; readonly failover: string };

export interface SiteControl {
  /** As plans name it. */
  readonly site: string;

  /** Never waits for a server or a store: what is not known by now is null. */
  status(asset: string, call: SiteCall): Promise<DatabaseStatus>;

  /** Planned, at the old primary: its server is stopped in order, its log stored in this site's repository to the very end, the shutdown
   *  checkpoint included, and the register told. Done only when all three are. */
  demote(asset: string, of: EpochOfFailover, call: SiteCall): Promise<Demoted>;

  /** From its answer on this site stores no more log of that epoch, nor copies any from another site. Ends no server. */
  revoke(asset: string, of: EpochOfFailover, call: SiteCall): Promise<void>;

  /** Says where the log of the epoch ends in this site's repository, once and for good: what arrives later is no part of it. Revokes first.
   *  `at`: waits until the log of this site reaches that place, and answers it: that of a demotion, or where another site has sealed. */
  seal(asset: string, of: EpochOfFailover & { readonly at?: LogEnd }, call: SiteCall): Promise<Sealed>;

  /** Undoes revoke and seal, before the grant only: the site stores and copies log again. */
  unseal(asset: string, of: EpochOfFailover, call: SiteCall): Promise<void>;

  /** Waits until the standby has replayed the log up to that place; SITE_REFUSED when a gap lies before it. */
  catchUp(asset: string, sealed: LogEnd, call: SiteCall): Promise<CaughtUp>;

  /** Newest heartbeat that is found in the recovered data of this site. Asked of the standby that has caught up. */
  loss(asset: string, call: SiteCall): Promise<RecoveredHeartbeat>;

  /** Waits until the gate has claimed the epoch, the server is read-write, this site's repository is its own (a replica is released), and the
   *  history of its new timeline and the first log on it are stored there. Only then may routes lead here. */
  promoted(asset: string, of: EpochOfFailover, call: SiteCall): Promise<Promoted>;

  /** A heartbeat row, committed by a normal connection. */
  writeTest(asset: string, call: SiteCall): Promise<WriteTested>;

  /** A sample: data pages read by checksum where the cluster has them, indexes by amcheck where it is installed. */
  verifyPages(asset: string, call: SiteCall): Promise<PagesVerified>;

  /** Waits until the log of that epoch is captured, and a base backup leads to it, or is being made. */
  protect(asset: string, of: EpochOfFailover, call: SiteCall): Promise<Protected>;

  /** At the old primary, after the grant: its divergent log and rows are exported, then it becomes a standby of the new epoch. `sealed`: where
   *  the epoch that it wrote was sealed. Waits until its standby runs. */
  rejoin(asset: string, of: EpochOfFailover & { readonly sealed: LogEnd }, call: SiteCall): Promise<Rejoined>;

  /** Of files and volumes, in the repository of their database: the recovery point with that name, waited for; null: the newest that is there. */
  point(asset: string, wish: { readonly snapshot: string | null }, call: SiteCall): Promise<PointOfFiles>;

  /** Backs files or a volume up as they are here now, into this site's own repository. */
  keep(asset: string, of: { readonly failover: string }, call: SiteCall): Promise<PointOfFiles>;

  /** Brings files or a volume here to a recovery point, before the grant. What is there and is not in it is set aside, never written over.
   *  SITE_REFUSED while their database is written here. */
  bring(asset: string, of: EpochOfFailover & { readonly snapshot: string | null }, call: SiteCall): Promise<FilesBrought>;

  /** Reads what lies here again, and compares it with a recovery point. */
  compare(asset: string, of: { readonly snapshot: string }, call: SiteCall): Promise<FilesCompared>;

  /** At the primary: that instance may be granted the right from now on; done when the register says so. */
  admit(asset: string, candidate: Member, call: SiteCall): Promise<void>;

  /** A candidate's promise, asked by the holder's gate. False: refused. */
  promise(asset: string, request: PromiseRequest, call: SiteCall): Promise<boolean>;
}

/** Instants are ISO 8601, wall clock of that site: for people and evidence, never for decisions. Lengths are milliseconds and bytes. */
export type DatabaseStatus = {
  readonly asset: string;
  readonly site: string;
  readonly incarnation: string;
  /** As the writer register names this instance. */
  readonly member: string;
  readonly at: string;
  readonly gate: GateStatus;
  readonly server: ServerStatus;
  /** Null: this site captures nothing now. */
  readonly capture: CaptureState | null;
  /** Where the log ends in this site's repository, own or replica; null: it has none, or it was not looked at yet. */
  readonly log: LogEnd | null;
  /** Null: the repository is this site's own. */
  readonly replica: ReplicaState | null;
  /** Null while it is the primary. */
  readonly standby: StandbyState | null;
  readonly sealed: Sealed | null;
  /** Newest base backup in this site's repository that leads to the end of its log. */
  readonly base: { readonly snapshot: string; readonly at: string } | null;
  /** Digest (hex) of what no drill may change and ordinary work does not: system id, timeline, epoch, slots, roles, databases, settings of
   *  replication. Null while no server runs. */
  readonly fingerprint: string | null;
  /** What a failover writes to here and is nearly full; null: nothing. Absent: of a daemon that does not look. */
  readonly noRoom?: string | null;
  /** What does not work now and is tried again. */
  readonly problems: readonly string[];
};

export type GateStatus = {
  readonly role: 'closed' | 'standby' | 'primary';
  /** 0: not the holder. */
  readonly epoch: number;
  /** How long it may go on writing if nobody answers any more; null: not the holder, or without end (`onLeaseLoss: continue`). */
  readonly writableForMs: number | null;
  readonly terms: LeaseTerms | null;
  /** Why the last round did not renew or look. */
  readonly problem: string | null;
};

export type ServerStatus = {
  readonly state: 'down' | 'standby' | 'read-write';
  readonly systemId: string | null;
  readonly timeline: number | null;
  /** Written (read-write), or replayed (standby). "0/3000060". */
  readonly lsn: string | null;
};

export type CaptureState = {
  readonly epoch: number;
  readonly timeline: number | null;
  /** Everything before is stored. */
  readonly durable: string | null;
  readonly behindBytes: number;
  /** Nothing was stored for so long although something waits. */
  readonly stalledMs: number;
  /** Of the last transaction that is stored. */
  readonly lastTransactionAt: string | null;
  readonly baseIsMade: boolean;
  readonly problem: string | null;
};

export type ReplicaState = {
  readonly state: 'seeding' | 'following' | 'released';
  readonly asOf: string;
  /** For how long it may lack log that the source has: work that would be lost with that. Null: nobody knows. */
  readonly lagMs: number | null;
  readonly problem: string | null;
};

export type StandbyState = {
  readonly isHealthy: boolean;
  readonly replayed: LogEnd | null;
  /** Log that is stored here and not replayed. */
  readonly behindBytes: number | null;
  /** A hole looks just like "caught up": where the next one begins, if there is one. */
  readonly gapAt: LogEnd | null;
  readonly problem: string | null;
};

/** `lsn` is that of the shutdown checkpoint's record, and the log is stored beyond it. */
export type Demoted = { readonly demotion: Demotion; readonly storedTo: LogEnd };

export type Sealed = {
  readonly epoch: number;
  readonly failover: string;
  readonly end: LogEnd;
  /** Time of the newest transaction before it; null: none is known. */
  readonly lastTransactionAt: string | null;
};

export type CaughtUp = {
  readonly replayed: LogEnd;
  /** No gap and no object that does not open, from the standby's base to the sealed place. */
  readonly isChainVerified: boolean;
};

export type RecoveredHeartbeat = {
  /** Null: no heartbeat was ever written there. */
  readonly heartbeat: { readonly sequence: number; readonly at: string; readonly keyId: string; readonly signature: string } | null;
  readonly systemId: string;
  readonly readAt: string;
};

export type Promoted = {
  readonly epoch: number;
  readonly systemId: string;
  readonly timeline: number;
  /** Where the new timeline begins. */
  readonly begins: LogEnd;
  readonly storedTo: LogEnd;
  readonly readWriteAt: string;
};

/** A backup. What was written after it began is not sure to be in it. */
export type PointOfFiles = { readonly snapshot: string; readonly at: string; readonly endedAt: string };

export type FilesBrought = PointOfFiles & {
  readonly entries: number;
  readonly bytes: number;
  readonly bytesFetched: number;
  /** How many entries lie in `aside` now. */
  readonly setAside: number;
  readonly aside: string | null;
};

export type FilesCompared = {
  readonly entries: number;
  /** Path and what is wrong with it, of some. */
  readonly differing: readonly string[];
};

export type WriteTested = { readonly committedAt: string; readonly sequence: number; readonly timeline: number };

export type PagesVerified = {
  readonly pages: number;
  readonly indexes: number;
  /** Relation and what is wrong with it. Empty: nothing was found. */
  readonly damaged: readonly string[];
  /** What could not be looked at, and why: "amcheck is not installed in ...". */
  readonly notVerified: readonly string[];
};

export type Protected = {
  readonly epoch: number;
  readonly storedTo: LogEnd;
  /** Null: it is being made. */
  readonly base: string | null;
};

export type Rejoined = {
  /** Directory of what the old primary had written and the new one does not have; null: it had nothing more. */
  readonly divergence: string | null;
  readonly standby: StandbyState;
};
