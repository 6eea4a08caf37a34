// Failovers that the service was asked for, with the journal as it was last heard of; requests that more than one person approves.

export const SQL = `
ALTER TABLE approvals ADD COLUMN needed INTEGER;
ALTER TABLE approvals ADD COLUMN approved_by TEXT;

CREATE TABLE failovers (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants,
  plan TEXT NOT NULL,
  plan_version INTEGER NOT NULL,
  plan_digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  disaster TEXT,
  agent_id TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested_at TEXT NOT NULL,
  approval_id TEXT NOT NULL,
  approvers TEXT NOT NULL,
  state TEXT NOT NULL,
  run_id TEXT,
  journal TEXT,
  heard_at TEXT,
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX failovers_of_tenant ON failovers (tenant_id, id);
CREATE INDEX failovers_of_plan ON failovers (tenant_id, plan, id);
`;
