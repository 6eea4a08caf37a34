import type { Agent, HostFacts } from '../../model/agent.ts';
import type { Instant } from '../../model/instant.ts';
import type { AgentTable } from '../catalog.ts';
import type { Sql } from './connection.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { encodedJson, recordCodec } from './record.ts';

const AGENT = recordCodec<Agent>('agents', {
  id: 'text',
  tenantId: 'text',
  label: 'text',
  publicKey: 'text',
  host: 'json',
  site: 'text',
  state: 'text',
  enrolledAt: 'text',
  lastSeenAt: 'text',
  revokedAt: 'text',
});

const ADD = `${AGENT.insert()} ON CONFLICT DO NOTHING`;
const GET = `SELECT ${AGENT.columns} FROM agents WHERE id = @id AND (@tenantId IS NULL OR tenant_id = @tenantId)`;
const LIST = `SELECT ${AGENT.columns} FROM agents WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?`;
const SEEN = `UPDATE agents SET last_seen_at = max(coalesce(last_seen_at, ''), @at), host = coalesce(@host, host) WHERE id = @id`;
const PLACE = 'UPDATE agents SET site = @site WHERE id = @id';
const REVOKE = `UPDATE agents SET state = 'revoked', revoked_at = @at WHERE id = @id AND state = 'active'`;

export type Sighting = { readonly at: Instant; readonly host?: HostFacts };

/** Where signs of life go: at once into a transaction, or gathered and written together (sightings.ts). */
export interface Sightings {
  note(id: string, sighting: Sighting): Promise<void>;
  /** With what is not written yet. */
  applied(agent: Agent): Agent;
}

export function agentTable(executor: Executor, sightings: Sightings): AgentTable {
  return {
    add: (agent) => executor.write((sql) => (sql(ADD).run(AGENT.encode(agent)).changes === 1 ? 'added' : 'exists')),
    get: (id, tenantId) =>
      executor.read((sql) => {
        const agent = AGENT.decodeOne(sql(GET).get({ id, tenantId: tenantId ?? null }));
        return agent === undefined ? undefined : sightings.applied(agent);
      }),
    list: (tenantId, page) =>
      executor.read((sql) => {
        const rows = sql(LIST).all(tenantId, page.after ?? '', rowsFor(page));
        return pageOf(
          rows.map((row) => sightings.applied(AGENT.decode(row))),
          page,
          ({ id }) => id,
        );
      }),
    seen: (id, at, host) => sightings.note(id, host === undefined ? { at } : { at, host }),
    place: (id, site) => executor.write((sql) => sql(PLACE).run({ id, site: site ?? null }).changes === 1),
    revoke: (id, at) => executor.write((sql) => sql(REVOKE).run({ id, at }).changes === 1),
  };
}

export function writeSighting(sql: Sql, id: string, { at, host }: Sighting): void {
  sql(SEEN).run({ id, at, host: encodedJson(host) });
}
