import { laterBy } from '../../model/instant.ts';
import type { AnswerTable } from '../catalog.ts';
import type { Executor } from './executor.ts';

/** Whoever is at it for longer than this has died. */
const BUSY_MAX_MS = 10 * 60 * 1000;

const BEGIN = `INSERT INTO answers (scope, key, request_digest, begun_at) VALUES (@scope, @key, @digest, @at)
  ON CONFLICT (scope, key) DO UPDATE SET begun_at = @at
    WHERE status IS NULL AND request_digest = @digest AND begun_at < @diedBefore`;
const GET = 'SELECT request_digest, status, body, headers FROM answers WHERE scope = ? AND key = ?';
const FINISH = 'UPDATE answers SET status = @status, body = @body, headers = @headers WHERE scope = @scope AND key = @key';
const DROP = 'DELETE FROM answers WHERE scope = ? AND key = ? AND status IS NULL';
const FORGET = 'DELETE FROM answers WHERE begun_at < ?';

export function answerTable(executor: Executor): AnswerTable {
  return {
    begin: (scope, key, digest, at) =>
      executor.write((sql) => {
        if (sql(BEGIN).run({ scope, key, digest, at, diedBefore: laterBy(at, -BUSY_MAX_MS) }).changes === 1) return 'new';
        const row = sql(GET).get(scope, key)!;
        if (row['request_digest'] !== digest) return 'other';
        if (row['status'] === null) return 'busy';
        return { status: row['status'] as number, body: row['body'] as string, headers: row['headers'] as string };
      }),
    finish: (scope, key, status, body, headers) =>
      executor.write((sql) => void sql(FINISH).run({ scope, key, status, body, headers })),
    drop: (scope, key) => executor.write((sql) => void sql(DROP).run(scope, key)),
    forgetBefore: (at) => executor.write((sql) => void sql(FORGET).run(at)),
  };
}
