// Recovery points of which a rehearsal has shown what no verify of the repository can: that they do not lead to where they should.

export const SQL = `
ALTER TABLE recovery_points ADD COLUMN refuted_at TEXT;
`;
