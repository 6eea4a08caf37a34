// A base backup as the server sends it: the archives of BASE_BACKUP go through the engine as they come. Every file's checksum is compared with
// the server's manifest before the snapshot is committed: what the server read is what we hold.

import { createHash } from 'node:crypto';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { EntriesBackupRun } from '../../src/engine/backup-entries.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import {
  baseEntry,
  type CollectedBase,
  DATA_DIRECTORY,
  keepFile,
  keepSurroundings,
  MANIFEST,
  type Owner,
  TABLESPACES_DIRECTORY,
} from './base-entries.ts';
import type { BaseBackupSource } from './base-source.ts';
import type { ConfigurationFiles } from './configuration-files.ts';
import { type PgConnection, ServerError } from './connection.ts';
import { CONTROL } from './control-file.ts';
import { crc32c } from './crc32c.ts';
import { baseBackup, type ManifestChecksums, type TablespaceFacts } from './replication-client.ts';
import { type TarEntry, TarReader, type TarSink } from './tar-reader.ts';

const CONTROL_PATH = `${DATA_DIRECTORY}/${CONTROL}`;
const MANIFEST_BYTES_MAX = 512 * 1024 * 1024;

/** `connection`: for replication. */
export function collectStreamedBase(
  run: EntriesBackupRun,
  source: BaseBackupSource,
  connection: PgConnection,
  configuration: ConfigurationFiles,
): Promise<CollectedBase> {
  return new Archives(run, source).collect(connection, configuration);
}

/** Takes the archives apart. */
class Archives implements TarSink {
  readonly #run: EntriesBackupRun;
  readonly #source: BaseBackupSource;
  readonly #sums = new Map<string, string>();
  #prefix = '';
  #path = '';
  #sum: FileSum | undefined;
  #owner: Owner = { uid: 0, gid: 0 };
  #isFirst = true;

  constructor(run: EntriesBackupRun, source: BaseBackupSource) {
    this.#run = run;
    this.#source = source;
  }

  async collect(connection: PgConnection, configuration: ConfigurationFiles): Promise<CollectedBase> {
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
    await keepFile(this.#run, `${DATA_DIRECTORY}/${MANIFEST}`, bytes, this.#owner);
    await keepSurroundings(this.#run, configuration, this.#tablespaces, this.#owner);
    if (start.timeline !== stop.timeline)
      throw new Fault(
        'PG_REFUSED',
        `The server was promoted during the base backup: it began on timeline ${start.timeline} and ended on ${stop.timeline}`,
      );
    return {
      control: Buffer.concat(this.#control),
      facts: {
        timeline: String(start.timeline),
        startPosition: formatLsn(start.position),
        stopPosition: formatLsn(stop.position),
        tablespaces: JSON.stringify(tablespaces.map(({ oid, location }) => ({ oid, location }))),
      },
    };
  }

  readonly #tablespaces: string[] = [];
  readonly #control: Buffer[] = [];

  begin(entry: TarEntry): void {
    if (this.#isFirst) this.#owner = { uid: entry.uid, gid: entry.gid };
    this.#isFirst = false;
    this.#path = `${this.#prefix}/${entry.path}`;
    this.#sum = entry.kind === 'file' ? newSum(this.#source.manifest) : undefined;
    this.#run.begin({
      ...baseEntry(this.#path, entry.kind, entry.mode, entry),
      sizeBytes: entry.sizeBytes,
      mtimeSec: entry.mtimeSec,
      linkTarget: entry.linkTarget,
    });
  }

  data(bytes: Uint8Array): Promise<void> {
    this.#sum?.update(bytes);
    if (this.#path === CONTROL_PATH) this.#control.push(Buffer.from(bytes));
    return this.#run.data(bytes);
  }

  async end(): Promise<void> {
    if (this.#sum !== undefined) this.#sums.set(this.#path, this.#sum.hex());
    await this.#run.end();
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
