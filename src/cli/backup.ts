// Makes a snapshot of directories, a volume or a stream.

import { EXIT, Fault } from '../base/faults.ts';
import { keepToSmallPages } from '../base/small-pages.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { ReadSource } from '../engine/backup.ts';
import { type BackupProblem, BackupProgress } from '../engine/backup-progress.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Snapshot, SourceType } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { pathOfArgument } from './arguments.ts';
import { type BackupSource, openSource } from './backup-source.ts';
import { levelOf } from './compression.ts';
import { withRepository } from './open.ts';
import type { OptionValues } from './option.ts';
import type { Output } from './output.ts';
import { pathFields } from './paths.ts';
import { hostOf, userOf } from './person.ts';
import { type Gauge, watch } from './progress-line.ts';
import { shortId, snapshotFields } from './snapshot-fields.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

export async function backup(invocation: Invocation): Promise<number> {
  const { options, args, output, signal } = invocation;
  const level = levelOf(options.text('compression'));
  // Before the repository is opened: what is wrong with the source is told at once.
  const startedAt = new Date();
  const source = await openSource(args.map(pathOfArgument), invocation);
  // Loaded while the key is derived from the passphrase, which takes longer.
  const engine = import('../engine/backup.ts');
  return withRepository(invocation, async (repository) => {
    const { backUp } = await engine;
    keepToSmallPages();
    const progress = new BackupProgress();
    const listener = { onProblem: (problem: BackupProblem) => reportProblem(output, problem) };
    for (const problem of source.problems) {
      progress.problems++;
      listener.onProblem(problem);
    }
    const details = {
      asset: assetOf(options, source, repository),
      type: source.type,
      host: hostOf(options),
      user: userOf(),
      paths: source.paths,
      tags: options.texts('tag'),
      program: versionText(),
      now: () => new Date(),
      startedAt,
      threads: threadsOf(options),
      level,
      signal,
      progress,
      listener,
    };
    let storedBytes = (): number => 0;
    let parent: Snapshot | undefined;
    const read: ReadSource = (context) => {
      parent = context.parent;
      storedBytes = () => context.pipeline.bytesStored;
      return source.read({ ...context, repository, progress, listener, rereadAll: options.flag('force') });
    };
    const stop = watch(output, () => gaugeOf(progress, storedBytes()));
    try {
      const snapshot = await backUp(repository, details, read);
      stop();
      if (parent !== undefined) warnOfClock(output, snapshot, parent);
      return report(output, snapshot);
    } finally {
      stop();
    }
  });
}

/** A key for writing only writes one asset: its name is the key's. */
function assetOf(options: OptionValues, source: BackupSource, { keyring }: Repository): string {
  const { payload } = keyring;
  const given = options.text('asset');
  if (payload.role === 'writer') {
    if (given !== undefined && given !== payload.asset)
      throw new Fault('KEY_CANNOT_READ', `This key writes the asset "${payload.asset}" only, not "${given}"`, {
        hint: 'Leave --asset away, or use another key.',
      });
    return payload.asset;
  }
  return given ?? `${hostOf(options)}:${source.assetName}`;
}

function reportProblem(output: Output, { path, code, message, missing }: BackupProblem): void {
  output.warning(`${missing ? 'left out' : 'taken as far as possible'}: ${displayPath(path === '' ? '.' : path)}: ${message}`, {
    ...pathFields(path),
    code,
    missing,
  });
}

/** The parent was there before this backup began. */
function warnOfClock(output: Output, { endedAt }: Snapshot, parent: Snapshot): void {
  if (parent.startedAt <= endedAt) return;
  output.warning(
    `It is ${endedAt} by the clock here, and the snapshot before, ${shortId(parent.id)}, began at ${parent.startedAt}: one of the clocks is or was wrong, and "forget" goes by these times`,
    { snapshotBefore: parent.id },
  );
}

function gaugeOf(progress: BackupProgress, bytesStored: number): Gauge {
  const { bytesDone, bytesScanned, scanned, bytesRead, entriesDone, entriesScanned, problems } = progress;
  const notes = [
    `${entriesDone}${scanned ? ` / ${entriesScanned}` : ''} files`,
    `read ${formatBytes(bytesRead)}`,
    ...(bytesStored > 0 ? [`stored ${formatBytes(bytesStored)}`] : []),
  ];
  if (problems > 0) notes.push(`${problems} problems`);
  return {
    bytesDone,
    bytesTotal: scanned ? bytesScanned : undefined,
    notes,
    fields: { bytesScanned, bytesRead, entriesDone, entriesScanned, problems },
  };
}

function report(output: Output, snapshot: Snapshot): number {
  const { id, type, statistics, problems, root } = snapshot;
  const { files, filesUnchanged, bytesRead, bytesNew, bytesStored } = statistics;
  const { id: _, durationMs: __, ...fields } = snapshotFields(snapshot);
  output.line(`Snapshot ${shortId(id)} of ${snapshot.asset} (${nounOf(type)})`);
  if (type === 'files')
    output.line(
      `  Files: ${files} (${filesUnchanged} unchanged); directories: ${statistics.directories}; others: ${statistics.others}`,
    );
  output.line(
    `  ${formatBytes(root.contentBytes)} in all, ${formatBytes(bytesRead)} read, ${formatBytes(bytesNew)} new, ${formatBytes(bytesStored)} stored${savedText(root.contentBytes, bytesStored)}`,
  );
  output.line(
    `  ${problems === 0 ? '' : `${problems} entries were left out or changed while they were read; `}took ${formatDuration(performance.now())}`,
  );
  output.summary('backup', { snapshot: id, ...fields, durationMs: Math.round(performance.now()) });
  return problems === 0 ? 0 : EXIT.warnings;
}

function nounOf(type: SourceType): string {
  return type === 'files' ? 'files' : `a ${type}`;
}

/** ": 95% saved by dedup and compression", of what the snapshot holds: what was scanned and left out saves nothing. */
function savedText(contentBytes: number, bytesStored: number): string {
  if (contentBytes <= bytesStored) return '';
  return `: ${Math.floor((1 - bytesStored / contentBytes) * 100)}% saved by dedup and compression`;
}
