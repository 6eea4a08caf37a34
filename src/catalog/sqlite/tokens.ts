import type { Token } from '../../model/principal.ts';
import type { Enrolment, TokenTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const TOKEN = recordCodec<Token>('tokens', {
  id: 'text',
  label: 'text',
  personId: 'text',
  grants: 'json',
  createdBy: 'text',
  createdAt: 'text',
  expiresAt: 'text',
  lastUsedAt: 'text',
  revokedAt: 'text',
});
const ENROLMENT = recordCodec<Enrolment>('enrolments', {
  id: 'text',
  tenantId: 'text',
  label: 'text',
  site: 'text',
  expiresAt: 'text',
  createdBy: 'text',
});

const ADD = TOKEN.insert('digest');
const GET = `SELECT ${TOKEN.columns} FROM tokens WHERE id = ?`;
const BY_DIGEST = `SELECT ${TOKEN.columns} FROM tokens WHERE digest = ?`;
const LIST = `SELECT ${TOKEN.columns} FROM tokens WHERE id > @after
  AND (@tenantId IS NULL OR EXISTS (SELECT 1 FROM json_each(grants) WHERE value ->> 'tenantId' = @tenantId))
  ORDER BY id LIMIT @limit`;
const REVOKE = 'UPDATE tokens SET revoked_at = @at WHERE id = @id AND revoked_at IS NULL';
const REVOKE_SESSIONS = `UPDATE tokens SET revoked_at = @at
  WHERE person_id = @personId AND revoked_at IS NULL AND (@but IS NULL OR id <> @but) AND (expires_at IS NULL OR expires_at > @at)`;
const USED = 'UPDATE tokens SET last_used_at = @at WHERE id = @id AND (last_used_at IS NULL OR last_used_at < @at)';
const ADD_ENROLMENT = ENROLMENT.insert('digest');
const TAKE_ENROLMENT = `UPDATE enrolments SET taken_at = @at WHERE digest = @digest AND taken_at IS NULL AND expires_at > @at
  RETURNING ${ENROLMENT.columns}`;

export function tokenTable(executor: Executor): TokenTable {
  return {
    add: (token, digest) => executor.write((sql) => void sql(ADD).run({ ...TOKEN.encode(token), digest })),
    byDigest: (digest) => executor.read((sql) => TOKEN.decodeOne(sql(BY_DIGEST).get(digest))),
    get: (id) => executor.read((sql) => TOKEN.decodeOne(sql(GET).get(id))),
    list: (page, tenantId) =>
      executor.read((sql) => {
        const rows = sql(LIST).all({ after: page.after ?? '', tenantId: tenantId ?? null, limit: rowsFor(page) });
        return pageOf(rows.map(TOKEN.decode), page, ({ id }) => id);
      }),
    revoke: (id, at) => executor.write((sql) => sql(REVOKE).run({ id, at }).changes === 1),
    revokeSessions: (personId, at, but) =>
      executor.write((sql) => sql(REVOKE_SESSIONS).run({ personId, at, but: but ?? null }).changes),
    used: (id, at) => executor.write((sql) => void sql(USED).run({ id, at })),
    addEnrolment: (enrolment, digest) =>
      executor.write((sql) => void sql(ADD_ENROLMENT).run({ ...ENROLMENT.encode(enrolment), digest })),
    takeEnrolment: (digest, at) => executor.write((sql) => ENROLMENT.decodeOne(sql(TAKE_ENROLMENT).get({ digest, at }))),
  };
}
