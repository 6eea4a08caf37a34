// Of the attempts of a run that ended because its holder went away, those by which the service went away too.

export const SQL = `
ALTER TABLE runs ADD COLUMN lost_with_service INTEGER;
`;
