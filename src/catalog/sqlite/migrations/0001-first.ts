// The first catalogue. Rules of these files: a file is never changed once released, only followed by another; each is one transaction.
//
// Composite keys (tenant_id, id) keep a row of one tenant from naming a row of another. Runs and assets are never deleted: history
// names them. What only records history (events, audit, recovery points' runs) names things without foreign keys.

export const SQL = `
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  city TEXT,
  district TEXT,
  quota TEXT NOT NULL,
  allowed_sources TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'closed')),
  created_at TEXT NOT NULL,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
  id TEXT PRIMARY KEY,
  login TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  grants TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
  has_totp INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  version INTEGER NOT NULL,
  password_hash TEXT NOT NULL,
  totp_secret TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  person_id TEXT REFERENCES people,
  grants TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  last_used_at TEXT,
  revoked_at TEXT,
  digest TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolments (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  label TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  created_by TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE,
  taken_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  label TEXT NOT NULL,
  public_key TEXT NOT NULL UNIQUE,
  host TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
  enrolled_at TEXT NOT NULL,
  last_seen_at TEXT,
  revoked_at TEXT,
  UNIQUE (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
  id TEXT PRIMARY KEY,
  tenant_id TEXT REFERENCES tenants,
  name TEXT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('city', 'district', 'tenant', 'asset')),
  scope TEXT,
  text TEXT NOT NULL,
  version INTEGER NOT NULL,
  changed_at TEXT NOT NULL,
  changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX policies_by_name ON policies (coalesce(tenant_id, ''), name);
CREATE INDEX policies_of_tenant ON policies (tenant_id, id);

CREATE TABLE assets (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  label TEXT,
  source TEXT NOT NULL,
  policy_id TEXT REFERENCES policies,
  state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'retired')),
  created_at TEXT NOT NULL,
  version INTEGER NOT NULL,
  UNIQUE (tenant_id, id),
  UNIQUE (tenant_id, name),
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX assets_of_agent ON assets (tenant_id, agent_id);
CREATE INDEX assets_of_policy ON assets (policy_id) WHERE policy_id IS NOT NULL;

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  asset_id TEXT,
  agent_id TEXT,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  parameters TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'warned', 'failed', 'canceled')),
  due_at TEXT NOT NULL,
  not_before TEXT NOT NULL,
  start_by TEXT,
  attempt INTEGER NOT NULL,
  attempts_max INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  claimed_by TEXT,
  lease_until TEXT,
  cancel_requested_at TEXT,
  progress TEXT,
  result TEXT,
  fault TEXT,
  requested_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  started_at TEXT,
  ended_at TEXT,
  -- The fence and the state of the last end that was said: the same said twice is known again.
  said_fence INTEGER,
  said_state TEXT,
  UNIQUE (tenant_id, key),
  FOREIGN KEY (tenant_id, asset_id) REFERENCES assets (tenant_id, id),
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id),
  CHECK (state <> 'running' OR (claimed_by IS NOT NULL AND lease_until IS NOT NULL AND fence > 0))
) STRICT;
CREATE INDEX runs_queued_of_agent ON runs (agent_id, priority DESC, due_at, id) WHERE state = 'queued' AND agent_id IS NOT NULL;
CREATE INDEX runs_queued_of_service ON runs (priority DESC, due_at, id, tenant_id, kind, not_before, start_by, asset_id)
  WHERE state = 'queued' AND agent_id IS NULL;
CREATE INDEX runs_running ON runs (tenant_id, kind, asset_id) WHERE state = 'running';
CREATE INDEX runs_running_of_agent ON runs (agent_id) WHERE state = 'running';
CREATE INDEX runs_by_lease ON runs (lease_until) WHERE state = 'running';
CREATE INDEX runs_by_start ON runs (start_by) WHERE state = 'queued' AND start_by IS NOT NULL;
CREATE INDEX runs_of_tenant ON runs (tenant_id, id);
CREATE INDEX runs_open ON runs (tenant_id, id) WHERE state IN ('queued', 'running');
CREATE INDEX runs_open_of_asset ON runs (asset_id, id) WHERE state IN ('queued', 'running') AND asset_id IS NOT NULL;
CREATE INDEX runs_of_asset ON runs (asset_id, id) WHERE asset_id IS NOT NULL;
CREATE INDEX runs_ended ON runs (asset_id, kind, ended_at, id) WHERE asset_id IS NOT NULL AND ended_at IS NOT NULL;

-- Counted as they change: metrics never scan the history.
CREATE TABLE run_counts (
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (kind, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER runs_counted AFTER INSERT ON runs BEGIN
  INSERT INTO run_counts VALUES (NEW.kind, NEW.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs WHEN NEW.state <> OLD.state BEGIN
  UPDATE run_counts SET count = count - 1 WHERE kind = OLD.kind AND state = OLD.state;
  INSERT INTO run_counts VALUES (NEW.kind, NEW.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TABLE recovery_points (
  tenant_id TEXT NOT NULL REFERENCES tenants,
  snapshot TEXT NOT NULL,
  asset_id TEXT,
  asset_name TEXT NOT NULL,
  run_id TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT NOT NULL,
  bytes_scanned INTEGER NOT NULL,
  bytes_stored INTEGER NOT NULL,
  has_warnings INTEGER NOT NULL,
  tags TEXT NOT NULL,
  is_held INTEGER NOT NULL,
  proven_at TEXT,
  proof TEXT,
  is_sound INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, snapshot),
  FOREIGN KEY (tenant_id, asset_id) REFERENCES assets (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_points_by_time ON recovery_points (tenant_id, started_at, snapshot);
CREATE INDEX recovery_points_of_asset ON recovery_points (asset_id, started_at, snapshot) WHERE asset_id IS NOT NULL;

CREATE TABLE write_sessions (
  session TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'committed', 'abandoned')),
  verified_at TEXT,
  opened_at TEXT NOT NULL,
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX write_sessions_of_tenant ON write_sessions (tenant_id, session);

CREATE TABLE store_grants (
  digest TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  key TEXT NOT NULL,
  length_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX store_grants_by_end ON store_grants (expires_at);

CREATE TABLE schedules (
  asset_id TEXT NOT NULL REFERENCES assets,
  kind TEXT NOT NULL,
  done_until TEXT NOT NULL,
  PRIMARY KEY (asset_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE promises (
  asset_id TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  objective TEXT NOT NULL,
  is_kept INTEGER NOT NULL,
  measured REAL,
  promised REAL NOT NULL,
  since TEXT NOT NULL,
  judged_at TEXT NOT NULL,
  PRIMARY KEY (asset_id, objective),
  FOREIGN KEY (tenant_id, asset_id) REFERENCES assets (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX promises_of_tenant ON promises (tenant_id, asset_id, objective);

CREATE TABLE events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  tenant_id TEXT,
  asset_id TEXT,
  run_id TEXT,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  message TEXT NOT NULL,
  cause TEXT,
  action TEXT,
  details TEXT,
  at TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_tenant ON events (tenant_id, sequence);

CREATE TABLE deliveries (
  id TEXT PRIMARY KEY,
  event_id TEXT NOT NULL REFERENCES events (id),
  channel TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  not_before TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'given-up')),
  last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (not_before, id) WHERE state = 'waiting';
CREATE INDEX deliveries_of_event ON deliveries (event_id);

CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  action TEXT NOT NULL,
  request TEXT NOT NULL,
  reason TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'executed')),
  decided_by TEXT,
  decided_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_of_tenant ON approvals (tenant_id, id);
CREATE INDEX approvals_by_end ON approvals (expires_at) WHERE state IN ('pending', 'approved');

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  tenant_id TEXT,
  actor TEXT NOT NULL,
  actor_label TEXT NOT NULL,
  source TEXT,
  action TEXT NOT NULL,
  subject TEXT,
  outcome TEXT NOT NULL,
  details TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant_id, sequence);
-- Against mistakes; against malice there is the chain.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TABLE usage_days (
  tenant_id TEXT NOT NULL REFERENCES tenants,
  day TEXT NOT NULL,
  protected_bytes INTEGER NOT NULL DEFAULT 0,
  stored_bytes INTEGER NOT NULL DEFAULT 0,
  egress_bytes INTEGER NOT NULL DEFAULT 0,
  runs INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  begun_at TEXT NOT NULL,
  status INTEGER,
  body TEXT,
  headers TEXT,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (begun_at);

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`;
