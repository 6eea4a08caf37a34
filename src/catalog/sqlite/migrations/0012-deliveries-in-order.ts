// What a channel is told, it is told in the order in which it happened.

export const SQL = `
ALTER TABLE deliveries ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET sequence = (SELECT sequence FROM events WHERE events.id = deliveries.event_id);
DROP INDEX deliveries_due;
CREATE INDEX deliveries_waiting ON deliveries (channel, sequence) WHERE state = 'waiting';
`;
