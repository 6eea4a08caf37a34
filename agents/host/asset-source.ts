// From what an asset says of its source to something that the engine reads.

import { Fault } from '../../src/base/faults.ts';
import type { ReadSource } from '../../src/engine/backup.ts';
import type { BackupListener, BackupProblem, BackupProgress } from '../../src/engine/backup-progress.ts';
import { compileExclude, type Exclude } from '../../src/files/exclude.ts';
import { isPosixError } from '../../src/files/posix-error.ts';
import { realPath } from '../../src/files/real-path.ts';
import type { AssetSource } from '../../src/model/asset.ts';
import { displayPath, pathFromText } from '../../src/model/entry-path.ts';
import type { SourceType } from '../../src/model/snapshot.ts';
import { BASE_OF_LOG, type BaseBackupSource } from '../postgres/base-source.ts';

export type OpenedSource = {
  readonly type: SourceType;
  /** As the snapshot keeps them: absolute, latin1, links followed. */
  readonly paths: readonly string[];
  /** Known before it is read. */
  readonly problems: readonly BackupProblem[];
  readonly read: (progress: BackupProgress, listener: BackupListener) => ReadSource;
};

export type SourceHost = {
  /** Absolute paths that are left out. */
  readonly neverBackUp: readonly string[];
  /** Directory of the agent's secrets. */
  readonly secrets: string;
  readonly signal: AbortSignal;
  /** Of the asset, where a database's is stored: a base backup is compared with it. */
  readonly log?: () => Promise<BaseBackupSource['log']>;
};

/** SOURCE_NOT_FOUND, SOURCE_UNREADABLE, USAGE, RUN_KIND_UNKNOWN. */
export async function openAssetSource(source: AssetSource, host: SourceHost): Promise<OpenedSource> {
  switch (source.kind) {
    case 'files':
      return openFiles(source, host.neverBackUp);
    case 'postgres':
      return openPostgres(source, host);
    case 'volume':
      return openVolume(source.path);
    default:
      throw new Fault('RUN_KIND_UNKNOWN', `This agent does not know sources of the kind "${(source as AssetSource).kind}"`);
  }
}

async function openFiles(source: AssetSource & { readonly kind: 'files' }, neverBackUp: readonly string[]): Promise<OpenedSource> {
  const [{ openFileSource }, { backUpFiles }] = await Promise.all([
    import('../files/source.ts'),
    import('../../src/engine/backup-files.ts'),
  ]);
  const problems: BackupProblem[] = [];
  const roots: string[] = [];
  for (const text of source.paths) {
    const path = pathFromText(text);
    try {
      roots.push(realPathOf(path));
    } catch (error) {
      if (source.paths.length === 1 || !(error instanceof Fault)) throw error;
      problems.push({ path, code: error.code, message: error.message, missing: true });
    }
  }
  if (roots.length === 0)
    throw new Fault(
      'SOURCE_NOT_FOUND',
      `None of the ${source.paths.length} paths can be read: ${problems.map(({ message }) => message).join('; ')}`,
    );
  const exclude = compileExclude(source.excludes ?? []);
  const files = openFileSource(roots, (root) => ({
    exclude: withoutPlaces(exclude, root, neverBackUp),
    oneFileSystem: source.oneFileSystem ?? false,
  }));
  return {
    type: 'files',
    paths: files.roots,
    problems,
    read:
      (progress, listener) =>
      async ({ pipeline, parent, readNode, parameters }) => ({
        root: await backUpFiles({
          session: pipeline,
          source: files,
          paged: parameters.paged,
          parentRoot: parent?.root,
          readNode,
          progress,
          listener,
          parentStartedMs: parent === undefined ? undefined : Date.parse(parent.startedAt),
        }),
      }),
  };
}

async function openVolume(text: string): Promise<OpenedSource> {
  const { openVolume: open, readVolume } = await import('../volume/source.ts');
  const volume = open(realPathOf(pathFromText(text)));
  return {
    type: 'volume',
    paths: [volume.path],
    problems: [],
    read:
      (progress, listener) =>
      ({ pipeline, parent, readNode, parameters }) =>
        readVolume({
          volume,
          pipeline,
          parent,
          unitBytes: parameters.paged.unitBytes,
          changedRanges: undefined,
          rereadAll: false,
          readNode,
          progress,
          listener,
        }),
  };
}

/** Every file of a base backup is there, or there is none: no listener hears of problems. */
async function openPostgres(source: AssetSource & { readonly kind: 'postgres' }, host: SourceHost): Promise<OpenedSource> {
  const [{ readBaseBackup }, { describeServer }, { serverAddressOf }] = await Promise.all([
    import('../postgres/base-backup.ts'),
    import('../postgres/connection-string.ts'),
    import('./postgres-source.ts'),
  ]);
  const address = serverAddressOf(source, host.secrets);
  const { signal } = host;
  return {
    type: 'files',
    paths: [pathFromText(describeServer(address))],
    problems: [],
    read: (progress) => async (opened) =>
      readBaseBackup({ address, progress, label: 'holdfast', ...BASE_OF_LOG, log: await host.log?.(), signal })(opened),
  };
}

/** What lies in the tree but is never part of it: a repository in its own backup would grow with every backup. */
function withoutPlaces(exclude: Exclude, root: string, places: readonly string[]): Exclude {
  const prefix = root.endsWith('/') ? root : `${root}/`;
  const below = new Set(
    places.flatMap((place) => {
      const real = realPathOr(pathFromText(place));
      return real.startsWith(prefix) ? [real.slice(prefix.length)] : [];
    }),
  );
  return below.size === 0 ? exclude : (path, isDirectory) => below.has(path) || exclude(path, isDirectory);
}

function realPathOr(path: string): string {
  try {
    return realPath(path);
  } catch {
    return path;
  }
}

function realPathOf(path: string): string {
  try {
    return realPath(path);
  } catch (error) {
    if (!isPosixError(error)) throw error;
    const isMissing = error.code === 'ENOENT' || error.code === 'ENOTDIR';
    const message = `Cannot read "${displayPath(path)}": ${error.message}`;
    throw new Fault(isMissing ? 'SOURCE_NOT_FOUND' : 'SOURCE_UNREADABLE', message, { cause: error });
  }
}
