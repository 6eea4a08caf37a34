import { type Instant, instantOf } from '../../model/instant.ts';
import type { SessionTable, StoreGrant, WriteSession } from '../catalog.ts';
import type { Sql } from './connection.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

const SESSION = recordCodec<WriteSession>('write_sessions', {
  session: 'text',
  tenantId: 'text',
  agentId: 'text',
  runId: 'text',
  state: 'text',
  verifiedAt: 'text',
  openedAt: 'text',
});
const GRANT = recordCodec<StoreGrant>('store_grants', {
  digest: 'text',
  session: 'text',
  key: 'text',
  lengthBytes: 'integer',
  sha256: 'text',
  expiresAt: 'text',
});
/** Expired grants that are cleared away with each change, so that nothing else has to. */
const CLEARED_MAX = 100;

const PUT = `${SESSION.insert()} ON CONFLICT (session) DO UPDATE SET state = @state, verified_at = @verifiedAt`;
const GET = `SELECT ${SESSION.columns} FROM write_sessions WHERE session = ?`;
const LIST = `SELECT ${SESSION.columns} FROM write_sessions WHERE tenant_id = ? ORDER BY session`;
const OPEN = `SELECT ${SESSION.columns} FROM write_sessions WHERE state = 'open' AND (@tenantId IS NULL OR tenant_id = @tenantId) ORDER BY session`;
const ADD_GRANT = GRANT.insert();
const TAKE_GRANT = `DELETE FROM store_grants WHERE digest = ? AND expires_at > ? RETURNING ${GRANT.columns}`;
const CLEAR = `DELETE FROM store_grants WHERE digest IN (SELECT digest FROM store_grants WHERE expires_at <= ? LIMIT ${CLEARED_MAX})`;

export function sessionTable(executor: Executor, now: () => Date): SessionTable {
  const clear = (sql: Sql, at: Instant): unknown => sql(CLEAR).run(at);
  return {
    put: (session) => executor.write((sql) => void sql(PUT).run(SESSION.encode(session))),
    get: (session) => executor.read((sql) => SESSION.decodeOne(sql(GET).get(session))),
    list: (tenantId) => executor.read((sql) => sql(LIST).all(tenantId).map(SESSION.decode)),
    listOpen: (tenantId) =>
      executor.read((sql) =>
        sql(OPEN)
          .all({ tenantId: tenantId ?? null })
          .map(SESSION.decode),
      ),
    addGrants: (grants) =>
      executor.write((sql) => {
        clear(sql, instantOf(now()));
        for (const grant of grants) sql(ADD_GRANT).run(GRANT.encode(grant));
      }),
    takeGrant: (digest, at) => executor.write((sql) => GRANT.decodeOne(sql(TAKE_GRANT).get(digest, at))),
  };
}
