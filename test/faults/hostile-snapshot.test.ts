// A snapshot that was made to hurt whoever restores it: somebody holds a writer's key, or owns the source. Nothing is written outside of the
// target, nothing through a link, and the honest rest is restored.

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFileSource } from '../../agents/files/source.ts';
import { isFault } from '../../src/base/faults.ts';
import { backUp } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import type { FileSource, SourceEntry } from '../../src/engine/file-source.ts';
import type { RestoreProblem } from '../../src/engine/restore-progress.ts';
import { comparePaths } from '../../src/model/entry-path.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { makeRepository, memoryDirectory, restoreInto, withEngine } from './scenes.ts';

type Place = { readonly root: string; readonly directory: string; readonly outside: string; readonly target: string };

async function makePlace(): Promise<Place> {
  const root = memoryDirectory();
  const [directory, outside, target] = ['place', 'outside', 'target'].map((name) => join(root, name));
  for (const path of [directory!, outside!, target!]) mkdirSync(path);
  await makeRepository(directory!);
  return { root, directory: directory!, outside: outside!, target: target! };
}

/** The tree at `root` under other names: what stands in the map is what a hostile program would have put there. */
function renamedSource(root: string, rename: (path: string) => string): FileSource {
  const honest = openFileSource([root]);
  const original = new Map<string, string>();
  return {
    ...honest,
    *items() {
      const entries = [...honest.items()].map((item) => {
        const path = rename(item.path);
        original.set(path, item.path);
        return { ...item, path } as SourceEntry;
      });
      yield* entries.sort((a, b) => comparePaths(a.path, b.path));
    },
    locate: (path) => honest.locate(original.get(path)!),
    readXattrs: (path) => honest.readXattrs(original.get(path)!),
  };
}

function backUpSource(repository: Repository, source: FileSource): Promise<{ readonly id: string }> {
  const progress = new BackupProgress();
  const listener = { onProblem: (): void => {} };
  const details = {
    asset: 'hostile',
    type: 'files',
    host: 'h',
    user: 'u',
    paths: ['/'],
    tags: [],
    program: 'test',
    threads: 1,
    level: 1,
  } as const;
  const signal = new AbortController().signal;
  return backUp(repository, { ...details, now: () => new Date(), signal, progress, listener }, async ({ pipeline }) => ({
    root: await backUpFiles({
      session: pipeline,
      source,
      paged: repository.parameters.paged,
      parentRoot: undefined,
      readNode: repository.readNode,
      progress,
      listener,
      parentStartedMs: undefined,
    }),
  }));
}

/** A refusal with a name, or a restore that reports. */
async function restoreOrRefuse(
  repository: Repository,
  session: string,
  target: string,
): Promise<readonly RestoreProblem[] | string> {
  try {
    return await restoreInto(repository, session, target);
  } catch (error) {
    expect(isFault(error), String(error)).toBe(true);
    return (error as { code: string }).code;
  }
}

describe('a snapshot that was made to hurt', () => {
  const names = ['../evil', 'a/../../evil', '/etc/evil', 'a/./evil', 'a//evil', '..', 'a\0evil', 'a/..', `${'x'.repeat(300)}/evil`];
  for (const name of names) {
    it(`cannot write to ${JSON.stringify(name.slice(0, 20))}`, async () => {
      const { root, directory, target } = await makePlace();
      const tree = join(root, 'tree');
      mkdirSync(tree);
      writeFileSync(join(tree, 'evil'), 'evil');
      writeFileSync(join(tree, 'honest'), 'honest');
      const before = readdirSync(root).sort();
      await withEngine(directory, async (repository) => {
        const source = renamedSource(tree, (path) => (path === 'evil' ? name : path));
        const { id } = await backUpSource(repository, source);
        const outcome = await restoreOrRefuse(repository, id, target);
        expect(typeof outcome === 'string' ? outcome : outcome.map(({ code }) => code)[0]).toMatch(
          /^(?:TARGET_PATH_ESCAPES|FORMAT_DAMAGED)$/,
        );
      });
      expect(readdirSync(root).sort()).toEqual(before);
      expect(existsSync('/etc/evil')).toBe(false);
      expect(readdirSync(target).filter((found) => found !== 'honest')).toEqual([]);
    });
  }

  it('cannot write through a link that it brings itself', async () => {
    const { root, directory, outside, target } = await makePlace();
    const tree = join(root, 'tree');
    mkdirSync(join(tree, 'real'), { recursive: true });
    writeFileSync(join(tree, 'real', 'evil'), 'evil');
    symlinkSync(outside, join(tree, 'link'));
    await withEngine(directory, async (repository) => {
      // The link takes the place of the directory that the file lies in.
      const source = renamedSource(tree, (path) => (path === 'link' ? 'real' : path === 'real' ? 'z' : path));
      const { id } = await backUpSource(repository, source);
      await restoreOrRefuse(repository, id, target);
    });
    expect(readdirSync(outside)).toEqual([]);
  });

  it('cannot write through a link that waits in the target', async () => {
    const { root, directory, outside, target } = await makePlace();
    const tree = join(root, 'tree');
    mkdirSync(join(tree, 'sub'), { recursive: true });
    writeFileSync(join(tree, 'sub', 'file'), 'content');
    writeFileSync(join(tree, 'top'), 'content');
    writeFileSync(join(outside, 'kept'), 'as it was');
    symlinkSync(outside, join(target, 'sub'));
    symlinkSync(join(outside, 'kept'), join(target, 'top'));
    await withEngine(directory, async (repository) => {
      const { id } = await backUpSource(repository, openFileSource([tree]));
      const outcome = await restoreOrRefuse(repository, id, target);
      expect(typeof outcome === 'string' ? [outcome] : outcome.map(({ code }) => code)).toEqual(
        expect.arrayContaining([expect.stringMatching(/^TARGET_(?:LINK_IN_THE_WAY|OCCUPIED)$/)]),
      );
    });
    expect(readdirSync(outside)).toEqual(['kept']);
    expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('as it was');
  });
});
