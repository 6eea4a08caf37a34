// What the sender of a standby's log sends, message by message, read as our own capture reads a server's.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { PgConnection } from '../../../agents/postgres/connection.ts';
import { LogStream } from '../../../agents/postgres/replication-client.ts';
import { SENDER_PORT, WalSender } from '../../../agents/standby/wal-sender.ts';
import { scratchDirectory } from '../../support/scratch.ts';
import { seededBytes } from '../../support/seeded-random.ts';

const PAGE = 8192;

describe('the log that is sent to a standby', () => {
  it('is cut where pages end, wherever it begins: a standby reads the first page of a long record to its end', async () => {
    const directory = scratchDirectory();
    const start = 16 * 1024 * 1024 + 1000;
    // The end of a record is no end of a page, and what follows begins there.
    const pieces = [seededBytes(900_001, 1), seededBytes(400_000, 2), seededBytes(10, 3)];
    const whole = Buffer.concat(pieces);
    const ends = new Set<number>();
    let end = start;
    for (const { length } of pieces) ends.add((end += length));
    const sender = await WalSender.listen(directory, undefined, () => ({
      systemId: '1',
      timeline: 1,
      serverVersion: '15.1',
      until: Number.MAX_SAFE_INTEGER,
      history: async () => undefined,
      tail: (position) => {
        let at = position;
        return {
          get position() {
            return at;
          },
          next: async () => {
            const bytes = pieces.shift();
            if (bytes === undefined) return undefined;
            at += bytes.length;
            return { from: at - bytes.length, bytes };
          },
          more: () => sleep(50),
        };
      },
      now: () => new Date(),
      onTrouble: (error) => {
        throw error;
      },
    }));
    const address = { host: directory, port: SENDER_PORT, user: 'x', password: undefined, database: 'x', tls: 'disable' } as const;
    const connection = await PgConnection.open({ address, replication: 'true' });
    try {
      const stream = await LogStream.start(connection, 'any', start, 1);
      let at = start;
      const received: Buffer[] = [];
      while (at < start + whole.length) {
        const event = await stream.next();
        if (event.kind !== 'data') continue;
        expect(event.start).toBe(at);
        at += event.bytes.length;
        received.push(Buffer.from(event.bytes));
        expect(at % PAGE === 0 || ends.has(at), `a message ends at ${at}`).toBe(true);
      }
      expect(Buffer.compare(Buffer.concat(received), whole)).toBe(0);
    } finally {
      connection.close();
      await sender.close();
    }
  });
});
