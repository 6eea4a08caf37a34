// Attempts of a run that ended because whoever held it went away; limits of how many runs at once, by host and by site; where hosts are.

export const SQL = `
ALTER TABLE runs ADD COLUMN lost INTEGER;
ALTER TABLE runs ADD COLUMN per_host_max INTEGER;
ALTER TABLE runs ADD COLUMN per_site_max INTEGER;
ALTER TABLE runs ADD COLUMN site TEXT;
CREATE INDEX runs_running_at_site ON runs (tenant_id, site) WHERE state = 'running' AND site IS NOT NULL;

ALTER TABLE agents ADD COLUMN site TEXT;
ALTER TABLE enrolments ADD COLUMN site TEXT;
`;
