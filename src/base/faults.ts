// Every way in which Holdfast can fail, in one table. A fault has a stable code (never re-used), a verdict on retrying, an exit
// status for the command line and a hint that says what to do. `test/base/faults.test.ts` ties the table to the documentation.
//
// Expected outcomes (nothing to do, a lost race) are union values, not faults. A broken invariant is `invariant()`, not a fault.

/** Exit statuses of the command line. 0 is success. */
export const EXIT = { failed: 1, usage: 2, warnings: 3, damage: 4, interrupted: 130 } as const;

type FaultEntry = {
  readonly retry: 'never' | 'later';
  readonly exit: number;
  readonly hint: string;
};

const never = (hint: string, exit: number = EXIT.failed): FaultEntry => ({ retry: 'never', exit, hint });
const later = (hint: string, exit: number = EXIT.failed): FaultEntry => ({ retry: 'later', exit, hint });

const NOT_AGAIN =
  'A restore is not tried again by itself: ask for it again with "delta", which goes on with what it has left at its target.';

export const FAULTS = {
  // Use
  USAGE: never('See "holdfast help".', EXIT.usage),
  INTERRUPTED: never('What was uploaded is kept; run the same command again to go on.', EXIT.interrupted),
  INTERNAL: never('This is a bug in Holdfast. Please report it with the text above and what led to it.'),

  // Store
  STORE_NOT_FOUND: never('The object is not in the store. Run "holdfast verify" to see what depends on it.'),
  STORE_DENIED: never('The store refused the credentials or the action. Check the key, its policy and the bucket name.'),
  STORE_UNREACHABLE: later('The store did not answer. Check the address and the network, then run the command again.'),
  STORE_TIMEOUT: later('The store did not answer in time. Run the command again; what was uploaded is kept.'),
  STORE_THROTTLED: later('The store asks for fewer requests. Lower --upload-limit or run the command again later.'),
  STORE_FULL: never('The store has no room left. Free space (forget and prune do), then run the command again.'),
  STORE_CORRUPT_ANSWER: later('The store answered with other bytes than it should have. Run "holdfast verify --full".'),
  STORE_STRANGE_ANSWER: later('Check the address, and that no proxy or login page answers in the place of the store.'),
  STORE_NO_CONDITIONAL_WRITES: never(
    'Concurrent writers would overwrite each other there. Use a store with If-None-Match and If-Match, a bucket with versions, or a directory.',
  ),
  STORE_NO_OBJECT_LOCK: never('Locks need a bucket that was made with Object Lock. Make one, and copy the repository there.'),
  STORE_BAD_LOCATION: never('Give a directory, or s3+http(s)://host:port/bucket/prefix.', EXIT.usage),
  STORE_BUCKET_MISSING: never('Create the bucket or directory first, or correct its name.'),
  STORE_BAD_KEY: never(
    'Names in a store are segments of a-z, 0-9, ".", "_" and "-", at most 200 bytes. The index may be damaged: run "holdfast verify".',
  ),
  STORE_TOO_LARGE: never('The value is larger than the program lets any store hold in one piece.'),
  STORE_INTERNAL: later(
    'The store reported an error of its own. Run the command again; if it stays, look at the logs of the store.',
  ),
  STORE_CORRUPT_UPLOAD: later(
    'The bytes changed on the way to the store, which refused them. Run the command again; if it stays, check memory and network.',
  ),
  STORE_OUTCOME_UNKNOWN: never(
    'Nobody can tell any more whether the change took place. Run the command again; it looks at the store first.',
  ),
  STORE_UNTRUSTED: never(
    'The certificate of the store is not trusted. Give its authority in NODE_EXTRA_CA_CERTS, or correct the address.',
  ),

  // Format
  FORMAT_DAMAGED: never('The bytes are not what was written. Run "holdfast verify --full", then "holdfast repair".', EXIT.damage),
  FORMAT_NOT_A_REPOSITORY: never('Check the location, or make a repository there with "holdfast init".'),
  FORMAT_TOO_NEW: never('This repository was made by a newer Holdfast. Upgrade this program.'),
  FORMAT_REPOSITORY_EXISTS: never('Choose another location, or use the repository that is there.'),

  // The index cache on the local disk
  INDEX_CACHE_DAMAGED: later(
    'The local index cache was damaged. It is only a cache: run the command again and what is missing is built anew.',
  ),
  INDEX_CACHE_DENIED: never('Name a directory that this user may write to with --cache-dir or HOLDFAST_CACHE_DIR.'),
  INDEX_CACHE_FULL: never('Free space on the disk of the cache directory, or choose another directory for the cache.'),

  // Protocol
  SESSION_REVOKED: later(
    'It was silent for so long that somebody gave it up, or clocks of hosts differ by as much. Run the command again; what was uploaded is found again.',
  ),
  SNAPSHOT_AMBIGUOUS: never('Give more digits of the snapshot.', EXIT.usage),
  SNAPSHOT_NOT_FOUND: never('See "holdfast snapshots".'),
  SNAPSHOT_PATH_NOT_FOUND: never('See "holdfast ls SNAPSHOT" for the paths that it holds.'),
  HEAD_CONTENTION: later('Very many programs change the repository at once. Run the command again.'),
  HEAD_MISSING: never(
    'Put it back from a copy of the repository. Without one: stop all backups and prunes, and run "holdfast repair --rebuild-head".',
    EXIT.damage,
  ),
  SNAPSHOT_DAMAGED: never(
    'Name another one by its id: "holdfast snapshots" lists them. Put its register back from a copy of the repository, or forget it: "holdfast forget ID".',
    EXIT.damage,
  ),
  HEAD_DAMAGED: never(
    'Put it back from a copy of the repository. Without one: stop all backups and prunes, and run "holdfast repair --rebuild-head".',
    EXIT.damage,
  ),
  HEAD_ROLLED_BACK: never(
    'Somebody put an older state of the repository in place. Find out who before you write; new backups are missing from it. If it is meant so, remove the local cache of this repository (--cache-dir, by its id).',
    EXIT.damage,
  ),
  REPOSITORY_BUSY: later('Wait for backups and restores that run, or end those that hang, then run the command again.'),
  REPOSITORY_FULL: never('Forget snapshots that are not needed and run "holdfast prune", which also merges index objects.'),

  // Replicas
  REPLICA_READ_ONLY: never(
    'Write to the repository that it is copied from. If that is gone for good, "holdfast replica release" makes this one a repository of its own.',
  ),
  REPLICA_FOREIGN: never('What is there is not a replica of this repository. Name an empty place, or the right one.'),
  REPLICA_DIVERGED: never(
    'Somebody changed the replica or put an older state of one of the two in place. Nothing was overwritten. Find out which one holds what is needed before anything else.',
    EXIT.damage,
  ),
  REPLICA_LEFT_STATE: never(
    'This place keeps what it held before it became a replica. Look at it, and let it go with "holdfast replica discard" when nobody needs it.',
  ),
  REPLICA_TAKEN_OVER: never('Another replication, or a release, has taken this replica over. Only one may run.'),

  // Source
  SOURCE_UNREADABLE: never('Check the path and the rights of this user.'),
  SOURCE_NOT_FOUND: never('There is nothing at this path. Check it; nothing was backed up.'),

  // PostgreSQL and its log
  PG_UNREACHABLE: later('Check that the server runs, its address and the network. What was captured is kept.'),
  PG_DENIED: never('Check user, password and pg_hba.conf. "holdfast pg preflight" prints what is missing.'),
  PG_REFUSED: never('See the message, and the log of the server. "holdfast pg preflight" prints what is missing.'),
  PG_PROTOCOL: never('The server speaks in a way that is not known here: it must be PostgreSQL 13 or newer.'),
  PG_NOT_READY: never('Run what "holdfast pg preflight" prints, then try again.'),
  PG_OTHER_CLUSTER: never(
    'This is another cluster than the one whose log the asset holds. Protect it under another --asset; the old one stays restorable.',
  ),
  PG_SLOT_BUSY: later('Another capture reads from this replication slot. End it, or give this one a --slot of its own.'),
  PG_CONCERN: later('Nothing is lost yet. Do something about it before it is: see the message, and "holdfast pg preflight".'),
  PG_LOG_REMOVED: never(
    'The server has removed log that was not captured yet. The gap is recorded; a new base backup begins a new window.',
  ),
  PG_PAGES_CORRUPT: never(
    'The server found pages with wrong checksums. The last clean backup stays; find the tables with pg_amcheck before anything else.',
  ),
  PG_RECOVERY_FAILED: never('See the log of the restored server. Nothing was handed over; production was not touched.'),
  LOG_FORKED: never(
    'There are two different logs under one name: two servers wrote as the same timeline. Both are kept. Find out which one is production, and protect it under an --asset of its own if it is the other one.',
    EXIT.damage,
  ),
  LOG_NOT_STORED: later(
    'Check the store, and the free space of the server: until it answers, the server keeps its log on its own disk. Nothing is lost yet.',
  ),
  LOG_TAKEN_OVER: later(
    'Another capture of the same cluster stores its log now. This one goes on by itself, and takes over when the other one is late.',
  ),
  LOG_GAP: never('Log is missing there. See "holdfast pg window" for the intervals that can be restored.'),
  LOG_LET_GO: later('Retention let go of what this capture was storing, since it was old. Capture begins anew by itself.'),
  RECOVERY_REFUSED: never('See "holdfast pg window" for the intervals that can be restored.', EXIT.usage),

  // Retention
  RETENTION_EMPTY: never('Give at least one rule, e.g. --keep-daily 7.', EXIT.usage),
  RETENTION_DROPS_ALL: never(
    'The policy keeps no snapshot of an asset. Change it, or say that you mean it with --allow-empty.',
    EXIT.usage,
  ),

  // Policies
  POLICY_INVALID: never('Correct the policy at the lines named above; "holdfast policy validate" checks it.', EXIT.usage),
  POLICY_NOT_FOUND: never('A policy extends another by its name: put NAME.yaml beside it, or correct the name.', EXIT.usage),

  // Plans and evidence
  PLAN_INVALID: never('Correct the plan at the lines named above; "holdfast plan validate" checks it.', EXIT.usage),
  EVIDENCE_REFUSED: never('See what "holdfast evidence verify" names. Get the pack again from where it was made.', EXIT.damage),
  DRILL_NOT_ISOLATED: never(
    'Run the drill as root, or where users may make namespaces (user.max_user_namespaces), with util-linux and iproute2; nothing of production was touched.',
  ),
  DRILL_FAILED: never('See in the report of its evidence which action has failed, correct it, and rehearse again.'),
  DRILL_VOID: never('It proves nothing: see in its evidence what could be reached, or has changed, and rehearse again.'),
  DRILL_NO_SPACE: never('Free space, or name a larger place with --directory: clones are as large as the databases.'),
  ROUTE_STALE: never('A later failover has changed this route. Nothing was changed; look at the journal of that one.'),
  EVIDENCE_NOT_KEPT: later('Mend the directory, or name another with --evidence-dir; then go on with "holdfast failover run".'),
  ROUTE_FAILED: later('Check the directory of the file and the rights of who runs this; then go on with "holdfast failover run".'),

  // Export
  EXPORT_CANNOT_LISTEN: never('Choose another --listen or --socket: something else is there, or this user may not listen there.'),

  // Keys
  KEY_PASSPHRASE_MISSING: never(
    'Name a file with the passphrase in HOLDFAST_PASSPHRASE_FILE, or use --passphrase-file.',
    EXIT.usage,
  ),
  KEY_PASSPHRASE_WRONG: never(
    'No key of this repository opens with this passphrase. Check the file (a final line break does not count). If it is surely right, the stored key is damaged: "holdfast key import" makes one from the text in the safe.',
  ),
  KEY_CANNOT_READ: never('This key can write backups but not read their content. Use an owner key.'),
  KEY_NOT_FOUND: never('See "holdfast key list".'),
  KEY_IN_USE: never(
    'Open the repository with another owner\'s key to remove this one; "holdfast key passwd" changes its passphrase.',
  ),
  KEY_OTHER_OWNERS: never(
    'Rotate with --drop-other-owners, which removes them, and let each owner add a key again; or remove them before.',
  ),
  KEY_SUPERSEDED: later(
    'The keys of the repository were changed while this ran. Nothing is damaged: run the command again, with the passphrase of a key that is there now.',
  ),
  KEY_TEXT_DAMAGED: never('Compare the line with the paper. Letters O and I are never digits; every line ends with its checksum.'),
  KEY_OF_OTHER_REPOSITORY: never('Check the location of the repository, and which key this is.'),

  // Service
  HOME_DENIED: never('Name a directory in which this user may make one, or run it as the user whose directory it is.'),
  SERVICE_CANNOT_LISTEN: never('Choose another --listen: something else is there, or this user may not listen there.'),
  SERVICE_HOME_COPIED: never(
    'Two services on one repository would each forget what the other keeps. For a service of its own, on the repositories that were copied with it: "holdfast catalog rebuild --home HOME".',
  ),
  SERVICE_STORE_TAKEN: never(
    'Two services on one repository would each forget what the other keeps. Be sure that the other one is stopped for good, then start this one with --take-over, once; or give it a store of its own.',
  ),
  SERVICE_SUPERSEDED: never(
    'Another service was started on these repositories, and this one has stopped. If that was by mistake, stop the other one and start this one with --take-over, once.',
  ),
  SERVICE_STOPPING: later('The service is being stopped or restarted. Try again in a moment.'),
  TENANT_NOT_FOUND: never('Check the id or name of the tenant.'),
  TENANT_SUSPENDED: later(
    'An administrator suspended the tenant: nothing of it is backed up or restored until it is active again.',
  ),
  TENANT_REPOSITORY_GONE: later(
    'See that its store is mounted and is the right one. Nothing is made anew there. If it was moved, tell the service: "holdfast catalog rebuild --at PLACE".',
  ),
  TENANT_KEY_GONE: never(
    'Its key is not among the secrets of the service: it was destroyed ("holdfast tenant certificate" tells when), or the secrets have to come back with "holdfast catalog restore".',
  ),
  CERTIFICATE_MISSING: never(
    'Ask for the erasure with "holdfast tenant erase", or see how far it is with "holdfast run list --kind erase".',
  ),
  CERTIFICATE_REFUSED: never(
    'It is not what was signed. Get it again from where it is kept: the service, or "certificates/" beside the checkpoints of the audit.',
    EXIT.damage,
  ),
  ERASURE_WAITS: later('Runs of the tenant, or a backup of the service, have to end first. It is tried again by itself.'),
  TENANT_CLOSED: never('The tenant is closed. Stop the agent, or enrol it for another tenant.'),

  // Requests to the service
  REQUEST_INVALID: never('Correct the field that the message names. /openapi.json says what each request takes.', EXIT.usage),
  REQUEST_UNAUTHENTICATED: never('Send "Authorization: Bearer SECRET" with a token that is neither revoked nor expired.'),
  REQUEST_FORBIDDEN: never(
    'None of the roles of this principal allows it. Ask an owner of the tenant or the security administrator.',
  ),
  REQUEST_SOURCE_REFUSED: never('The tenant allows requests from certain addresses only. See its allowedSources.'),
  REQUEST_NOT_FOUND: never('Check the address and the id. What belongs to others cannot be seen either.'),
  REQUEST_CONFLICT: never('Something of that name exists, or its state does not allow the change. Read it again.'),
  REQUEST_STALE: never(
    'Somebody changed it meanwhile. Read it again, look at what changed, and send the change with its new ETag.',
  ),
  REQUEST_NEEDS_VERSION: never('Read it first and send its ETag in If-Match, so that no change of others is lost.'),
  REQUEST_KEY_REUSED: never('This Idempotency-Key was used for another request. Use a new key for each thing that is to be done.'),
  REQUEST_ANSWERED_ONCE: never(
    'It was carried out, and its answer held a secret, which is kept nowhere. Revoke the token that it made (an enrolment that nobody uses ends by itself), and ask again with a new Idempotency-Key.',
  ),
  REQUEST_KEY_BUSY: later('The same request is being answered. Send it again in a moment.'),
  REQUEST_TOO_LARGE: never('The body is larger than this route takes.'),
  REQUEST_MEDIA_TYPE: never('Send JSON with "Content-Type: application/json".'),
  REQUEST_RATE_LIMITED: later('Too many requests. Wait as long as Retry-After says.'),
  REQUEST_TIMEOUT: later(
    'The request took too long to arrive or to be answered. Send it again; an Idempotency-Key makes that safe.',
  ),
  LOGIN_REFUSED: never('Login, password or code is wrong, or the account is disabled.'),
  LOGIN_CODE_NEEDED: never('This account has a second factor. Send the code that its device shows.'),
  SERVICE_NOT_READY: later(
    'The service is starting or stopping, or its catalogue does not answer. Try again in a moment; see /readyz.',
  ),
  SERVICE_UNREACHABLE: later('No answer from the service. Check HOLDFAST_SERVICE, the network and that "holdfast serve" runs.'),

  // Agents
  AGENT_UNKNOWN: never('Enrol the agent again with a new token: "holdfast agent --enroll TOKEN --service URL".'),
  AGENT_REVOKED: never('An administrator revoked this agent. Enrol it again with a new token if that was not meant.'),
  AGENT_SIGNATURE_BAD: never(
    'The request was changed on its way, or the key in the home of the agent is not the one that was enrolled.',
  ),
  AGENT_REPLAYED: later('The same signed request came twice. A proxy that repeats requests does that; ask it not to.'),
  AGENT_CLOCK_SKEW: later("Set the clock of the agent's host (NTP). Clocks may differ by five minutes."),
  AGENT_VERSION_UNSUPPORTED: never('Upgrade the older side. Agents work with a service that is one minor version older or newer.'),
  AGENT_ENROLMENT_REFUSED: never('A token works once and for a short time. Ask an operator for a new one.'),
  AGENT_SOURCE_DENIED: never(
    'The tenant admits agents from listed addresses only. Add this one to the list, or connect from another.',
  ),
  AGENT_BUSY: later('The service has too many requests at once. The agent tries again by itself.'),
  AGENT_NOT_ENROLLED: never('Enrol it first: "holdfast agent --enroll TOKEN --service URL".', EXIT.usage),
  AGENT_ENROLLED_ALREADY: never('Choose another --home, or remove this one if its agent is not needed any more.', EXIT.usage),
  AGENT_HOME_BUSY: never('Another agent runs with this home. Stop it first, or choose another --home.'),
  AGENT_HOME_DAMAGED: never('Restore the file, or remove the home and enrol the agent again.'),
  AGENT_INTERRUPTED: later(`The agent stopped during the run. What was uploaded is kept; the run is tried again. ${NOT_AGAIN}`),
  AGENT_RUN_CRASHED: later(
    `The process of the run died. What was uploaded is kept; the run is tried again. ${NOT_AGAIN} See the log of the agent.`,
  ),
  AGENT_RESTORE_DENIED: never('Start the agent with --allow-restore DIR to admit restores below DIR.'),
  AGENT_HOOK_DENIED: never('Start the agent with --allow-hooks DIR to admit commands in DIR.'),
  AGENT_NOT_AT_SITE: never('Start an agent with --site-config FILE on a host of that site.'),
  AGENT_HOOK_FAILED: later('A command of the policy failed. See its output in the message, and run it by hand on the host.'),
  MESSAGE_INVALID: never('The two sides do not understand each other. Check the versions of agent and service.'),
  RUN_FENCED: never('The run was given to somebody else, or is over. Nothing of this attempt counts any more.'),
  RUN_CANCELED: never('Somebody canceled the run.'),
  RUN_KIND_UNKNOWN: never('Upgrade the agent: it does not know runs of this kind.'),
  SESSION_GONE: later(
    'The service was restarted or had given this session up. What was uploaded is kept; the run is tried again and finds it.',
  ),
  SESSION_REFUSED: never('What the agent sent does not belong to its session. Upgrade the agent; if it stays, look at its host.'),
  GRANT_REFUSED: later('The grant is used, over or unknown. The agent asks for a new one by itself.'),
  QUOTA_EXCEEDED: never('The tenant has used up its quota. Raise it, or forget snapshots that are not needed and prune.'),
  READING_NOT_READY: later('The service is still finding out what the snapshot needs. The agent asks again by itself.'),
  RESTORE_TEST_DIFFERS: never(
    'What was restored differs from the snapshot. Run "holdfast verify --full" on the repository.',
    EXIT.damage,
  ),
  SERVICE_TIMEOUT: later(
    'The service did not answer in time. The network or the service is slow; the agent tries again by itself.',
  ),
  SERVICE_CORRUPT_ANSWER: later('The answer was cut or changed on its way. Check the network and proxies.'),
  SERVICE_UNTRUSTED: never(
    'The certificate of the service is not trusted. Give its authority with --ca FILE, or correct the address.',
  ),

  // Runs of the service itself
  RUN_CHILD_DIED: later('The run is tried again. If it stays so, look at the log of the service and at the memory of its host.'),
  REPOSITORY_DAMAGED: never(
    'Look at the damaged things in the result of the run, then run "holdfast repair", with --from when there is a copy.',
    EXIT.damage,
  ),

  // Channels that events go to
  CHANNEL_INVALID: never('Correct the channels; the form is in the API document under "ChannelList".', EXIT.usage),
  CHANNEL_SECRET_MISSING: later('Put the secret into a file of that name in the directory "secrets" of the home of the service.'),

  // The place that is restored to
  TARGET_NOT_FOUND: never('Create the target directory first, or correct its name.'),
  TARGET_PATH_ESCAPES: never(
    'A name in the snapshot leads out of the target. Nothing was written there. Restore the other paths one by one with --path.',
  ),
  TARGET_LINK_IN_THE_WAY: never(
    'Nothing is written through a symlink in the target. Remove the link, or restore to an empty directory.',
  ),
  TARGET_OCCUPIED: never('Something else of that name is in the target. Move it away, or restore to an empty directory.'),
  TARGET_FULL: never(
    'Free space (or quota, or inodes) at the target, then run the command again ("restore" with --delta): what is there already is kept.',
  ),
  TARGET_DENIED: never('Run the restore as root, or choose a target that this user may write to.'),
  TARGET_UNSUPPORTED: never('The file system of the target cannot hold such an entry. Choose another file system for it.'),
  TARGET_FAILED: never('The file system of the target failed. See the message and the kernel log.'),

  // Catalogue
  CATALOG_TOO_NEW: never('This catalogue was made by a newer Holdfast. Upgrade this program.'),
  CATALOG_NOT_ONE: never('The file is something else. Check its path; nothing was changed.'),
  CATALOG_DAMAGED: never(
    'Stop the service, keep the file, and put a copy back with "holdfast catalog restore" or make it anew with "holdfast catalog rebuild".',
    EXIT.damage,
  ),
  CATALOG_MISSING: never(
    'Bring it back first, with "holdfast catalog restore" or, out of the repositories alone, "holdfast catalog rebuild" (ops/runbooks/lost-service.md). A first start would begin with other tenants and other passphrases.',
    EXIT.damage,
  ),
  CATALOG_BUSY: later('Another process held the catalogue for too long. Run it again; if it stays, look for a process that hangs.'),
  CATALOG_FULL: never('Free space on the disk of the catalogue. Nothing that was acknowledged is lost.'),
  CATALOG_DENIED: never('Check that the directory exists and that this user may write to the file and beside it.'),
  CATALOG_FAILED: never('The disk of the catalogue failed. See the message and the kernel log.'),

  // The registry: who may write where there are two sites
  REGISTRY_UNREACHABLE: later(
    'No majority of the registry answers. Check that its members run and reach each other. A primary goes on while its candidates promise.',
  ),
  REGISTRY_DENIED: never('The registry refused. Check its access rules, or the rights of this user to the file.'),
  REGISTRY_DAMAGED: never(
    'The registry is not what was written, or newer than this program. Change nothing there; find out why.',
    EXIT.damage,
  ),

  // The start gate of a database that has two sites
  DR_NOT_REGISTERED: never('Register the database with its sites first.'),
  GATE_BUSY: never('Another gate, or a server that was started without one, has this data directory. End it first.'),
  GATE_BLIND: never(
    'Run it as the owner of the data directory, or with the capability CAP_SYS_PTRACE: a container or a unit of systemd may lack it.',
  ),
  GATE_SERVER_FAILED: never('See server.log in the data directory.'),
  GATE_NOT_HOLDER: never('Somebody else may write by now, or nobody. Look at the register before you do anything.'),
  STANDBY_NONE: never('Make one first: "holdfast standby make".'),
  STANDBY_REFUSED: never('See "holdfast standby status". Nothing was changed.'),

  // Site daemons
  SITE_UNREACHABLE: later(
    'Look whether the daemon of that site runs and the network leads there. What was asked may have taken place.',
  ),
  SITE_DENIED: never(
    'Each site daemon must have the public key of the other: compare the lines that "holdfast site init" printed.',
  ),
  SITE_UNKNOWN_ASSET: never('Name a database of the configuration of that site daemon.'),
  SITE_LEASE: never(
    'Write what is registered into the configuration; or change it: where the database is written stop the daemon, "holdfast site lease", start it.',
  ),
  SITE_REFUSED: never('The message says what stands in the way.'),
  SITE_CONFIG: never('Correct the configuration of the site daemon; "holdfast site init" writes a commented example.', EXIT.usage),

  // Failovers
  FAILOVER_RUNNING: never('Let it finish or undo it. One database has one failover at a time.'),
  FAILOVER_NONE: never('Declare one first.'),
  FAILOVER_OVER: never('See with "holdfast failover status" and the name of the plan what came after it.'),
  FAILOVER_NOT_APPROVED: never('The plan says how many people approve: name each of them with --approve.', EXIT.usage),
  FAILOVER_NO_DECISION: never('See with "holdfast failover status" what it waits for.', EXIT.usage),
  FAILOVER_NO_TARGET: never(
    'See where the databases of the plan are with "holdfast failover readiness"; another kind may be meant.',
  ),
  FAILOVER_PAST_UNDO: never(
    'The other site may write already. Let it finish; the way back is a planned failover to the first site.',
  ),

  // Audit and approvals
  AUDIT_BROKEN: never(
    'Somebody removed, changed or moved entries. Keep the catalogue and its backups as they are and find out who; an older backup of it shows what was there.',
    EXIT.damage,
  ),
  APPROVAL_NOT_FOUND: never('See the list of approvals of the tenant.'),
  APPROVAL_NOT_OPEN: never('It was decided, executed or expired meanwhile. Make a new request if it is still needed.'),
  APPROVAL_TWICE: never('Somebody else has to approve it, too.'),
  APPROVAL_OWN_REQUEST: never('A second person has to approve it.'),
  APPROVAL_OF_PERSONS: never('A person has to log in and decide.'),

  // Runs
  RUN_LOST: later(`Whoever ran it fell silent. Check that its host and the agent on it are up. ${NOT_AGAIN}`),
  RUN_LOST_TOO_OFTEN: never(
    'It may be the run that ends its holder: look at the memory and the devices of that host at those moments. It is not tried again; start another one.',
  ),
  RUN_TOO_LATE: never(
    'Nobody could start it in its window. Check its agent, the limits of concurrency and the length of the window.',
  ),
} as const satisfies Record<string, FaultEntry>;

export type FaultCode = keyof typeof FAULTS;

/** A failure with a stable code. `message` says what failed and on what; `hint` says what to do. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly hint: string;

  constructor(code: FaultCode, message: string, options?: { readonly cause?: unknown; readonly hint?: string }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options?.hint ?? FAULTS[code].hint;
  }

  get retry(): 'never' | 'later' {
    return FAULTS[this.code].retry;
  }

  get exit(): number {
    return FAULTS[this.code].exit;
  }
}

/** True when `error` is a fault, and, if codes are given, one of those. */
export function isFault(error: unknown, ...codes: readonly FaultCode[]): error is Fault {
  return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
}
