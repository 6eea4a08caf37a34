// A base backup as the source of a snapshot: the archives of BASE_BACKUP go through the engine as they come. In the snapshot:
//
//   data/                    the data directory, with backup_manifest as the server made it
//   tablespaces/<oid>/       each tablespace
//   configuration/           configuration that lies elsewhere on the server, under its whole path there
//
// Every file's checksum is compared with the manifest before the snapshot is committed: what the server read is what we hold.

import { createHash } from 'node:crypto';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { ReadSource, SourceRead } from '../../src/engine/backup.ts';
import { EntriesBackupRun } from '../../src/engine/backup-entries.ts';
import type { BackupProgress } from '../../src/engine/backup-progress.ts';
import type { BaseFacts } from '../../src/engine/cluster-facts.ts';
import type { FileEntry } from '../../src/model/entry.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { type ConfigurationFiles, readConfigurationFiles } from './configuration-files.ts';
import { PgConnection, ServerError } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { crc32c } from './crc32c.ts';
import { baseBackup, identifySystem, type ManifestChecksums, type TablespaceFacts } from './replication-client.ts';
import { readServerFacts } from './server-facts.ts';
import { type TarEntry, TarReader, type TarSink } from './tar-reader.ts';

export const DATA_DIRECTORY = 'data';
export const TABLESPACES_DIRECTORY = 'tablespaces';
export const CONFIGURATION_DIRECTORY = 'configuration';
const MANIFEST = 'backup_manifest';
const MANIFEST_BYTES_MAX = 512 * 1024 * 1024;

export type BaseBackupSource = {
  readonly address: ServerAddress;
  readonly progress: BackupProgress;
  readonly label: string;
  /** An immediate checkpoint instead of a spread one. */
  readonly fast: boolean;
  /** Keep a backup whose pages the server finds corrupt. */
  readonly keepCorruptPages: boolean;
  /** How the server's manifest, and we, check that every file arrived as it was read. */
  readonly manifest: ManifestChecksums;
  /** Cluster that it must be, as IDENTIFY_SYSTEM says it; undefined: any. */
  readonly systemId: string | undefined;
  readonly signal: AbortSignal;
};

export function readBaseBackup(source: BaseBackupSource): ReadSource {
  return async ({ pipeline, parent, readNode, parameters }): Promise<SourceRead> => {
    const { address, signal, progress } = source;
    const sql = await PgConnection.open({ address, signal });
    let connection: PgConnection | undefined;
    try {
      const server = await readServerFacts(sql);
      connection = await PgConnection.open({ address, replication: 'true', signal });
      const { systemId } = await identifySystem(connection);
      if (source.systemId !== undefined && source.systemId !== systemId)
        throw new Fault(
          'PG_OTHER_CLUSTER',
          `The server at ${describeServer(address)} is the cluster ${systemId}; the asset is the cluster ${source.systemId}`,
        );
      const run = await EntriesBackupRun.start({
        session: pipeline,
        paged: parameters.paged,
        parentRoot: parent?.facts?.['kind'] === 'postgres-base' ? parent.root : undefined,
        readNode,
        progress,
      });
      const configuration = await readConfigurationFiles(sql);
      const collected = await new Archives(run, source).collect(connection, configuration);
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
      };
      return { root, facts };
    } finally {
      connection?.close();
      sql.close();
    }
  };
}

/** Takes the archives apart. */
class Archives implements TarSink {
  readonly #run: EntriesBackupRun;
  readonly #source: BaseBackupSource;
  readonly #sums = new Map<string, string>();
  #prefix = '';
  #path = '';
  #sum: FileSum | undefined;
  #owner = { uid: 0, gid: 0 };
  #isFirst = true;

  constructor(run: EntriesBackupRun, source: BaseBackupSource) {
    this.#run = run;
    this.#source = source;
  }

  async collect(
    connection: PgConnection,
    configuration: ConfigurationFiles,
  ): Promise<{ timeline: string; startPosition: string; stopPosition: string; tablespaces: string }> {
    const { label, fast, keepCorruptPages, manifest: checksums } = this.#source;
    let tablespaces: readonly TablespaceFacts[] = [];
    let start = { position: 0, timeline: 0 };
    let stop = start;
    let tar: TarReader | undefined;
    let manifest: Buffer[] | undefined;
    let manifestBytes = 0;
    try {
      for await (const event of baseBackup(connection, { label, fast, verifyChecksums: !keepCorruptPages, manifest: checksums })) {
        if (event.kind === 'start') start = event;
        else if (event.kind === 'end') stop = event;
        else if (event.kind === 'tablespaces') tablespaces = event.tablespaces;
        else if (event.kind === 'archive') {
          tar?.finish();
          tar = new TarReader(this);
          this.#prefix = event.oid === undefined ? DATA_DIRECTORY : `${TABLESPACES_DIRECTORY}/${event.oid}`;
          if (event.oid !== undefined) this.#tablespaces.push(event.oid);
        } else if (event.kind === 'manifest') {
          tar?.finish();
          tar = undefined;
          manifest = [];
        } else if (manifest !== undefined) {
          manifestBytes += event.bytes.length;
          if (manifestBytes > MANIFEST_BYTES_MAX) throw new Fault('PG_PROTOCOL', 'The manifest of the base backup is too long');
          manifest.push(event.bytes);
        } else await tar?.write(event.bytes);
      }
    } catch (error) {
      if (isFault(error) && error.cause instanceof ServerError && error.cause.sqlState === 'XX001')
        throw new Fault('PG_PAGES_CORRUPT', error.message, { cause: error });
      throw error;
    }
    if (manifest === undefined) throw new Fault('PG_PROTOCOL', 'The server sent no manifest with the base backup');
    const bytes = Buffer.concat(manifest);
    this.#compare(bytes);
    await this.#keep(`${DATA_DIRECTORY}/${MANIFEST}`, bytes);
    const places = configuration.files.map(({ path }) => `${CONFIGURATION_DIRECTORY}${Buffer.from(path).toString('latin1')}`);
    for (const [i, { bytes: content }] of configuration.files.entries()) await this.#keep(places[i]!, content);
    this.#keepDirectories(places);
    if (start.timeline !== stop.timeline)
      throw new Fault(
        'PG_REFUSED',
        `The server was promoted during the base backup: it began on timeline ${start.timeline} and ended on ${stop.timeline}`,
      );
    return {
      timeline: String(start.timeline),
      startPosition: formatLsn(start.position),
      stopPosition: formatLsn(stop.position),
      tablespaces: JSON.stringify(tablespaces.map(({ oid, location }) => ({ oid, location }))),
    };
  }

  readonly #tablespaces: string[] = [];

  begin(entry: TarEntry): void {
    if (this.#isFirst) this.#owner = { uid: entry.uid, gid: entry.gid };
    this.#isFirst = false;
    this.#path = `${this.#prefix}/${entry.path}`;
    this.#sum = entry.kind === 'file' ? newSum(this.#source.manifest) : undefined;
    this.#run.begin({
      ...fileEntry(this.#path, entry.kind, entry.mode, entry),
      sizeBytes: entry.sizeBytes,
      mtimeSec: entry.mtimeSec,
      linkTarget: entry.linkTarget,
    });
  }

  data(bytes: Uint8Array): Promise<void> {
    this.#sum?.update(bytes);
    return this.#run.data(bytes);
  }

  async end(): Promise<void> {
    if (this.#sum !== undefined) this.#sums.set(this.#path, this.#sum.hex());
    await this.#run.end();
  }

  async #keep(path: string, bytes: Uint8Array): Promise<void> {
    this.#run.begin({ ...fileEntry(path, 'file', 0o600, this.#owner), sizeBytes: bytes.length });
    await this.#run.data(bytes);
    await this.#run.end();
  }

  /** Those above what the archives hold. */
  #keepDirectories(files: readonly string[]): void {
    const paths = new Set(['', DATA_DIRECTORY]);
    for (const oid of this.#tablespaces) paths.add(TABLESPACES_DIRECTORY).add(`${TABLESPACES_DIRECTORY}/${oid}`);
    for (const file of files)
      for (let at = file.indexOf('/'); at !== -1; at = file.indexOf('/', at + 1)) paths.add(file.slice(0, at));
    for (const path of paths) {
      this.#run.begin(fileEntry(path, 'directory', 0o700, this.#owner));
      void this.#run.end();
    }
  }

  #compare(bytes: Buffer): void {
    const manifest = JSON.parse(bytes.toString('utf8')) as { readonly Files?: readonly ManifestFile[] };
    const files = manifest.Files ?? [];
    if (files.length === 0) throw new Fault('PG_PROTOCOL', 'The manifest of the base backup names no files');
    for (const file of files) {
      const name =
        file.Path === undefined
          ? Buffer.from(file['Encoded-Path'] ?? '', 'hex').toString('latin1')
          : Buffer.from(file.Path).toString('latin1');
      const sum = this.#sums.get(placeOf(name));
      if (sum === undefined || file['Checksum-Algorithm'] !== this.#source.manifest || sum !== file.Checksum)
        throw new Fault(
          'PG_PROTOCOL',
          `The file "${name}" of the base backup is ${sum === undefined ? 'missing' : 'not what the server read'}`,
        );
    }
  }
}

type FileSum = { readonly update: (bytes: Uint8Array) => void; readonly hex: () => string };

function newSum(kind: ManifestChecksums): FileSum {
  if (kind === 'SHA256') {
    const hash = createHash('sha256');
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  }
  let value = 0;
  return {
    update: (bytes) => {
      value = crc32c(bytes, value);
    },
    // As the server prints it: the bytes of its memory.
    hex: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      return bytes.toString('hex');
    },
  };
}

type ManifestFile = {
  readonly Path?: string;
  readonly 'Encoded-Path'?: string;
  readonly 'Checksum-Algorithm'?: string;
  readonly Checksum?: string;
};

/** "pg_tblspc/16400/PG_15_.../..." lies in the tablespace's own directory. */
function placeOf(name: string): string {
  const match = /^pg_tblspc\/(\d+)\/(.*)$/.exec(name);
  return match === null ? `${DATA_DIRECTORY}/${name}` : `${TABLESPACES_DIRECTORY}/${match[1]}/${match[2]}`;
}

function fileEntry(
  path: string,
  kind: FileEntry['kind'],
  mode: number,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): FileEntry {
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    sizeBytes: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    ctimeSec: 0,
    ctimeNsec: 0,
    inode: 0,
    device: 0,
    links: 1,
    rdevMajor: 0,
    rdevMinor: 0,
    linkTarget: '',
  };
}
