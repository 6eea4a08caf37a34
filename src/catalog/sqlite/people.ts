import type { Person } from '../../model/principal.ts';
import type { PersonSecrets, PersonTable } from '../catalog.ts';
import type { Row } from './connection.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const PERSON = recordCodec<Person>('people', {
  id: 'text',
  login: 'text',
  label: 'text',
  grants: 'json',
  state: 'text',
  hasTotp: 'flag',
  createdAt: 'text',
  version: 'integer',
});

const ADD = `${PERSON.insert('passwordHash', 'totpSecret')} ON CONFLICT DO NOTHING`;
const GET = `SELECT ${PERSON.columns} FROM people WHERE id = ?`;
const BY_LOGIN = `SELECT ${PERSON.columns}, password_hash, totp_secret FROM people WHERE login = ?`;
const LIST = `SELECT ${PERSON.columns} FROM people WHERE id > @after
  AND (@tenantId IS NULL OR EXISTS (SELECT 1 FROM json_each(grants) WHERE value ->> 'tenantId' = @tenantId))
  ORDER BY id LIMIT @limit`;
const CHANGE = `UPDATE people SET label = @label, grants = @grants, state = @state, has_totp = @hasTotp, version = version + 1
  WHERE id = @id AND version = @version RETURNING ${PERSON.columns}`;
const CHANGE_SECRETS = 'UPDATE people SET password_hash = @passwordHash, totp_secret = @totpSecret WHERE id = @id';

export function personTable(executor: Executor): PersonTable {
  return {
    add: (person, secrets) =>
      executor.write((sql) =>
        sql(ADD).run({ ...PERSON.encode(person), ...secretColumns(secrets) }).changes === 1 ? 'added' : 'exists',
      ),
    get: (id) => executor.read((sql) => PERSON.decodeOne(sql(GET).get(id))),
    byLogin: (login) =>
      executor.read((sql) => {
        const row = sql(BY_LOGIN).get(login);
        return row === undefined ? undefined : { person: PERSON.decode(row), secrets: secretsOf(row) };
      }),
    list: (page, tenantId) =>
      executor.read((sql) => {
        const rows = sql(LIST).all({ after: page.after ?? '', tenantId: tenantId ?? null, limit: rowsFor(page) });
        return pageOf(rows.map(PERSON.decode), page, ({ id }) => id);
      }),
    change: (person, secrets) =>
      executor.write((sql) => {
        const row = sql(CHANGE).get(PERSON.encode(person));
        if (row === undefined) return sql(GET).get(person.id) === undefined ? 'missing' : 'stale';
        if (secrets !== undefined) sql(CHANGE_SECRETS).run({ id: person.id, ...secretColumns(secrets) });
        return PERSON.decode(row);
      }),
  };
}

function secretColumns(secrets: PersonSecrets): Row {
  return { passwordHash: secrets.passwordHash, totpSecret: secrets.totpSecret ?? null };
}

function secretsOf(row: Row): PersonSecrets {
  const passwordHash = row['password_hash'] as string;
  const totpSecret = row['totp_secret'] as string | null;
  return totpSecret === null ? { passwordHash } : { passwordHash, totpSecret };
}
