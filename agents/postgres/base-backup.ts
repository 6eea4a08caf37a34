// A base backup as the source of a snapshot; base-entries.ts says what it looks like there. On the server's own host its files are read by the
// workers (local-base.ts); from elsewhere they come over the replication protocol (streamed-base.ts). Nobody who restores need know which.

import type { ReadSource, SourceRead } from '../../src/engine/backup.ts';
import { EntriesBackupRun } from '../../src/engine/backup-entries.ts';
import type { BaseFacts } from '../../src/engine/cluster-facts.ts';
import { LogView } from '../../src/engine/log-view.ts';
import type { Keyring } from '../../src/repository/keyring.ts';
import type { CollectedBase } from './base-entries.ts';
import { mustBeCluster, mustBeOfLog } from './base-of-log.ts';
import type { BaseBackupSource, BaseOrigin } from './base-source.ts';
import { readConfigurationFiles } from './configuration-files.ts';
import { CHECKPOINT_MS, PgConnection } from './connection.ts';
import { describeServer } from './connection-string.ts';
import { mustHaveLog } from './continuation.ts';
import { collectLocalBase } from './local-base.ts';
import { findLocalCluster, type NotLocal } from './local-cluster.ts';
import { identifySystem, type SystemFacts } from './replication-client.ts';
import { readServerFacts, type ServerFacts } from './server-facts.ts';
import { collectStreamedBase } from './streamed-base.ts';
import { sinceParent } from './wal-summaries.ts';

const HINT_FORKED =
  'It leads to nothing that is stored, and was not kept. Bring the server to where the log ends with "holdfast pg restore --latest", or go on with it as it is under another --asset: what is stored here stays restorable.';

export function readBaseBackup(source: BaseBackupSource): ReadSource {
  return async ({ pipeline, parent, readNode, parameters }): Promise<SourceRead> => {
    const { address, signal, progress } = source;
    pipeline.warmUp();
    const sql = await PgConnection.open({ address, signal, idleTimeoutMs: CHECKPOINT_MS });
    let connection: PgConnection | undefined;
    try {
      await stayConnected(sql);
      const server = await readServerFacts(sql);
      connection = await PgConnection.open({ address, replication: 'true', signal });
      // Before the server says where it is: what is stored by then is behind that.
      const log = await openLog(source);
      const system = await identifySystem(connection);
      const { systemId } = system;
      if (log !== undefined) await mustGoOn(source, log, { system, sql, server });
      const run = await EntriesBackupRun.start({
        session: pipeline,
        paged: parameters.paged,
        parentRoot: parent?.facts?.['kind'] === 'postgres-base' ? parent.root : undefined,
        readNode,
        progress,
      });
      const configuration = await readConfigurationFiles(sql);
      const local = await collectLocally(source, sql, run, {
        server,
        systemId,
        configuration,
        since: sinceParent(parent?.facts, systemId, server, sql.version),
      });
      const { control, facts: collected } =
        'reason' in local ? await collectStreamedBase(run, source, connection, configuration) : local;
      // A key that only writes does not open that record.
      if (log?.keyring.role === 'owner') {
        const [name, timeline] = [`This base backup of the server at ${describeServer(address)}`, Number(collected.timeline)];
        await mustBeOfLog({ name, hint: HINT_FORKED, control, timeline, segmentBytes: server.segmentBytes }, log.view);
      }
      const root = await run.finish();
      const stoppedAt = await sql.value(
        'SELECT to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')',
      );
      const facts: BaseFacts = {
        kind: 'postgres-base',
        systemId,
        ...collected,
        stoppedAt: stoppedAt ?? '',
        configuration: JSON.stringify({ files: configuration.files.map(({ path }) => path), missing: configuration.missing }),
        server: JSON.stringify(server),
        ...(source.keepCorruptPages ? { hasCorruptPages: 'true' } : {}),
        ...('reason' in local ? { streamedFor: whyStreamed(local) } : {}),
      };
      return { root, facts };
    } finally {
      connection?.close();
      sql.close();
    }
  };
}

type StoredLog = { readonly asset: string; readonly view: LogView; readonly keyring: Keyring };

/** With which the base backup is to be of one history; undefined: there is none, or it is not to be seen here. */
async function openLog({ log, signal }: BaseBackupSource): Promise<StoredLog | undefined> {
  if (log === undefined) return undefined;
  const { keyring } = log.repository;
  const view = await LogView.open(log.repository, keyring.assetId(log.asset), undefined, { signal });
  return view === undefined ? undefined : { asset: log.asset, view, keyring };
}

type AskedServer = { readonly system: SystemFacts; readonly sql: PgConnection; readonly server: ServerFacts };

/** PG_OTHER_CLUSTER, LOG_FORKED. */
async function mustGoOn(
  { address, signal }: BaseBackupSource,
  stored: StoredLog,
  { system, sql, server }: AskedServer,
): Promise<void> {
  mustBeCluster(stored.view, stored.asset, { address, systemId: system.systemId });
  const isStandby = (await sql.value('SELECT pg_is_in_recovery()')) === 't';
  const { timeline } = system;
  await mustHaveLog({
    ...stored,
    address,
    system,
    isStandby,
    timeline,
    segmentBytes: server.segmentBytes,
    hint: HINT_FORKED,
    signal,
  });
}

async function collectLocally(
  source: BaseBackupSource,
  sql: PgConnection,
  run: EntriesBackupRun,
  origin: BaseOrigin,
): Promise<CollectedBase | NotLocal> {
  if (source.stream === true) return { reason: 'it was asked for' };
  if (source.manifest === 'SHA256') return { reason: 'the server makes the manifest with SHA-256' };
  const cluster = await findLocalCluster(sql, origin.server, origin.systemId);
  return 'reason' in cluster ? cluster : collectLocalBase(run, source, sql, cluster, origin);
}

function whyStreamed({ reason, remedy }: NotLocal): string {
  return remedy === undefined ? reason : `${reason} (${remedy})`;
}

/** The backup ends with its connection, which has nothing to say for as long as files are read. */
async function stayConnected(sql: PgConnection): Promise<void> {
  await sql.query(
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'idle_session_timeout', 'lock_timeout')",
  );
}
