// The catalogue port: what exists, in SQL. A cache where the repository is the truth (recovery points), the truth for what the service
// itself decides (people, policies, the queue, the audit).
//
// - Every method that changes something is one transaction by itself, or part of the one given by `transaction`. What it answered is durable.
// - Everything of a tenant takes the tenant's id first, and answers undefined for what belongs to another: from outside a thing of
//   somebody else and a thing that does not exist are the same.
// - `version` guards changes of what people edit: a change from an older version answers 'stale'; the answer of a change carries the next
//   one. What names a thing (id, tenant, name, login, level, scope) stays as it was added.
// - The queue gives a run to one claimer at a time. Each claim has a greater `fence`; whatever the holder of an older one says is refused
//   with 'fenced'. Leases only decide when another may try, never whether two may.
// - Lists come in pages, in the order of their ids unless it says otherwise.
// - What cannot be is a fault (INTERNAL): a thing of a tenant that does not exist, an asset on another tenant's agent. The catalogue being
//   busy, full, damaged or unreachable is a fault of the CATALOG_ family. No fault holds a value that was to be stored.
//
// One conformance suite (test/conformance/catalog.ts) for every driver.

import type { Agent, HostFacts } from '../model/agent.ts';
import type { Approval } from '../model/approval.ts';
import type { Asset } from '../model/asset.ts';
import type { AuditEntry, NewAuditEntry } from '../model/audit-entry.ts';
import type { Event, NewEvent } from '../model/event.ts';
import type { Evidence } from '../model/evidence.ts';
import type { Failover } from '../model/failover.ts';
import type { PlanRunKind } from '../model/failover-kind.ts';
import type { Instant } from '../model/instant.ts';
import type { Page, PageRequest } from '../model/page.ts';
import type { PlanReadiness, StoredPlan } from '../model/plan.ts';
import type { Grant, Person, Token } from '../model/principal.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Loss, Progress, Run, RunFault } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import type { RunState } from '../model/run-state.ts';
import type { Tenant } from '../model/tenant.ts';
import type { DeliveryTable } from './deliveries.ts';

export type Changed<T> = T | 'stale' | 'missing';

export interface Catalog extends CatalogTables {
  /** Runs `work` with everything in one transaction; what it throws undoes all of it. Other writers wait for it, so `work` awaits nothing
   *  but the tables it is given (30 s at most, then all is undone). Not nested: writing through the catalogue itself in there throws. */
  transaction<T>(work: (tables: CatalogTables) => Promise<T>): Promise<T>;
  /** A consistent copy of the whole catalogue as one file, while others go on. CATALOG_DAMAGED: none is kept. */
  backUpTo(path: string, signal?: AbortSignal): Promise<void>;
  /** For health checks: throws when it cannot be read or written. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface CatalogTables {
  readonly tenants: TenantTable;
  readonly people: PersonTable;
  readonly tokens: TokenTable;
  readonly agents: AgentTable;
  readonly assets: AssetTable;
  readonly policies: PolicyTable;
  readonly plans: PlanTable;
  readonly evidence: EvidenceTable;
  readonly failovers: FailoverTable;
  readonly runs: RunTable;
  readonly recoveryPoints: RecoveryPointTable;
  readonly sessions: SessionTable;
  readonly schedules: ScheduleTable;
  readonly promises: PromiseTable;
  readonly events: EventTable;
  readonly deliveries: DeliveryTable;
  readonly approvals: ApprovalTable;
  readonly audit: AuditTable;
  readonly usage: UsageTable;
  readonly answers: AnswerTable;
  readonly settings: SettingTable;
  readonly history: HistoryTable;
}

export interface TenantTable {
  /** 'exists': the name is taken. */
  add(tenant: Tenant): Promise<'added' | 'exists'>;
  get(id: string): Promise<Tenant | undefined>;
  byName(name: string): Promise<Tenant | undefined>;
  list(page: PageRequest): Promise<Page<Tenant>>;
  /** `tenant.version` is the one that the caller read. */
  change(tenant: Tenant): Promise<Changed<Tenant>>;
}

/** A person with what proves who they are: never leaves src/trust. */
export type PersonSecrets = { readonly passwordHash: string; readonly totpSecret?: string };

export interface PersonTable {
  add(person: Person, secrets: PersonSecrets): Promise<'added' | 'exists'>;
  get(id: string): Promise<Person | undefined>;
  byLogin(login: string): Promise<{ readonly person: Person; readonly secrets: PersonSecrets } | undefined>;
  /** `tenantId`: only those with a role in that tenant. */
  list(page: PageRequest, tenantId?: string): Promise<Page<Person>>;
  change(person: Person, secrets?: PersonSecrets): Promise<Changed<Person>>;
}

export interface TokenTable {
  /** `digest`: SHA-256 of the secret, hex. */
  add(token: Token, digest: string): Promise<void>;
  byDigest(digest: string): Promise<Token | undefined>;
  get(id: string): Promise<Token | undefined>;
  /** `tenantId`: only those with a role in that tenant. */
  list(page: PageRequest, tenantId?: string): Promise<Page<Token>>;
  revoke(id: string, at: Instant): Promise<boolean>;
  /** All sessions of a person but one. Answers how many ended. */
  revokeSessions(personId: string, at: Instant, but?: string): Promise<number>;
  used(id: string, at: Instant): Promise<void>;
  /** One-time tokens for enrolment: taken at most once. */
  addEnrolment(enrolment: Enrolment, digest: string): Promise<void>;
  takeEnrolment(digest: string, at: Instant): Promise<Enrolment | undefined>;
}

export type Enrolment = {
  readonly id: string;
  readonly tenantId: string;
  readonly label: string;
  readonly site?: string;
  readonly expiresAt: Instant;
  readonly createdBy: string;
};

export interface AgentTable {
  add(agent: Agent): Promise<'added' | 'exists'>;
  get(id: string, tenantId?: string): Promise<Agent | undefined>;
  list(tenantId: string, page: PageRequest): Promise<Page<Agent>>;
  /** A sign of life, the one change that is not durable at once: written with others within a second, seen at once by this process. */
  seen(id: string, at: Instant, host?: HostFacts): Promise<void>;
  /** Says at which site its host is; undefined: at none. */
  place(id: string, site: string | undefined): Promise<boolean>;
  revoke(id: string, at: Instant): Promise<boolean>;
}

export interface AssetTable {
  add(asset: Asset): Promise<'added' | 'exists'>;
  get(tenantId: string, id: string): Promise<Asset | undefined>;
  byName(tenantId: string, name: string): Promise<Asset | undefined>;
  list(tenantId: string, page: PageRequest): Promise<Page<Asset>>;
  /** Of every tenant: for the scheduler. */
  listAll(page: PageRequest): Promise<Page<Asset>>;
  change(asset: Asset): Promise<Changed<Asset>>;
}

/** A stored policy. `level` and `scope` say for whom: a city's name, "city/district", a tenant's id, or 'asset' for one that assets name. */
export type StoredPolicy = {
  readonly id: string;
  /** Absent for policies of the provider (city and district). */
  readonly tenantId?: string;
  readonly name: string;
  readonly level: 'city' | 'district' | 'tenant' | 'asset';
  readonly scope?: string;
  /** As it was given: YAML, comments and all. */
  readonly text: string;
  readonly version: number;
  readonly changedAt: Instant;
  readonly changedBy: string;
};

export interface PolicyTable {
  add(policy: StoredPolicy): Promise<'added' | 'exists'>;
  get(id: string): Promise<StoredPolicy | undefined>;
  byName(tenantId: string | undefined, name: string): Promise<StoredPolicy | undefined>;
  list(tenantId: string | undefined, page: PageRequest): Promise<Page<StoredPolicy>>;
  change(policy: StoredPolicy): Promise<Changed<StoredPolicy>>;
  /** 'in-use': an asset names it. */
  delete(id: string, version: number): Promise<'deleted' | 'stale' | 'missing' | 'in-use'>;
}

export interface PlanTable {
  /** In the place of version `before` (undefined: of none). 'not-raised': a plan of this name had that version, or a later one. */
  put(plan: StoredPlan, before: number | undefined): Promise<StoredPlan | 'stale' | 'not-raised'>;
  /** The one in force. */
  byName(tenantId: string, name: string): Promise<StoredPlan | undefined>;
  /** Those in force, by their names. */
  list(tenantId: string, page: PageRequest): Promise<Page<StoredPlan>>;
  /** Of every tenant: for the scheduler. */
  listAll(page: PageRequest): Promise<Page<StoredPlan>>;
  /** In force or not. */
  version(tenantId: string, name: string, version: number): Promise<StoredPlan | undefined>;
  /** Newest first; also of a plan that was deleted. */
  versions(tenantId: string, name: string, page: PageRequest): Promise<Page<StoredPlan>>;
  /** Its versions stay. */
  delete(tenantId: string, name: string, version: number): Promise<'deleted' | 'stale' | 'missing'>;
  /** What a look at that version found. */
  note(tenantId: string, name: string, readiness: PlanReadiness): Promise<boolean>;
}

export type EvidenceFilter = { readonly plan?: string; readonly kind?: PlanRunKind; readonly outcome?: string };

export interface EvidenceTable {
  /** 'exists': evidence of that id is there already, and stays as it is. */
  add(evidence: Evidence, files: readonly { readonly name: string; readonly content: Uint8Array }[]): Promise<'added' | 'exists'>;
  get(tenantId: string, id: string): Promise<Evidence | undefined>;
  /** What came last first. */
  list(tenantId: string, filter: EvidenceFilter, page: PageRequest): Promise<Page<Evidence>>;
  /** The very bytes. */
  file(tenantId: string, id: string, name: string): Promise<Uint8Array | undefined>;
}

export interface FailoverTable {
  add(failover: Failover): Promise<void>;
  get(tenantId: string, id: string): Promise<Failover | undefined>;
  /** Of a plan. */
  newest(tenantId: string, plan: string): Promise<Failover | undefined>;
  /** Newest first. */
  list(tenantId: string, page: PageRequest): Promise<Page<Failover>>;
  /** Its state, agent, approvers, run and journal; what was asked for stays as it was. */
  change(failover: Failover): Promise<boolean>;
}

export type NewRun = Omit<Run, 'state' | 'attempt' | 'lost' | 'lostWithService' | 'site' | 'fence' | 'createdAt'>;
export type RunFilter = {
  readonly assetId?: string;
  readonly kind?: RunKind;
  readonly states?: readonly RunState[];
  readonly since?: Instant;
};
export type Claim = {
  /** 'agent:<id>' or 'service:<name of the process>'. */
  readonly by: string;
  readonly kinds: readonly RunKind[];
  /** Only runs of this agent; absent: runs that belong to no agent. */
  readonly agentId?: string;
  readonly at: Instant;
  readonly leaseMs: number;
  /** Runs of one agent, of one tenant and of all that may run at once. */
  readonly perAgentMax: number;
  readonly perTenantMax: number;
  readonly totalMax: number;
};
export type RunEnd = {
  readonly state: 'succeeded' | 'warned' | 'failed' | 'canceled';
  readonly result?: Readonly<Record<string, unknown>>;
  readonly fault?: RunFault;
  /** For a failure that is to be tried again: when. The run is queued again unless its attempts are used up. */
  readonly retryAt?: Instant;
  /** It failed because who held it, or the service, went away: that uses up no attempt (model/run.ts, LOST_MAX). What began before this catalogue was
   *  opened has lost the service, whatever is said here. */
  readonly loss?: Loss | undefined;
};

export interface RunTable {
  /** 'exists' with the run that has the key already: nothing is queued twice. */
  add(run: NewRun, at: Instant): Promise<{ readonly outcome: 'added' | 'exists'; readonly run: Run }>;
  get(tenantId: string, id: string): Promise<Run | undefined>;
  byKey(tenantId: string, key: string): Promise<Run | undefined>;
  /** Newest first. */
  list(tenantId: string, filter: RunFilter, page: PageRequest): Promise<Page<Run>>;
  /** The best queued run that may start now: by priority, then by due time, within its own limits of host and site. Overdue past `startBy` ones are failed by `expire`. Of one
   *  asset (or of a tenant's repository, for runs without an asset) one run of a kind is under way at a time, restores excepted. */
  claim(claim: Claim): Promise<Run | undefined>;
  /** A sign of life. A lease never gets shorter by it, unless a clock that was wrong by hours gave it. Answers the run (whoever holds it
   *  looks for `cancelRequestedAt`), or 'fenced'. */
  extend(id: string, fence: number, at: Instant, leaseMs: number, progress?: Progress): Promise<Run | 'fenced'>;
  /** Ends the attempt. Saying the same twice is answered as the first time. A run that was asked to stop is not tried again. */
  end(id: string, fence: number, at: Instant, end: RunEnd): Promise<Run | 'fenced'>;
  /** A queued run may start at `at` at the latest, whenever later, and with that priority at least; limits of host and site that came with it do not hold it up any
   *  more. Undefined: it is not queued. */
  hasten(tenantId: string, id: string, at: Instant, priority: number): Promise<Run | undefined>;
  /** A queued run is canceled at once, a running one is asked to stop. */
  cancel(tenantId: string, id: string, at: Instant): Promise<Run | undefined>;
  /** Runs whose lease ran out: queued again or, when they lost their holder too often, failed; and queued ones past `startBy`. What began before this
   *  catalogue was opened has lost the service. Answers what changed. */
  expire(at: Instant, retryAt: Instant, countMax: number): Promise<readonly Run[]>;
  /** For metrics. Of those that are over, all that ever were: history is trimmed. */
  counts(): Promise<readonly { readonly kind: RunKind; readonly state: RunState; readonly count: number }[]>;
  /** The newest run of that kind that ended in one of these states. */
  latest(assetId: string, kind: RunKind, states: readonly RunState[]): Promise<Run | undefined>;
}

export interface RecoveryPointTable {
  /** Adds or replaces what is known of a snapshot. */
  put(point: RecoveryPoint): Promise<void>;
  get(tenantId: string, snapshot: string): Promise<RecoveryPoint | undefined>;
  /** Newest first. */
  list(tenantId: string, assetId: string | undefined, page: PageRequest): Promise<Page<RecoveryPoint>>;
  /** The newest sound one. */
  latest(assetId: string): Promise<RecoveryPoint | undefined>;
  /** Those by which promises are judged, however many there are: the oldest and the newest sound one, the newest that did not begin after
   *  `until`, the sound one that was proved last until then, and damaged ones, the newest first, `damagedMax` at the most. Each once. */
  deciding(assetId: string, until: Instant, damagedMax: number): Promise<readonly RecoveryPoint[]>;
  count(assetId: string): Promise<number>;
  madeBy(tenantId: string, runId: string): Promise<RecoveryPoint | undefined>;
  remove(tenantId: string, snapshot: string): Promise<boolean>;
}

/** A backup session of an agent: whose chunks are whose, and which are proved. */
export type WriteSession = {
  /** 20 hex digits. */
  readonly session: string;
  readonly tenantId: string;
  readonly agentId: string;
  readonly runId: string;
  readonly state: 'open' | 'committed' | 'abandoned';
  /** Every pack of it was read back and proved: its chunks may be offered to other agents. */
  readonly verifiedAt?: Instant;
  readonly openedAt: Instant;
};

export interface SessionTable {
  put(session: WriteSession): Promise<void>;
  get(session: string): Promise<WriteSession | undefined>;
  list(tenantId: string): Promise<readonly WriteSession[]>;
  /** Those that are said to be open, of all tenants or of one. */
  listOpen(tenantId?: string): Promise<readonly WriteSession[]>;
  addGrants(grants: readonly StoreGrant[]): Promise<void>;
  /** A single-use grant: answered when it was there, unused and not expired, and now is used. */
  takeGrant(digest: string, at: Instant): Promise<StoreGrant | undefined>;
}

export type StoreGrant = {
  /** SHA-256 of the grant's secret, hex. */
  readonly digest: string;
  readonly session: string;
  readonly key: string;
  readonly lengthBytes: number;
  readonly sha256: string;
  readonly expiresAt: Instant;
};

/** How far the schedule of an asset was followed: due times up to and including `doneUntil` have their runs. */
export interface ScheduleTable {
  get(assetId: string, kind: RunKind): Promise<Instant | undefined>;
  /** Compare-and-swap: 'lost' when another scheduler was first. */
  advance(assetId: string, kind: RunKind, from: Instant | undefined, to: Instant): Promise<'advanced' | 'lost'>;
}

/** What is promised of an asset and how it stands, as last judged. */
export type PromiseState = {
  readonly assetId: string;
  readonly tenantId: string;
  readonly objective: 'rpo' | 'window' | 'proof' | 'copies';
  readonly isKept: boolean;
  /** Seconds: measured and promised. */
  readonly measured?: number;
  readonly promised: number;
  readonly since: Instant;
  readonly judgedAt: Instant;
};

export interface PromiseTable {
  /** Answers whether `isKept` changed by this (a first broken one counts). While it does not change, `since` stays what it was. */
  put(state: PromiseState): Promise<'changed' | 'same'>;
  list(tenantId: string | undefined): Promise<readonly PromiseState[]>;
}

export interface EventTable {
  /** Its id and sequence are made here. */
  add(event: NewEvent, at: Instant): Promise<Event>;
  /** After a sequence, oldest first; `tenantId` undefined: all. */
  after(sequence: number, tenantId: string | undefined, limit: number): Promise<readonly Event[]>;
}

export interface ApprovalTable {
  add(approval: Approval): Promise<void>;
  get(tenantId: string, id: string): Promise<Approval | undefined>;
  list(tenantId: string, page: PageRequest): Promise<Page<Approval>>;
  /** Pending and approved ones of every tenant whose time is over. */
  overdue(at: Instant, limit: number): Promise<readonly Approval[]>;
  /** Notes that a person has approved a pending one, and takes out whose word counts no more. Answers all who have; undefined: it is not pending,
   *  or they had done so before. */
  approve(id: string, by: string, withdrawn?: readonly string[]): Promise<readonly string[] | undefined>;
  /** Moves it from one state to another; false when it was in none of `from`. Who decided is kept when it is executed, and is nobody while it is
   *  pending. */
  move(id: string, from: readonly Approval['state'][], to: Approval['state'], by: string, at: Instant): Promise<boolean>;
}

export interface AuditTable {
  /** Appends to the chain. Two at once are one after the other. `lost`: behind this entry, of which only sequence and hash are known any more, instead
   *  of behind the last one that is there, which must be older. */
  append(
    entry: NewAuditEntry,
    hashOf: (entry: Omit<AuditEntry, 'hash'>) => string,
    lost?: { readonly sequence: number; readonly hash: string },
  ): Promise<AuditEntry>;
  after(sequence: number, tenantId: string | undefined, limit: number): Promise<readonly AuditEntry[]>;
  last(): Promise<AuditEntry | undefined>;
}

export type UsageDay = {
  readonly tenantId: string;
  /** "2026-11-21" */
  readonly day: string;
  readonly protectedBytes: number;
  readonly storedBytes: number;
  readonly egressBytes: number;
  readonly runs: number;
  /** That drills ran on this day. */
  readonly drillSeconds: number;
};

export interface UsageTable {
  /** What was measured of a day, in place of what was known of it; egress only grows by `addEgress`. */
  put(day: Omit<UsageDay, 'egressBytes'>): Promise<void>;
  addEgress(tenantId: string, day: string, bytes: number): Promise<void>;
  list(tenantId: string, from: string, to: string): Promise<readonly UsageDay[]>;
}

/** Answers of POSTs that had an Idempotency-Key. */
export interface AnswerTable {
  /** 'new': it is ours to do. A stored answer: it was done. 'busy': another is at it (for ten minutes: then it died, and it is ours). 'other':
   *  the key was used for another request. */
  begin(
    scope: string,
    key: string,
    requestDigest: string,
    at: Instant,
  ): Promise<'new' | 'busy' | 'other' | { readonly status: number; readonly body: string; readonly headers: string }>;
  finish(scope: string, key: string, status: number, body: string, headers: string): Promise<void>;
  /** So that it can be tried again. */
  drop(scope: string, key: string): Promise<void>;
  forgetBefore(at: Instant): Promise<void>;
}

/** The name of a setting: when all promises were judged last. */
export const JUDGED_SETTING = 'promises.judged';

/** The name of a setting: when this catalogue came out of a backup, if it did. */
export const RESTORED_SETTING = 'restored.at';

export interface SettingTable {
  get(name: string): Promise<string | undefined>;
  set(name: string, value: string): Promise<void>;
}

/** Runs that are over; events with what was delivered of them; sessions of agents; sessions of people, and enrolments. */
export type HistoryKind = 'runs' | 'events' | 'sessions' | 'logins';
export type Trimmed = { readonly deleted: number /** Where to go on; absent: that was all. */; readonly next?: string };

export interface HistoryTable {
  /** Deletes what is over and older than `before`, unless it is needed: of each kind the newest, what is on its way, what recovery points
   *  are of. Looks at `countMax` behind `after`. */
  trim(kind: HistoryKind, before: Instant, countMax: number, after?: string): Promise<Trimmed>;
}

export type { Grant };
