// What is asked after a kill: which sessions are said to be open, and whether a run has made its recovery point already.

export const SQL = `
CREATE INDEX write_sessions_open ON write_sessions (session) WHERE state = 'open';
CREATE INDEX recovery_points_of_run ON recovery_points (tenant_id, run_id) WHERE run_id IS NOT NULL;
`;
