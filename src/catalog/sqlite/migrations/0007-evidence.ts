// Evidence of drills and failovers, with the very bytes of its files (compressed). Never changed, never deleted.

export const SQL = `
CREATE TABLE evidence (
  tenant_id TEXT NOT NULL REFERENCES tenants,
  id TEXT NOT NULL,
  plan TEXT NOT NULL,
  plan_version INTEGER NOT NULL,
  plan_digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  outcome TEXT NOT NULL,
  created_at TEXT NOT NULL,
  received_at TEXT NOT NULL,
  run_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  public_key TEXT NOT NULL,
  rpo_ms REAL,
  rto_ms REAL,
  levels TEXT NOT NULL,
  files TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_by_time ON evidence (tenant_id, received_at, id);
CREATE INDEX evidence_of_plan ON evidence (tenant_id, plan, received_at, id);

CREATE TABLE evidence_files (
  tenant_id TEXT NOT NULL,
  evidence_id TEXT NOT NULL,
  name TEXT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (tenant_id, evidence_id, name),
  FOREIGN KEY (tenant_id, evidence_id) REFERENCES evidence (tenant_id, id)
) STRICT;
`;
