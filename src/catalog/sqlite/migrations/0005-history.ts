// Sessions in the order of their age: old ones are trimmed (history.ts).

export const SQL = `
CREATE INDEX write_sessions_by_age ON write_sessions (opened_at, session);
`;
