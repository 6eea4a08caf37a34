// Generated from the OpenAPI document by ops/write-client: do not edit.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated

export type Agent = { readonly id: string; readonly tenantId: string; readonly label: string; readonly publicKey: string; readonly host: { readonly hostname: string; readonly platform: string; readonly version: string; readonly cpus: number; readonly memoryBytes: number; readonly planSite?: string | undefined; readonly bootId?: string | undefined }; readonly site?: string | undefined; readonly state: "active" | "revoked"; readonly enrolledAt: string; readonly lastSeenAt?: string | undefined; readonly revokedAt?: string | undefined };
export type AgentPlace = { readonly site?: string | undefined };
export type AllowedSources = { readonly allowedSources: readonly (string)[] };
export type Approval = { readonly id: string; readonly tenantId: string; readonly action: "asset.delete" | "snapshot.delete" | "policy.weaken" | "plan.weaken" | "hold.release" | "tenant.close" | "tenant.erase" | "failover" | "break-glass"; readonly request: Readonly<Record<string, unknown>>; readonly reason: string; readonly requestedBy: string; readonly requestedAt: string; readonly expiresAt: string; readonly state: "pending" | "approved" | "rejected" | "expired" | "executed"; readonly needed?: number | undefined; readonly approvedBy?: readonly (string)[] | undefined; readonly decidedBy?: string | undefined; readonly decidedAt?: string | undefined };
export type Asset = { readonly id: string; readonly tenantId: string; readonly agentId: string; readonly name: string; readonly label?: string | undefined; readonly source: { readonly kind: "files"; readonly paths: readonly (string)[]; readonly excludes?: readonly (string)[] | undefined; readonly oneFileSystem?: boolean | undefined } | { readonly kind: "volume"; readonly path: string } | { readonly kind: "postgres"; readonly connection: string; readonly secret?: string | undefined; readonly slot?: string | undefined; readonly queries?: readonly ({ readonly database: string; readonly sql: string; readonly expected?: string | undefined })[] | undefined }; readonly policyId?: string | undefined; readonly state: "active" | "paused" | "retired"; readonly createdAt: string; readonly version: number };
export type AssetChange = { readonly label?: string | undefined; readonly agentId?: string | undefined; readonly source?: { readonly kind: "files"; readonly paths: readonly (string)[]; readonly excludes?: readonly (string)[] | undefined; readonly oneFileSystem?: boolean | undefined } | { readonly kind: "volume"; readonly path: string } | { readonly kind: "postgres"; readonly connection: string; readonly secret?: string | undefined; readonly slot?: string | undefined; readonly queries?: readonly ({ readonly database: string; readonly sql: string; readonly expected?: string | undefined })[] | undefined } | undefined; readonly policy?: string | null | undefined; readonly state?: "active" | "paused" | undefined; readonly reason?: string | undefined };
export type AuditEntry = { readonly sequence: number; readonly at: string; readonly tenantId?: string | undefined; readonly actor: string; readonly actorLabel: string; readonly source?: string | undefined; readonly action: string; readonly subject?: string | undefined; readonly outcome: "done" | "denied" | "failed"; readonly details: Readonly<Record<string, unknown>>; readonly previous: string; readonly hash: string };
export type AuditList = { readonly items: readonly (AuditEntry)[]; readonly next: number };
export type AuditProof = { readonly state: "whole" | "broken"; readonly entries?: number | undefined; readonly checkpoints?: number | undefined; readonly sequence?: number | undefined; readonly what?: string | undefined };
export type CertificateList = { readonly items: readonly (ErasureCertificate)[] };
export type ClusterExtract = { readonly database: string; readonly tables?: readonly (string)[] | undefined; readonly as?: string | undefined; readonly secret?: string | undefined };
export type Enrolment = { readonly id: string; readonly secret: string; readonly expiresAt: string };
export type Erase = { readonly reason: string; readonly handedOver: string };
export type ErasureCertificate = { readonly format: "holdfast-erasure-certificate"; readonly version: 1; readonly tenant: { readonly id: string; readonly name: string; readonly label: string }; readonly repository: { readonly location: string; readonly id?: string | undefined }; readonly order: { readonly approval: string; readonly requestedBy: string; readonly requestedAt: string; readonly approvedBy: string; readonly approvedAt: string; readonly reason: string; readonly handedOver: string }; readonly run: string; readonly destroyed: { readonly keysAt?: string | undefined; readonly keys: readonly (string)[]; readonly contentAt?: string | undefined; readonly objects: number; readonly bytes: number; readonly recoveryPoints: number; readonly backupsAt?: string | undefined; readonly olderBackups: number }; readonly remains: readonly ({ readonly what: "locked-ciphertext" | "locked-backups" | "replicas" | "copies-of-keys" | "records" | "media"; readonly where: string; readonly means: string })[]; readonly at: string; readonly program: string; readonly key: string; readonly signature: string };
export type Event = { readonly id: string; readonly sequence: number; readonly tenantId?: string | undefined; readonly assetId?: string | undefined; readonly runId?: string | undefined; readonly kind: string; readonly severity: "info" | "warning" | "critical"; readonly message: string; readonly cause?: string | undefined; readonly action?: string | undefined; readonly details?: Readonly<Record<string, unknown>> | undefined; readonly at: string };
export type EventList = { readonly items: readonly (Event)[]; readonly next: number };
export type Evidence = { readonly id: string; readonly tenantId: string; readonly plan: string; readonly planVersion: number; readonly planDigest: string; readonly kind: "planned" | "unplanned" | "failback" | "drill"; readonly outcome: string; readonly createdAt: string; readonly receivedAt: string; readonly runId: string; readonly agentId: string; readonly keyId: string; readonly publicKey: string; readonly rpoMs?: number | undefined; readonly rtoMs?: number | undefined; readonly levels: readonly ({ readonly edition: string; readonly level: number })[]; readonly files: readonly ({ readonly name: string; readonly bytes: number })[] };
export type Failover = { readonly id: string; readonly tenantId: string; readonly plan: string; readonly planVersion: number; readonly planDigest: string; readonly kind: "planned" | "unplanned" | "failback"; readonly reason: string; readonly disaster?: string | undefined; readonly agentId: string; readonly requestedBy: string; readonly requestedAt: string; readonly approvalId: string; readonly approvers: readonly (string)[]; readonly state: "waiting" | "refused" | "approved" | "declared" | "fenced" | "sealed" | "caught-up" | "granted" | "promoted" | "routed" | "verified" | "committed" | "re-protecting" | "normal" | "undoing" | "undone"; readonly runId?: string | undefined; readonly journal?: { readonly from: string; readonly to: string; readonly blockedBy: readonly (string)[]; readonly decisions: readonly (Readonly<Record<string, unknown>>)[]; readonly glass: Readonly<Record<string, unknown>> | null; readonly entries: readonly ({ readonly state: string; readonly at: string; readonly facts: Readonly<Record<string, unknown>> })[]; readonly actions: readonly (Readonly<Record<string, unknown>>)[] } | undefined; readonly heardAt?: string | undefined };
export type FailoverDecision = { readonly action: string; readonly answer: "yes" | "no" };
export type Grant = { readonly role: "viewer" | "restorer" | "operator" | "owner" | "auditor" | "system-admin" | "security-admin" | "audit-admin"; readonly tenantId?: string | undefined };
export type Health = { readonly state: "ok"; readonly version: string; readonly at: string };
export type LoginRequest = { readonly login: string; readonly password: string; readonly code?: string | undefined };
export type Me = { readonly kind: "person" | "token"; readonly id: string; readonly label: string; readonly grants: readonly (Grant)[]; readonly tenants: readonly (Tenant)[] };
export type NewAsset = { readonly name: string; readonly label?: string | undefined; readonly agentId: string; readonly source: { readonly kind: "files"; readonly paths: readonly (string)[]; readonly excludes?: readonly (string)[] | undefined; readonly oneFileSystem?: boolean | undefined } | { readonly kind: "volume"; readonly path: string } | { readonly kind: "postgres"; readonly connection: string; readonly secret?: string | undefined; readonly slot?: string | undefined; readonly queries?: readonly ({ readonly database: string; readonly sql: string; readonly expected?: string | undefined })[] | undefined }; readonly policy?: string | undefined };
export type NewDrill = { readonly plan: string; readonly version?: number | undefined; readonly at?: string | undefined };
export type NewEnrolment = { readonly label?: string | undefined; readonly site?: string | undefined; readonly minutes?: number | undefined };
export type NewFailover = { readonly plan: string; readonly version?: number | undefined; readonly kind: "planned" | "unplanned" | "failback"; readonly reason: string; readonly disaster?: string | undefined; readonly agentId?: string | undefined };
export type NewPerson = { readonly login: string; readonly label: string; readonly password: string; readonly grants: readonly (Grant)[] };
export type NewRun = { readonly kind: "backup" | "restore-test" | "verify" | "forget" | "prune"; readonly assetId?: string | undefined; readonly priority?: number | undefined; readonly verify?: { readonly mode: "structure" | "sampled" | "full" | "scrub"; readonly share?: number | undefined } | undefined };
export type NewTenant = { readonly name: string; readonly label: string; readonly city?: string | undefined; readonly district?: string | undefined; readonly quota?: { readonly logicalBytesMax?: number | undefined; readonly storedBytesMax?: number | undefined } | undefined };
export type NewTenantPerson = { readonly login: string; readonly label: string; readonly password: string; readonly roles: readonly ("viewer" | "restorer" | "operator" | "owner" | "auditor")[] };
export type NewTenantToken = { readonly label: string; readonly roles: readonly ("viewer" | "restorer" | "operator" | "owner" | "auditor")[]; readonly days?: number | undefined };
export type NewToken = { readonly label: string; readonly grants: readonly (Grant)[]; readonly days?: number | undefined };
export type PasswordChange = { readonly password: string; readonly newPassword: string };
export type Person = { readonly id: string; readonly login: string; readonly label: string; readonly grants: readonly (Grant)[]; readonly state: "active" | "disabled"; readonly hasTotp: boolean; readonly createdAt: string; readonly version: number };
export type PersonChange = { readonly label?: string | undefined; readonly grants?: readonly (Grant)[] | undefined; readonly state?: "active" | "disabled" | undefined; readonly password?: string | undefined; readonly removeTotp?: true | undefined };
export type Plan = { readonly tenantId: string; readonly name: string; readonly version: number; readonly text: string; readonly digest: string; readonly changedAt: string; readonly changedBy: string; readonly readiness?: PlanReadiness | undefined };
export type PlanReadiness = { readonly at: string; readonly runId: string; readonly version: number; readonly isReady: boolean; readonly checks: readonly ({ readonly what: string; readonly isReady: boolean; readonly text: string })[] };
export type PlanText = { readonly text: string };
export type PointTags = { readonly tags: readonly (string)[] };
export type Policy = { readonly id: string; readonly tenantId?: string | undefined; readonly name: string; readonly level: "city" | "district" | "tenant" | "asset"; readonly scope?: string | undefined; readonly text: string; readonly version: number; readonly changedAt: string; readonly changedBy: string };
export type PolicyInForce = { readonly stamp: string; readonly policy: Readonly<Record<string, unknown>>; readonly isWhole: boolean };
export type PolicyText = { readonly text: string };
export type Posture = { readonly assets: number; readonly kept: number; readonly broken: number; readonly unpromised: readonly (string)[]; readonly items: readonly (PromiseState)[] };
export type Problem = { readonly type: string; readonly title: string; readonly status: number; readonly code: string; readonly detail: string; readonly hint: string; readonly retry: "never" | "later"; readonly requestId: string; readonly errors?: readonly ({ readonly field: string; readonly message: string })[] | undefined };
export type PromiseState = { readonly assetId: string; readonly tenantId: string; readonly objective: "rpo" | "window" | "proof" | "copies"; readonly isKept: boolean; readonly measured?: number | undefined; readonly promised: number; readonly since: string; readonly judgedAt: string };
export type Reason = { readonly reason: string };
export type RecoveryPlace = { readonly time?: string | undefined; readonly lsn?: string | undefined; readonly xid?: number | undefined; readonly name?: string | undefined; readonly latest?: true | undefined };
export type RecoveryPoint = { readonly snapshot: string; readonly tenantId: string; readonly assetId?: string | undefined; readonly assetName: string; readonly runId?: string | undefined; readonly startedAt: string; readonly endedAt: string; readonly bytesScanned: number; readonly bytesStored: number; readonly hasWarnings: boolean; readonly tags: readonly (string)[]; readonly isHeld: boolean; readonly provenAt?: string | undefined; readonly proof?: string | undefined; readonly isSound: boolean; readonly refutedAt?: string | undefined };
export type RecoveryWindow = { readonly assetId: string; readonly at: string; readonly kind: "snapshots" | "log"; readonly rpoSeconds?: number | undefined; readonly promisedWindowSeconds?: number | undefined; readonly earliest?: string | undefined; readonly latest?: string | undefined; readonly points: number; readonly intervals: readonly ({ readonly from: string; readonly to: string; readonly points: number; readonly longestStepSeconds: number; readonly evidence: { readonly proven: number; readonly newestProof?: { readonly snapshot: string; readonly provenAt: string; readonly proof?: string | undefined } | undefined; readonly withWarnings: number }; readonly log?: { readonly timeline: number; readonly from: string; readonly to: string; readonly bases: readonly (string)[]; readonly lastTransaction?: { readonly id: number; readonly position: string; readonly at: string } | undefined } | undefined })[]; readonly gaps: readonly ({ readonly from: string; readonly to: string; readonly seconds: number; readonly isOpen: boolean; readonly cause: string; readonly runs: readonly (string)[]; readonly damaged: readonly (string)[]; readonly log?: { readonly timeline: number; readonly from: string; readonly to: string } | undefined })[]; readonly missing: readonly (string)[] };
export type Replica = { readonly site: string; readonly state: "missing" | "seeding" | "following" | "released" | "unreachable"; readonly asOf?: string | undefined; readonly snapshots?: number | undefined; readonly lackingSnapshots?: number | undefined; readonly lackingBytes?: number | undefined; readonly lackingSince?: string | undefined; readonly lockedForSeconds?: number | undefined; readonly seenAt?: string | undefined; readonly trouble?: string | undefined };
export type Replicas = { readonly items: readonly (Replica)[] };
export type Restore = { readonly plan: RestorePlan; readonly run: Run };
export type RestorePlan = { readonly requestedAt?: string | undefined; readonly achievedAt: string; readonly lostSeconds?: number | undefined; readonly point: RecoveryPoint; readonly agentId: string; readonly target: string; readonly warnings: readonly (string)[]; readonly log?: { readonly requested: string; readonly stopAt?: string | undefined; readonly transaction?: number | undefined; readonly timeline: number; readonly bytes: number } | undefined };
export type RestoreRequest = { readonly assetId: string; readonly snapshot?: string | undefined; readonly at?: string | undefined; readonly agentId?: string | undefined; readonly target?: string | undefined; readonly path?: string | undefined; readonly delta?: boolean | undefined; readonly verify?: boolean | undefined; readonly extract?: ClusterExtract | undefined; readonly point?: RecoveryPlace | undefined; readonly handOver?: "running" | "paused" | "stopped" | undefined; readonly tablespaces?: Readonly<Record<string, string>> | undefined; readonly dryRun?: boolean | undefined };
export type Run = { readonly id: string; readonly tenantId: string; readonly assetId?: string | undefined; readonly agentId?: string | undefined; readonly kind: "backup" | "capture" | "restore" | "restore-test" | "readiness" | "drill" | "failover" | "forget" | "prune" | "verify" | "catalog-backup" | "erase"; readonly key: string; readonly parameters: Readonly<Record<string, unknown>>; readonly priority: number; readonly state: "queued" | "running" | "succeeded" | "warned" | "failed" | "canceled"; readonly dueAt: string; readonly notBefore: string; readonly startBy?: string | undefined; readonly attempt: number; readonly attemptsMax: number; readonly lost?: number | undefined; readonly lostWithService?: number | undefined; readonly perHostMax?: number | undefined; readonly perSiteMax?: number | undefined; readonly site?: string | undefined; readonly fence: number; readonly claimedBy?: string | undefined; readonly leaseUntil?: string | undefined; readonly cancelRequestedAt?: string | undefined; readonly progress?: { readonly phase: string; readonly bytesDone: number; readonly bytesTotal?: number | undefined; readonly bytesStored?: number | undefined; readonly entriesDone?: number | undefined; readonly current?: string | undefined; readonly at: string } | undefined; readonly result?: Readonly<Record<string, unknown>> | undefined; readonly fault?: { readonly code: string; readonly message: string; readonly hint: string } | undefined; readonly requestedBy: string; readonly createdAt: string; readonly startedAt?: string | undefined; readonly endedAt?: string | undefined };
export type Session = { readonly secret: string; readonly expiresAt: string; readonly person: Person };
export type ShownApproval = { readonly id: string; readonly tenantId: string; readonly action: "asset.delete" | "snapshot.delete" | "policy.weaken" | "plan.weaken" | "hold.release" | "tenant.close" | "tenant.erase" | "failover" | "break-glass"; readonly request: Readonly<Record<string, unknown>>; readonly reason: string; readonly requestedBy: string; readonly requestedAt: string; readonly expiresAt: string; readonly state: "pending" | "approved" | "rejected" | "expired" | "executed"; readonly needed?: number | undefined; readonly approvedBy?: readonly (string)[] | undefined; readonly decidedBy?: string | undefined; readonly decidedAt?: string | undefined; readonly logins: Readonly<Record<string, string>> };
export type Tenant = { readonly id: string; readonly name: string; readonly label: string; readonly city?: string | undefined; readonly district?: string | undefined; readonly quota: { readonly logicalBytesMax?: number | undefined; readonly storedBytesMax?: number | undefined }; readonly allowedSources: readonly (string)[]; readonly state: "active" | "suspended" | "closed"; readonly createdAt: string; readonly version: number };
export type TenantChange = { readonly label?: string | undefined; readonly quota?: { readonly logicalBytesMax?: number | undefined; readonly storedBytesMax?: number | undefined } | undefined; readonly state?: "active" | "suspended" | undefined };
export type TenantPersonChange = { readonly label?: string | undefined; readonly roles?: readonly ("viewer" | "restorer" | "operator" | "owner" | "auditor")[] | undefined; readonly state?: "active" | "disabled" | undefined; readonly password?: string | undefined };
export type TenantUsage = { readonly tenantId: string; readonly tenant: string; readonly protectedByteDays: number; readonly storedByteDays: number; readonly protectedBytesMax: number; readonly storedBytesMax: number; readonly egressBytes: number; readonly runs: number; readonly drillSeconds: number; readonly days: readonly ({ readonly day: string; readonly protectedBytes: number; readonly storedBytes: number; readonly egressBytes: number; readonly runs: number; readonly drillSeconds: number })[] };
export type Token = { readonly id: string; readonly label: string; readonly personId?: string | undefined; readonly grants: readonly (Grant)[]; readonly createdBy: string; readonly createdAt: string; readonly expiresAt?: string | undefined; readonly lastUsedAt?: string | undefined; readonly revokedAt?: string | undefined };
export type TokenWithSecret = { readonly token: Token; readonly secret: string };
export type TotpOffer = { readonly secret: string; readonly uri: string };
export type TotpProof = { readonly secret: string; readonly code: string; readonly password: string };
export type TotpRemoval = { readonly password: string; readonly code: string };
export type Usage = { readonly from: string; readonly to: string; readonly days: readonly ({ readonly tenantId: string; readonly day: string; readonly protectedBytes: number; readonly storedBytes: number; readonly egressBytes: number; readonly runs: number; readonly drillSeconds: number })[] };
export type UsageReport = { readonly from: string; readonly to: string; readonly tenants: readonly (TenantUsage)[] };

export type Operations = {
  /** Begin a session of a person. */
  readonly login: { readonly input: { readonly body: LoginRequest }; readonly output: Session };
  /** End the session that this request is of. */
  readonly logout: { readonly input: Readonly<Record<never, never>>; readonly output: undefined };
  /** Who this is, and in which tenants. */
  readonly me: { readonly input: Readonly<Record<never, never>>; readonly output: Me };
  /** Change the own password; all other sessions end. */
  readonly changeMyPassword: { readonly input: { readonly body: PasswordChange }; readonly output: undefined };
  /** Get a secret for an authenticator; it counts once it was confirmed. */
  readonly offerTotp: { readonly input: Readonly<Record<never, never>>; readonly output: TotpOffer };
  /** Use one-time codes from now on, proved by a first one. */
  readonly confirmTotp: { readonly input: { readonly body: TotpProof }; readonly output: undefined };
  /** Do without one-time codes, proved by a last one. */
  readonly removeTotp: { readonly input: { readonly body: TotpRemoval }; readonly output: undefined };
  /** List all tenants. */
  readonly listTenants: { readonly input: { readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Tenant)[]; readonly next?: string | undefined } };
  /** Make a tenant and its repository. */
  readonly createTenant: { readonly input: { readonly body: NewTenant; readonly idempotencyKey?: string | undefined }; readonly output: Tenant };
  /** Show a tenant. */
  readonly getTenant: { readonly input: { readonly tenant: string }; readonly output: Tenant };
  /** Change label, quota or state of a tenant. */
  readonly changeTenant: { readonly input: { readonly tenant: string; readonly body: TenantChange; readonly ifMatch: string }; readonly output: Tenant };
  /** Say from which addresses people, tokens and agents may come. */
  readonly setAllowedSources: { readonly input: { readonly tenant: string; readonly body: AllowedSources; readonly ifMatch: string }; readonly output: Tenant };
  /** Ask for the end of a tenant; a second person approves. */
  readonly closeTenant: { readonly input: { readonly tenant: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** Ask for the destruction of the key of a closed tenant; a second person approves. */
  readonly eraseTenant: { readonly input: { readonly tenant: string; readonly body: Erase; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** Show the certificate that the key of the tenant was destroyed, once it was. */
  readonly listCertificates: { readonly input: { readonly tenant: string }; readonly output: CertificateList };
  /** List the people with a role in the tenant. */
  readonly listTenantPeople: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Person)[]; readonly next?: string | undefined } };
  /** Make a person of the tenant. */
  readonly createTenantPerson: { readonly input: { readonly tenant: string; readonly body: NewTenantPerson }; readonly output: Person };
  /** Show a person with a role in the tenant. */
  readonly getTenantPerson: { readonly input: { readonly tenant: string; readonly person: string }; readonly output: Person };
  /** Change the roles of a person in the tenant; label, state and password only of people of the tenant itself. */
  readonly changeTenantPerson: { readonly input: { readonly tenant: string; readonly person: string; readonly body: TenantPersonChange; readonly ifMatch: string }; readonly output: Person };
  /** List everybody. */
  readonly listPeople: { readonly input: { readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Person)[]; readonly next?: string | undefined } };
  /** Make a person with roles of the provider or of tenants. */
  readonly createPerson: { readonly input: { readonly body: NewPerson }; readonly output: Person };
  /** Show a person. */
  readonly getPerson: { readonly input: { readonly person: string }; readonly output: Person };
  /** Change roles, label, state or password of a person; take away a second factor that was lost. */
  readonly changePerson: { readonly input: { readonly person: string; readonly body: PersonChange; readonly ifMatch: string }; readonly output: Person };
  /** List the service tokens with a role in the tenant. */
  readonly listTenantTokens: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Token)[]; readonly next?: string | undefined } };
  /** Make a service token for the tenant. */
  readonly createTenantToken: { readonly input: { readonly tenant: string; readonly body: NewTenantToken; readonly idempotencyKey?: string | undefined }; readonly output: TokenWithSecret };
  /** Show a service token. */
  readonly getTenantToken: { readonly input: { readonly tenant: string; readonly token: string }; readonly output: Token };
  /** Revoke a service token at once. */
  readonly revokeTenantToken: { readonly input: { readonly tenant: string; readonly token: string }; readonly output: undefined };
  /** List all tokens and sessions. */
  readonly listTokens: { readonly input: { readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Token)[]; readonly next?: string | undefined } };
  /** Make a service token with roles of the provider or of tenants. */
  readonly createToken: { readonly input: { readonly body: NewToken; readonly idempotencyKey?: string | undefined }; readonly output: TokenWithSecret };
  /** Show any token. */
  readonly getToken: { readonly input: { readonly token: string }; readonly output: Token };
  /** Revoke any token or session at once. */
  readonly revokeToken: { readonly input: { readonly token: string }; readonly output: undefined };
  /** List the agents. */
  readonly listAgents: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Agent)[]; readonly next?: string | undefined } };
  /** Show an agent. */
  readonly getAgent: { readonly input: { readonly tenant: string; readonly agent: string }; readonly output: Agent };
  /** Say at which site the host of an agent is; limits of policies count what runs there. */
  readonly placeAgent: { readonly input: { readonly tenant: string; readonly agent: string; readonly body: AgentPlace }; readonly output: Agent };
  /** Revoke an agent at once; its runs end. */
  readonly revokeAgent: { readonly input: { readonly tenant: string; readonly agent: string }; readonly output: Agent };
  /** Make a token with which one agent enrols, once. */
  readonly createEnrolment: { readonly input: { readonly tenant: string; readonly body: NewEnrolment; readonly idempotencyKey?: string | undefined }; readonly output: Enrolment };
  /** List the assets. */
  readonly listAssets: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Asset)[]; readonly next?: string | undefined } };
  /** Protect something. */
  readonly createAsset: { readonly input: { readonly tenant: string; readonly body: NewAsset; readonly idempotencyKey?: string | undefined }; readonly output: Asset };
  /** Show an asset. */
  readonly getAsset: { readonly input: { readonly tenant: string; readonly asset: string }; readonly output: Asset };
  /** Change an asset: its agent, what it holds, its policy; pause and resume it. */
  readonly changeAsset: { readonly input: { readonly tenant: string; readonly asset: string; readonly body: AssetChange; readonly ifMatch: string }; readonly output: Asset | Approval };
  /** Ask for the end of its protection; a second person approves. */
  readonly retireAsset: { readonly input: { readonly tenant: string; readonly asset: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** List the policies of the tenant, and those that the provider offers for attaching. */
  readonly listPolicies: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Policy)[]; readonly next?: string | undefined } };
  /** Show a policy. */
  readonly getPolicy: { readonly input: { readonly tenant: string; readonly policy: string }; readonly output: Policy };
  /** Make or replace a policy. */
  readonly putPolicy: { readonly input: { readonly tenant: string; readonly policy: string; readonly query?: { readonly level?: "tenant" | "asset" | undefined; readonly reason?: string | undefined } | undefined; readonly body: PolicyText; readonly ifMatch?: string | undefined }; readonly output: Policy | Approval };
  /** Delete a policy that no asset names; one for the whole tenant needs a second person. */
  readonly deletePolicy: { readonly input: { readonly tenant: string; readonly policy: string; readonly query?: { readonly reason?: string | undefined } | undefined; readonly ifMatch: string }; readonly output: Approval | undefined };
  /** The text of a policy. */
  readonly getPolicyText: { readonly input: { readonly tenant: string; readonly policy: string }; readonly output: string };
  /** What is in force for an asset: city, district, tenant and its own policy put together, and who said what. */
  readonly getEffectivePolicy: { readonly input: { readonly tenant: string; readonly asset: string }; readonly output: PolicyInForce };
  /** List the policies of cities and districts. */
  readonly listProviderPolicies: { readonly input: { readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Policy)[]; readonly next?: string | undefined } };
  /** Show a policy of a city or district. */
  readonly getProviderPolicy: { readonly input: { readonly policy: string }; readonly output: Policy };
  /** Make or tighten a policy of a city or district. */
  readonly putProviderPolicy: { readonly input: { readonly policy: string; readonly query?: { readonly level?: "city" | "district" | undefined; readonly scope?: string | undefined } | undefined; readonly body: PolicyText; readonly ifMatch?: string | undefined }; readonly output: Policy };
  /** List the plans of disaster recovery, with what the last look at each found. */
  readonly listPlans: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Plan)[]; readonly next?: string | undefined } };
  /** Show a plan. */
  readonly getPlan: { readonly input: { readonly tenant: string; readonly plan: string; readonly query?: { readonly version?: number | undefined } | undefined }; readonly output: Plan };
  /** Make or replace a plan. */
  readonly putPlan: { readonly input: { readonly tenant: string; readonly plan: string; readonly query?: { readonly reason?: string | undefined } | undefined; readonly body: PlanText; readonly ifMatch?: string | undefined }; readonly output: Plan | Approval };
  /** Ask for the end of a plan; a second person approves. Its versions stay. */
  readonly deletePlan: { readonly input: { readonly tenant: string; readonly plan: string; readonly query?: { readonly reason?: string | undefined } | undefined; readonly ifMatch: string }; readonly output: Approval };
  /** List every version that a plan had, the newest first, also of one that was deleted. */
  readonly listPlanVersions: { readonly input: { readonly tenant: string; readonly plan: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Plan)[]; readonly next?: string | undefined } };
  /** The runbook of a plan, for people: every line of it is a step that is carried out. */
  readonly getRunbook: { readonly input: { readonly tenant: string; readonly plan: string; readonly query?: { readonly version?: number | undefined; readonly lang?: "zh" | "en" | undefined } | undefined }; readonly output: string };
  /** List the runs of drills, the newest first; see evidence for what they have proven. */
  readonly listDrills: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Run)[]; readonly next?: string | undefined } };
  /** Rehearse a plan where nothing of production can be reached, on a host of the site that it leads to. */
  readonly startDrill: { readonly input: { readonly tenant: string; readonly body: NewDrill; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** Look now whether a plan could be carried out; what is found stands in its readiness. */
  readonly checkPlan: { readonly input: { readonly tenant: string; readonly plan: string; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** List the evidence of drills and failovers, what came last first. */
  readonly listEvidence: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined; readonly plan?: string | undefined; readonly kind?: "planned" | "unplanned" | "failback" | "drill" | undefined } | undefined }; readonly output: { readonly items: readonly (Evidence)[]; readonly next?: string | undefined } };
  /** Show what an evidence says, and who signed it. */
  readonly getEvidence: { readonly input: { readonly tenant: string; readonly evidence: string }; readonly output: Evidence };
  /** A file of an evidence, byte by byte: the signed pack, or what lies beside it. "holdfast evidence verify" wants all of them. */
  readonly getEvidenceFile: { readonly input: { readonly tenant: string; readonly evidence: string; readonly query?: { readonly name?: string | undefined } | undefined }; readonly output: string };
  /** An evidence as a page for people, with the timeline drawn, fit for printing. */
  readonly getEvidenceReport: { readonly input: { readonly tenant: string; readonly evidence: string; readonly query?: { readonly lang?: "zh" | "en" | undefined } | undefined }; readonly output: string };
  /** List failovers, the newest first. */
  readonly listFailovers: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (Failover)[]; readonly next?: string | undefined } };
  /** Ask for a failover of a plan, planned or not, or for a failback; it waits for as many other people as the plan says. */
  readonly requestFailover: { readonly input: { readonly tenant: string; readonly body: NewFailover; readonly idempotencyKey?: string | undefined }; readonly output: Failover };
  /** Show a failover: its state, when each transition took place, what it waits for, who has decided what. */
  readonly getFailover: { readonly input: { readonly tenant: string; readonly failover: string }; readonly output: Failover };
  /** Say yes or no to what a failover waits for: a gate, a loss, a failure. Only a person who is logged in. */
  readonly decideFailover: { readonly input: { readonly tenant: string; readonly failover: string; readonly body: FailoverDecision; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** Undo a failover before the right to write was handed on; afterwards the way back is a failback. */
  readonly undoFailover: { readonly input: { readonly tenant: string; readonly failover: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** Ask to go on without proof that the old primary is fenced; it waits for as many other people as the plan says, two at least. */
  readonly breakGlass: { readonly input: { readonly tenant: string; readonly failover: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** Have a failover gone on with whose run has ended before it was finished, or by another agent while its own is silent. */
  readonly resumeFailover: { readonly input: { readonly tenant: string; readonly failover: string; readonly query?: { readonly agentId?: string | undefined } | undefined; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** Make the old primary a standby of the new one, after a failover; what only it had is exported first. */
  readonly rejoinFailover: { readonly input: { readonly tenant: string; readonly failover: string; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** List runs, the newest first. */
  readonly listRuns: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined; readonly assetId?: string | undefined; readonly kind?: "backup" | "capture" | "restore" | "restore-test" | "readiness" | "drill" | "failover" | "forget" | "prune" | "verify" | "catalog-backup" | "erase" | undefined; readonly state?: "queued" | "running" | "succeeded" | "warned" | "failed" | "canceled" | undefined; readonly since?: string | undefined } | undefined }; readonly output: { readonly items: readonly (Run)[]; readonly next?: string | undefined } };
  /** Start a run now: a backup, a restore test, verify, forget or prune. */
  readonly startRun: { readonly input: { readonly tenant: string; readonly body: NewRun; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** Show a run. */
  readonly getRun: { readonly input: { readonly tenant: string; readonly run: string }; readonly output: Run };
  /** Follow a run until it is over: an event "run" for every change. */
  readonly streamRun: { readonly input: { readonly tenant: string; readonly run: string; readonly lastEventId?: string | undefined }; readonly output: string };
  /** Cancel a run: a queued one at once, a running one is asked to stop. */
  readonly cancelRun: { readonly input: { readonly tenant: string; readonly run: string; readonly idempotencyKey?: string | undefined }; readonly output: Run };
  /** List the recovery points of the tenant, the newest first. */
  readonly listRecoveryPoints: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined; readonly assetId?: string | undefined } | undefined }; readonly output: { readonly items: readonly (RecoveryPoint)[]; readonly next?: string | undefined } };
  /** Show a recovery point. */
  readonly getRecoveryPoint: { readonly input: { readonly tenant: string; readonly snapshot: string }; readonly output: RecoveryPoint };
  /** Which instants one can return to, how that is known, and what is missing. */
  readonly getRecoveryWindow: { readonly input: { readonly tenant: string; readonly asset: string }; readonly output: RecoveryWindow };
  /** Set the tags of a recovery point. */
  readonly setTags: { readonly input: { readonly tenant: string; readonly snapshot: string; readonly body: PointTags }; readonly output: RecoveryPoint };
  /** Keep it whatever the policy says. */
  readonly placeHold: { readonly input: { readonly tenant: string; readonly snapshot: string; readonly body: Reason }; readonly output: RecoveryPoint };
  /** Ask for the release of a hold; a second person approves. */
  readonly releaseHold: { readonly input: { readonly tenant: string; readonly snapshot: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** Ask for the end of a recovery point; a second person approves. */
  readonly deleteRecoveryPoint: { readonly input: { readonly tenant: string; readonly snapshot: string; readonly body: Reason; readonly idempotencyKey?: string | undefined }; readonly output: Approval };
  /** Restore an asset as it was, to a directory or device of an agent. */
  readonly requestRestore: { readonly input: { readonly tenant: string; readonly body: RestoreRequest; readonly idempotencyKey?: string | undefined }; readonly output: RestorePlan | Restore };
  /** List requests and how they were decided. */
  readonly listApprovals: { readonly input: { readonly tenant: string; readonly query?: { readonly after?: string | undefined; readonly limit?: number | undefined } | undefined }; readonly output: { readonly items: readonly (ShownApproval)[]; readonly next?: string | undefined } };
  /** Show a request. */
  readonly getApproval: { readonly input: { readonly tenant: string; readonly approval: string }; readonly output: ShownApproval };
  /** Approve the request of somebody else, which is executed once as many have as it needs. */
  readonly approve: { readonly input: { readonly tenant: string; readonly approval: string }; readonly output: ShownApproval };
  /** Reject a request, or take back the own one. */
  readonly reject: { readonly input: { readonly tenant: string; readonly approval: string }; readonly output: ShownApproval };
  /** What is promised, and whether it is kept. */
  readonly getPosture: { readonly input: { readonly tenant: string; readonly query?: { readonly isKept?: boolean | undefined } | undefined }; readonly output: Posture };
  /** Show the copies of the repository at other sites, as they were seen last. */
  readonly listReplicas: { readonly input: { readonly tenant: string }; readonly output: Replicas };
  /** List events, the oldest first. */
  readonly listEvents: { readonly input: { readonly tenant: string; readonly query?: { readonly since?: number | undefined; readonly limit?: number | undefined } | undefined }; readonly output: EventList };
  /** Events as they happen (server-sent events). */
  readonly streamEvents: { readonly input: { readonly tenant: string; readonly query?: { readonly since?: number | undefined } | undefined; readonly lastEventId?: string | undefined }; readonly output: string };
  /** What the tenant uses, by day. */
  readonly getUsage: { readonly input: { readonly tenant: string; readonly query?: { readonly from?: string | undefined; readonly to?: string | undefined; readonly month?: string | undefined } | undefined }; readonly output: Usage };
  /** What the tenant uses, as CSV. */
  readonly getUsageCsv: { readonly input: { readonly tenant: string; readonly query?: { readonly from?: string | undefined; readonly to?: string | undefined; readonly month?: string | undefined } | undefined }; readonly output: string };
  /** What all tenants use: sums, and by day. */
  readonly getAllUsage: { readonly input: { readonly query?: { readonly from?: string | undefined; readonly to?: string | undefined; readonly month?: string | undefined } | undefined }; readonly output: UsageReport };
  /** What all tenants use, as CSV. */
  readonly getAllUsageCsv: { readonly input: { readonly query?: { readonly from?: string | undefined; readonly to?: string | undefined; readonly month?: string | undefined } | undefined }; readonly output: string };
  /** Read the audit of the tenant, the oldest first. */
  readonly listTenantAudit: { readonly input: { readonly tenant: string; readonly query?: { readonly since?: number | undefined; readonly limit?: number | undefined } | undefined }; readonly output: AuditList };
  /** Prove that no line of the audit was removed or changed. */
  readonly verifyTenantAudit: { readonly input: { readonly tenant: string }; readonly output: AuditProof };
  /** Read the whole audit, the oldest first. */
  readonly listAudit: { readonly input: { readonly query?: { readonly since?: number | undefined; readonly limit?: number | undefined } | undefined }; readonly output: AuditList };
  /** Prove that no line of the audit was removed or changed. */
  readonly verifyAudit: { readonly input: Readonly<Record<never, never>>; readonly output: AuditProof };
  /** Whether the process answers at all. */
  readonly health: { readonly input: Readonly<Record<never, never>>; readonly output: Health };
  /** Whether requests can be served: the catalogue can be read and written. */
  readonly readiness: { readonly input: Readonly<Record<never, never>>; readonly output: Health };
  /** Metrics in the format of Prometheus. */
  readonly metrics: { readonly input: Readonly<Record<never, never>>; readonly output: string };
};

export const OPERATIONS: Readonly<Record<keyof Operations, { readonly method: string; readonly path: string; readonly isIdempotent: boolean }>> = {
  login: { method: 'POST', path: '/v1/login', isIdempotent: false },
  logout: { method: 'POST', path: '/v1/logout', isIdempotent: false },
  me: { method: 'GET', path: '/v1/me', isIdempotent: true },
  changeMyPassword: { method: 'POST', path: '/v1/me/password', isIdempotent: false },
  offerTotp: { method: 'POST', path: '/v1/me/totp', isIdempotent: false },
  confirmTotp: { method: 'PUT', path: '/v1/me/totp', isIdempotent: false },
  removeTotp: { method: 'POST', path: '/v1/me/totp/remove', isIdempotent: false },
  listTenants: { method: 'GET', path: '/v1/tenants', isIdempotent: true },
  createTenant: { method: 'POST', path: '/v1/tenants', isIdempotent: true },
  getTenant: { method: 'GET', path: '/v1/tenants/{tenant}', isIdempotent: true },
  changeTenant: { method: 'PATCH', path: '/v1/tenants/{tenant}', isIdempotent: false },
  setAllowedSources: { method: 'PUT', path: '/v1/tenants/{tenant}/allowed-sources', isIdempotent: false },
  closeTenant: { method: 'POST', path: '/v1/tenants/{tenant}/close', isIdempotent: true },
  eraseTenant: { method: 'POST', path: '/v1/tenants/{tenant}/erase', isIdempotent: true },
  listCertificates: { method: 'GET', path: '/v1/tenants/{tenant}/certificates', isIdempotent: true },
  listTenantPeople: { method: 'GET', path: '/v1/tenants/{tenant}/people', isIdempotent: true },
  createTenantPerson: { method: 'POST', path: '/v1/tenants/{tenant}/people', isIdempotent: false },
  getTenantPerson: { method: 'GET', path: '/v1/tenants/{tenant}/people/{person}', isIdempotent: true },
  changeTenantPerson: { method: 'PATCH', path: '/v1/tenants/{tenant}/people/{person}', isIdempotent: false },
  listPeople: { method: 'GET', path: '/v1/people', isIdempotent: true },
  createPerson: { method: 'POST', path: '/v1/people', isIdempotent: false },
  getPerson: { method: 'GET', path: '/v1/people/{person}', isIdempotent: true },
  changePerson: { method: 'PATCH', path: '/v1/people/{person}', isIdempotent: false },
  listTenantTokens: { method: 'GET', path: '/v1/tenants/{tenant}/tokens', isIdempotent: true },
  createTenantToken: { method: 'POST', path: '/v1/tenants/{tenant}/tokens', isIdempotent: true },
  getTenantToken: { method: 'GET', path: '/v1/tenants/{tenant}/tokens/{token}', isIdempotent: true },
  revokeTenantToken: { method: 'DELETE', path: '/v1/tenants/{tenant}/tokens/{token}', isIdempotent: false },
  listTokens: { method: 'GET', path: '/v1/tokens', isIdempotent: true },
  createToken: { method: 'POST', path: '/v1/tokens', isIdempotent: true },
  getToken: { method: 'GET', path: '/v1/tokens/{token}', isIdempotent: true },
  revokeToken: { method: 'DELETE', path: '/v1/tokens/{token}', isIdempotent: false },
  listAgents: { method: 'GET', path: '/v1/tenants/{tenant}/agents', isIdempotent: true },
  getAgent: { method: 'GET', path: '/v1/tenants/{tenant}/agents/{agent}', isIdempotent: true },
  placeAgent: { method: 'PUT', path: '/v1/tenants/{tenant}/agents/{agent}/site', isIdempotent: false },
  revokeAgent: { method: 'POST', path: '/v1/tenants/{tenant}/agents/{agent}/revoke', isIdempotent: false },
  createEnrolment: { method: 'POST', path: '/v1/tenants/{tenant}/enrolments', isIdempotent: true },
  listAssets: { method: 'GET', path: '/v1/tenants/{tenant}/assets', isIdempotent: true },
  createAsset: { method: 'POST', path: '/v1/tenants/{tenant}/assets', isIdempotent: true },
  getAsset: { method: 'GET', path: '/v1/tenants/{tenant}/assets/{asset}', isIdempotent: true },
  changeAsset: { method: 'PATCH', path: '/v1/tenants/{tenant}/assets/{asset}', isIdempotent: false },
  retireAsset: { method: 'POST', path: '/v1/tenants/{tenant}/assets/{asset}/retire', isIdempotent: true },
  listPolicies: { method: 'GET', path: '/v1/tenants/{tenant}/policies', isIdempotent: true },
  getPolicy: { method: 'GET', path: '/v1/tenants/{tenant}/policies/{policy}', isIdempotent: true },
  putPolicy: { method: 'PUT', path: '/v1/tenants/{tenant}/policies/{policy}', isIdempotent: false },
  deletePolicy: { method: 'DELETE', path: '/v1/tenants/{tenant}/policies/{policy}', isIdempotent: false },
  getPolicyText: { method: 'GET', path: '/v1/tenants/{tenant}/policies/{policy}/text', isIdempotent: true },
  getEffectivePolicy: { method: 'GET', path: '/v1/tenants/{tenant}/assets/{asset}/policy', isIdempotent: true },
  listProviderPolicies: { method: 'GET', path: '/v1/policies', isIdempotent: true },
  getProviderPolicy: { method: 'GET', path: '/v1/policies/{policy}', isIdempotent: true },
  putProviderPolicy: { method: 'PUT', path: '/v1/policies/{policy}', isIdempotent: false },
  listPlans: { method: 'GET', path: '/v1/tenants/{tenant}/plans', isIdempotent: true },
  getPlan: { method: 'GET', path: '/v1/tenants/{tenant}/plans/{plan}', isIdempotent: true },
  putPlan: { method: 'PUT', path: '/v1/tenants/{tenant}/plans/{plan}', isIdempotent: false },
  deletePlan: { method: 'DELETE', path: '/v1/tenants/{tenant}/plans/{plan}', isIdempotent: false },
  listPlanVersions: { method: 'GET', path: '/v1/tenants/{tenant}/plans/{plan}/versions', isIdempotent: true },
  getRunbook: { method: 'GET', path: '/v1/tenants/{tenant}/plans/{plan}/runbook', isIdempotent: true },
  listDrills: { method: 'GET', path: '/v1/tenants/{tenant}/drills', isIdempotent: true },
  startDrill: { method: 'POST', path: '/v1/tenants/{tenant}/drills', isIdempotent: true },
  checkPlan: { method: 'POST', path: '/v1/tenants/{tenant}/plans/{plan}/check', isIdempotent: true },
  listEvidence: { method: 'GET', path: '/v1/tenants/{tenant}/evidence', isIdempotent: true },
  getEvidence: { method: 'GET', path: '/v1/tenants/{tenant}/evidence/{evidence}', isIdempotent: true },
  getEvidenceFile: { method: 'GET', path: '/v1/tenants/{tenant}/evidence/{evidence}/file', isIdempotent: true },
  getEvidenceReport: { method: 'GET', path: '/v1/tenants/{tenant}/evidence/{evidence}/report', isIdempotent: true },
  listFailovers: { method: 'GET', path: '/v1/tenants/{tenant}/failovers', isIdempotent: true },
  requestFailover: { method: 'POST', path: '/v1/tenants/{tenant}/failovers', isIdempotent: true },
  getFailover: { method: 'GET', path: '/v1/tenants/{tenant}/failovers/{failover}', isIdempotent: true },
  decideFailover: { method: 'POST', path: '/v1/tenants/{tenant}/failovers/{failover}/decisions', isIdempotent: true },
  undoFailover: { method: 'POST', path: '/v1/tenants/{tenant}/failovers/{failover}/undo', isIdempotent: true },
  breakGlass: { method: 'POST', path: '/v1/tenants/{tenant}/failovers/{failover}/break-glass', isIdempotent: true },
  resumeFailover: { method: 'POST', path: '/v1/tenants/{tenant}/failovers/{failover}/resume', isIdempotent: true },
  rejoinFailover: { method: 'POST', path: '/v1/tenants/{tenant}/failovers/{failover}/rejoin', isIdempotent: true },
  listRuns: { method: 'GET', path: '/v1/tenants/{tenant}/runs', isIdempotent: true },
  startRun: { method: 'POST', path: '/v1/tenants/{tenant}/runs', isIdempotent: true },
  getRun: { method: 'GET', path: '/v1/tenants/{tenant}/runs/{run}', isIdempotent: true },
  streamRun: { method: 'GET', path: '/v1/tenants/{tenant}/runs/{run}/stream', isIdempotent: true },
  cancelRun: { method: 'POST', path: '/v1/tenants/{tenant}/runs/{run}/cancel', isIdempotent: true },
  listRecoveryPoints: { method: 'GET', path: '/v1/tenants/{tenant}/recovery-points', isIdempotent: true },
  getRecoveryPoint: { method: 'GET', path: '/v1/tenants/{tenant}/recovery-points/{snapshot}', isIdempotent: true },
  getRecoveryWindow: { method: 'GET', path: '/v1/tenants/{tenant}/assets/{asset}/recovery-window', isIdempotent: true },
  setTags: { method: 'PUT', path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/tags', isIdempotent: false },
  placeHold: { method: 'POST', path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/hold', isIdempotent: false },
  releaseHold: { method: 'POST', path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/release', isIdempotent: true },
  deleteRecoveryPoint: { method: 'POST', path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/delete', isIdempotent: true },
  requestRestore: { method: 'POST', path: '/v1/tenants/{tenant}/restores', isIdempotent: true },
  listApprovals: { method: 'GET', path: '/v1/tenants/{tenant}/approvals', isIdempotent: true },
  getApproval: { method: 'GET', path: '/v1/tenants/{tenant}/approvals/{approval}', isIdempotent: true },
  approve: { method: 'POST', path: '/v1/tenants/{tenant}/approvals/{approval}/approve', isIdempotent: false },
  reject: { method: 'POST', path: '/v1/tenants/{tenant}/approvals/{approval}/reject', isIdempotent: false },
  getPosture: { method: 'GET', path: '/v1/tenants/{tenant}/promises', isIdempotent: true },
  listReplicas: { method: 'GET', path: '/v1/tenants/{tenant}/replicas', isIdempotent: true },
  listEvents: { method: 'GET', path: '/v1/tenants/{tenant}/events', isIdempotent: true },
  streamEvents: { method: 'GET', path: '/v1/tenants/{tenant}/events/stream', isIdempotent: true },
  getUsage: { method: 'GET', path: '/v1/tenants/{tenant}/usage', isIdempotent: true },
  getUsageCsv: { method: 'GET', path: '/v1/tenants/{tenant}/usage.csv', isIdempotent: true },
  getAllUsage: { method: 'GET', path: '/v1/usage', isIdempotent: true },
  getAllUsageCsv: { method: 'GET', path: '/v1/usage.csv', isIdempotent: true },
  listTenantAudit: { method: 'GET', path: '/v1/tenants/{tenant}/audit', isIdempotent: true },
  verifyTenantAudit: { method: 'GET', path: '/v1/tenants/{tenant}/audit/verify', isIdempotent: true },
  listAudit: { method: 'GET', path: '/v1/audit', isIdempotent: true },
  verifyAudit: { method: 'GET', path: '/v1/audit/verify', isIdempotent: true },
  health: { method: 'GET', path: '/healthz', isIdempotent: true },
  readiness: { method: 'GET', path: '/readyz', isIdempotent: true },
  metrics: { method: 'GET', path: '/metrics', isIdempotent: true },
};
