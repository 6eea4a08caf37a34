// Plans of disaster recovery. Every version that ever was stays; one of each name, or none, is in force.

export const SQL = `
CREATE TABLE plans (
  tenant_id TEXT NOT NULL REFERENCES tenants,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  digest TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  is_in_force INTEGER NOT NULL,
  readiness TEXT,
  PRIMARY KEY (tenant_id, name, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX plans_in_force ON plans (tenant_id, name) WHERE is_in_force = 1;
`;
