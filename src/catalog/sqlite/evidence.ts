import { gunzipSync, gzipSync } from 'node:zlib';
import type { Evidence } from '../../model/evidence.ts';
import type { EvidenceTable } from '../catalog.ts';
import type { Row } from './connection.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const EVIDENCE = recordCodec<Evidence>('evidence', {
  id: 'text',
  tenantId: 'text',
  plan: 'text',
  planVersion: 'integer',
  planDigest: 'text',
  kind: 'text',
  outcome: 'text',
  createdAt: 'text',
  receivedAt: 'text',
  runId: 'text',
  agentId: 'text',
  keyId: 'text',
  publicKey: 'text',
  rpoMs: 'integer',
  rtoMs: 'integer',
  levels: 'json',
  files: 'json',
});

const ADD = `${EVIDENCE.insert()} ON CONFLICT DO NOTHING`;
const ADD_FILE = 'INSERT INTO evidence_files (tenant_id, evidence_id, name, content) VALUES (?, ?, ?, ?)';
const GET = `SELECT ${EVIDENCE.columns} FROM evidence WHERE tenant_id = ? AND id = ?`;
const FILE = 'SELECT content FROM evidence_files WHERE tenant_id = ? AND evidence_id = ? AND name = ?';

export function evidenceTable(executor: Executor): EvidenceTable {
  return {
    add: (evidence, files) =>
      executor.write((sql) => {
        const { tenantId, id } = evidence;
        if (sql(ADD).run(EVIDENCE.encode(evidence)).changes === 0) return 'exists';
        for (const { name, content } of files) sql(ADD_FILE).run(tenantId, id, name, gzipSync(content));
        return 'added';
      }),
    get: (tenantId, id) => executor.read((sql) => EVIDENCE.decodeOne(sql(GET).get(tenantId, id))),
    list: (tenantId, { plan, kind, outcome }, page) =>
      executor.read((sql) => {
        const conditions = ['tenant_id = @tenantId', '(received_at, id) < (@receivedAt, @id)'];
        if (plan !== undefined) conditions.push('plan = @plan');
        if (kind !== undefined) conditions.push('kind = @kind');
        if (outcome !== undefined) conditions.push('outcome = @outcome');
        const text = `SELECT ${EVIDENCE.columns} FROM evidence WHERE ${conditions.join(' AND ')}
          ORDER BY received_at DESC, id DESC LIMIT @limit`;
        const [receivedAt = '~', id = ''] = page.after?.split('/') ?? [];
        const named = Object.entries({ plan, kind, outcome }).filter(([, value]) => value !== undefined);
        const rows = sql(text).all({ ...Object.fromEntries(named), tenantId, receivedAt, id, limit: rowsFor(page) });
        return pageOf(rows.map(EVIDENCE.decode), page, (one) => `${one.receivedAt}/${one.id}`);
      }),
    file: (tenantId, id, name) =>
      executor.read((sql) => {
        const row = sql(FILE).get(tenantId, id, name) as Row | undefined;
        return row === undefined ? undefined : new Uint8Array(gunzipSync(row['content'] as Buffer));
      }),
  };
}
