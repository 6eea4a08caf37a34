// How long drills ran, beside the rest of what a tenant uses.

export const SQL = `
ALTER TABLE usage_days ADD COLUMN drill_seconds INTEGER NOT NULL DEFAULT 0;
`;
