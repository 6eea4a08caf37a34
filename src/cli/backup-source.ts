// What a backup reads: paths and options become a source of one of the three types.

import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { Fault } from '../base/faults.ts';
import type { ReadSource, SourceContext } from '../engine/backup.ts';
import type { BackupListener, BackupProblem, BackupProgress } from '../engine/backup-progress.ts';
import type { ChangedRange } from '../engine/changed-ranges.ts';
import { ReadAhead } from '../engine/read-ahead.ts';
import { compileExclude } from '../files/exclude.ts';
import { FileStat, HERE } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { realPath } from '../files/real-path.ts';
import type { Without } from '../files/walk.ts';
import { displayPath } from '../model/entry-path.ts';
import type { SourceType } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { parseLocation } from '../store/location.ts';
import { guessType } from './backup-type.ts';
import { locationOf } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { pathText } from './paths.ts';
import type { Invocation } from './verb.ts';

const ASSET_NAME_CHARS_MAX = 200;
/** Entries that wait for the repository to be opened; each is some 300 bytes. */
const WALKED_AHEAD_MAX = 6_000;

export type SourceRun = SourceContext & {
  readonly repository: Repository;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
  readonly rereadAll: boolean;
};

export type BackupSource = {
  readonly type: SourceType;
  /** As the snapshot keeps them: absolute, latin1, links followed. */
  readonly paths: readonly string[];
  /** Of the asset, without the host: the paths as they were given. */
  readonly assetName: string;
  /** Known before it is read. */
  readonly problems: readonly BackupProblem[];
  readonly read: (run: SourceRun) => ReturnType<ReadSource>;
};

/** `paths`: latin1, as typed. Throws USAGE, SOURCE_NOT_FOUND, SOURCE_UNREADABLE. */
export async function openSource(paths: readonly string[], invocation: Invocation): Promise<BackupSource> {
  const { options, output } = invocation;
  const given = options.text('type') as SourceType | undefined;
  const type = given ?? guessType(paths);
  checkOptions(invocation, type, paths);
  if (given === undefined && type === 'volume')
    output.notice(
      `"${displayPath(paths[0]!)}" looks like a volume and is backed up as one (--type files would treat it as a file)`,
    );
  if (type === 'stream') return openStream(paths[0]!, options.text('name'), invocation.signal);
  if (type === 'volume') return openVolumeSource(paths[0]!, options.text('changed-ranges'));
  return openFiles(paths, invocation);
}

const OPTIONS_OF_TYPE: Readonly<Record<string, SourceType>> = {
  name: 'stream',
  'changed-ranges': 'volume',
  exclude: 'files',
  'exclude-file': 'files',
  'one-file-system': 'files',
  'exclude-caches': 'files',
};

function checkOptions({ options }: Invocation, type: SourceType, paths: readonly string[]): void {
  for (const [name, of] of Object.entries(OPTIONS_OF_TYPE)) {
    if (of !== type && options.flag(name))
      throw usage(
        `--${name} is for a backup of ${of === 'files' ? 'files' : `a ${of}`}; this is one of ${type === 'files' ? 'files' : `a ${type}`}`,
        'Say what it is with --type.',
      );
  }
  if (type !== 'files' && paths.length > 1) throw usage(`A ${type} is backed up alone, and ${paths.length} paths were given`);
  if (type !== 'stream' && paths.includes('-')) throw usage('"-" (standard input) is backed up alone, as a stream');
}

function openStream(path: string, name: string | undefined, signal: AbortSignal): BackupSource {
  const isInput = path === '-';
  const label = name ?? (isInput ? 'stdin' : pathText(resolveLatin1(path)));
  return {
    type: 'stream',
    paths: [Buffer.from(label, 'utf8').toString('latin1')],
    assetName: label,
    problems: [],
    read: async ({ pipeline, repository, progress, listener }) => {
      const { backUpStream } = await import('../engine/backup-stream.ts');
      const stream: Readable = isInput ? process.stdin : createReadStream(Buffer.from(path, 'latin1'));
      const { parameters, keyring } = repository;
      progress.files = 1;
      const pieces = readable(stream, displayPath(isInput ? 'standard input' : path), signal);
      const root = await backUpStream({
        session: pipeline,
        stream: pieces,
        chunking: parameters.content,
        multiplier: keyring.multiplier,
        progress,
      });
      if (root.contentBytes === 0) {
        progress.problems++;
        listener.onProblem(emptyStream(label));
      }
      return { root };
    },
  };
}

/** Whoever should have written may have failed, or standard input may be closed: neither can be told from a stream that is meant to be empty,
 *  and the good snapshots before this one would be forgotten for it. */
function emptyStream(label: string): BackupProblem {
  const path = Buffer.from(label, 'utf8').toString('latin1');
  return { path, code: 'EMPTY', message: 'not one byte came: see whether the program that writes it has failed', missing: false };
}

/** Ends with the signal's reason even while nothing comes. */
async function* readable(stream: Readable, name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  addAbortSignal(signal, stream);
  try {
    for await (const piece of stream) yield piece as Uint8Array;
  } catch (error) {
    signal.throwIfAborted();
    throw new Fault('SOURCE_UNREADABLE', `Cannot read ${name}: ${(error as Error).message}`, { cause: error });
  }
}

async function openVolumeSource(path: string, rangesFile: string | undefined): Promise<BackupSource> {
  const { openVolume, readVolume } = await import('../../agents/volume/source.ts');
  const volume = openVolume(realPathOf(path));
  const changedRanges = rangesFile === undefined ? undefined : await readRanges(rangesFile);
  return {
    type: 'volume',
    paths: [volume.path],
    assetName: pathText(resolveLatin1(path)),
    problems: [],
    read: ({ pipeline, parent, repository, rereadAll, progress, listener }) =>
      readVolume({
        volume,
        pipeline,
        parent,
        unitBytes: repository.parameters.paged.unitBytes,
        changedRanges,
        rereadAll,
        readNode: repository.readNode,
        progress,
        listener,
      }),
  };
}

async function readRanges(file: string): Promise<readonly ChangedRange[]> {
  const { parseChangedRanges } = await import('../engine/changed-ranges.ts');
  return parseChangedRanges(readText(file, '--changed-ranges'), file);
}

async function openFiles(paths: readonly string[], invocation: Invocation): Promise<BackupSource> {
  const { openFileSource } = await import('../../agents/files/source.ts');
  const { options, output } = invocation;
  const problems: BackupProblem[] = [];
  const roots: string[] = [];
  for (const path of paths) {
    try {
      roots.push(realPathOf(path));
    } catch (error) {
      if (paths.length === 1 || !(error instanceof Fault)) throw error;
      problems.push({ path: resolveLatin1(path), code: error.code, message: error.message, missing: true });
    }
  }
  if (roots.length === 0)
    throw new Fault(
      'SOURCE_NOT_FOUND',
      `None of the ${paths.length} paths can be read: ${problems.map(({ message }) => message).join('; ')}`,
    );
  const patterns = [
    ...options.texts('exclude-file').flatMap((file) => readText(file, '--exclude-file').split('\n')),
    ...options.texts('exclude'),
  ];
  const exclude = compileExclude(patterns);
  tellOfAbsolutePatterns(patterns, [...roots, ...paths.map(resolveLatin1)], output);
  const without = withoutRepository(invocation);
  const source = openFileSource(roots, {
    exclude,
    ...(without === undefined ? {} : { without }),
    oneFileSystem: options.flag('one-file-system'),
    excludeCaches: options.flag('exclude-caches'),
  });
  // While the key is derived, this thread has nothing better to do.
  const ahead = new ReadAhead(source.items(), WALKED_AHEAD_MAX);
  const engine = import('../engine/backup-files.ts');
  return {
    type: 'files',
    paths: source.roots,
    assetName: assetNameOf(paths.map((path) => pathText(resolveLatin1(path)))),
    problems,
    read: async ({ pipeline, parent, repository, rereadAll, progress, listener }) => {
      const { backUpFiles } = await engine;
      const { readNode, parameters } = repository;
      const parentStartedMs = parent === undefined || rereadAll ? undefined : Date.parse(parent.startedAt);
      return {
        root: await backUpFiles({
          session: pipeline,
          source: { ...source, items: () => ahead.items() },
          paged: parameters.paged,
          parentRoot: parent?.root,
          readNode,
          progress,
          listener,
          parentStartedMs,
        }),
      };
    },
  };
}

/** Other programs take "/home/anna/cache" for the path that it is on the host; here it begins at the root, and leaves out nothing of /home. What it
 *  says is done all the same: leaving out more than was said is what nobody would notice. */
function tellOfAbsolutePatterns(patterns: readonly string[], roots: readonly string[], output: Output): void {
  for (const pattern of patterns) {
    const root = roots.map(pathText).find((one) => one !== '/' && pattern.startsWith(`${one}/`));
    if (root === undefined) continue;
    const meant = pattern.slice(root.length);
    output.notice(
      `The pattern "${pattern}" begins at the root of what is backed up, so it names ${root}${pattern}; "${meant}" names ${pattern}`,
    );
  }
}

/** A repository in what is backed up would grow by itself with every backup. */
function withoutRepository({ options, environment, output }: Invocation): Without | undefined {
  const location = parseLocation(locationOf(options, environment));
  if (location.kind !== 'directory') return undefined;
  const directory = new FileStat();
  try {
    posixCalls().lstat(HERE, realPath(resolveLatin1(Buffer.from(location.path).toString('latin1'))), directory);
  } catch {
    return undefined; // opening it will tell
  }
  return { directory, onFound: (place) => output.notice(`Left out: the repository itself (${displayPath(place)})`) };
}

function assetNameOf(paths: readonly string[]): string {
  const sorted = [...new Set(paths)].sort();
  const name = sorted.join(',');
  if (name.length <= ASSET_NAME_CHARS_MAX) return name;
  return `${sorted[0]!.slice(0, 100)} and ${sorted.length - 1} more (${createHash('sha256').update(name).digest('hex').slice(0, 12)})`;
}

function realPathOf(path: string): string {
  try {
    return realPath(path);
  } catch (error) {
    if (!isPosixError(error)) throw error;
    const name = displayPath(resolveLatin1(path));
    throw new Fault(
      error.code === 'ENOENT' || error.code === 'ENOTDIR' ? 'SOURCE_NOT_FOUND' : 'SOURCE_UNREADABLE',
      `Cannot read "${name}": ${error.message}`,
      { cause: error },
    );
  }
}

function resolveLatin1(path: string): string {
  return resolve(Buffer.from(process.cwd()).toString('latin1'), path);
}

function readText(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The file "${file}" of ${option} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
