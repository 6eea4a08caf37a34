// What the tests of this directory share: a place in memory, trees that change a little, processes that die, and the proofs that nothing
// is lost.

import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished } from 'vitest';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import { verify } from '../../src/engine/verify.ts';
import { readableIndexes } from '../../src/repository/head-changes.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { readSnapshot } from '../../src/repository/snapshots.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';
import { backUpTree, type EngineTask, openEngine, PASSPHRASE } from './engine-process.ts';
import { makeSmallRepository } from './small-repository.ts';

const PROCESS = fileURLToPath(new URL('./engine-process.ts', import.meta.url));
/** Not `process.execPath`: the launcher knows which flags Node needs. It becomes Node, so the process id is Node's. */
const NODE = fileURLToPath(new URL('../../bin/node', import.meta.url));

/** In memory where the machine has that: hundreds of repositories are written here, each fsynced again and again. It is removed when the
 *  test ends, or all tests of the file when it is for all. */
export function memoryDirectory(of: 'test' | 'all' = 'test'): string {
  const path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-faults-'));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  if (of === 'all') afterAll(remove);
  else onTestFinished(remove);
  return path;
}

export function writeFileAt(root: string, path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** Files of all the ways content is kept: small, cut by content, paged, large. About `bytes` altogether; they do not compress. */
export function writeTree(root: string, seed: number, bytes: number): void {
  const random = seededRandom(seed);
  mkdirSync(root, { recursive: true });
  for (let n = 0, written = 0; written < bytes; n++) {
    const sizes = [0, 90, 3000, 40_000, 128 * 1024, 200_000, 512 * 1024, 700_001];
    const size = sizes[Math.floor(random() * sizes.length)]!;
    writeFileAt(root, `d${n % 5}/f${seed}-${n}`, seededBytes(size, seed * 1000 + n));
    written += size;
  }
}

/** The state of a tree on its way from one snapshot to the next: some files go, some change, much is new. */
export function changeTree(root: string, seed: number, bytes: number): void {
  for (const directory of readdirSync(root)) {
    readdirSync(join(root, directory)).forEach((name, n) => {
      const path = join(root, directory, name);
      if (n % 7 === 3) rmSync(path);
      else if (n % 7 === 5) appendFileSync(path, `changed by ${seed}`);
    });
  }
  writeTree(root, seed, bytes);
}

export function copyTree(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to]);
}

export async function makeRepository(directory: string): Promise<void> {
  const store = await openFsStore(join(directory, 'repository'), { create: true });
  await makeSmallRepository(store, PASSPHRASE);
  await store.close();
}

export type Ended = { readonly killed: boolean; readonly writes: number; readonly result: unknown; readonly text: string };

/** Runs the task in a process of its own. A failure of it is thrown; that it was killed is an answer. */
export function runProcess(task: EngineTask): Promise<Ended> {
  return startProcess(task).ended;
}

export function startProcess(task: EngineTask): { readonly pid: number; readonly ended: Promise<Ended> } {
  const child = spawn(NODE, [PROCESS, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<Ended>((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data));
    child.stderr.on('data', (data: Buffer) => (stderr += data));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve({ killed: true, writes: 0, result: undefined, text: stderr });
      else if (code === 0) resolve({ killed: false, text: stderr, ...(JSON.parse(stdout) as { writes: number; result: unknown }) });
      else reject(new Error(`${JSON.stringify(task)} ended with ${code ?? signal}: ${stderr}`));
    });
  });
  return { pid: child.pid!, ended };
}

export function copyRepository(from: string, to: string): void {
  cpSync(from, to, { recursive: true, preserveTimestamps: true });
}

/** Every object of the repository, registers aside, in bytes. */
export function storedBytes(directory: string): number {
  let sum = 0;
  const look = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name.includes('~')) continue;
      if (entry.isDirectory()) look(join(path, entry.name));
      else sum += statSync(join(path, entry.name)).size;
    }
  };
  look(join(directory, 'repository'));
  return sum;
}

export function countObjects(directory: string, prefix: string): number {
  return filesBelow(join(directory, 'repository', prefix)).length;
}

/** Packs by their keys. */
export function packSizes(directory: string): ReadonlyMap<string, number> {
  return new Map(filesBelow(join(directory, 'repository/packs')).map((path) => [path, statSync(path).size]));
}

function filesBelow(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.includes('~'))
    .map(({ parentPath, name }) => join(parentPath, name));
}

export async function withEngine<T>(directory: string, work: (repository: Repository) => Promise<T>): Promise<T> {
  const repository = await openEngine(directory);
  try {
    return await work(repository);
  } finally {
    await repository.close();
  }
}

/** Every byte of every pack, every map, every reference. */
export async function expectClean(repository: Repository, when: string): Promise<void> {
  const { outcome, damaged, affected } = await verify(repository, { depth: { kind: 'full' }, threads: 1 });
  expect({ outcome, damaged, affected }, when).toEqual({ outcome: 'clean', damaged: [], affected: [] });
}

/** Restores the snapshot and compares it with the tree as it was. */
export async function expectRestores(
  repository: Repository,
  session: string,
  tree: string,
  scratch: string,
  when: string,
): Promise<void> {
  const target = mkdtempSync(join(scratch, 'restored-'));
  const problems = await restoreInto(repository, session, target);
  expect(problems, `${when}: problems of the restore of ${session}`).toEqual([]);
  expectSameTree(tree, target, `${when}: the restore of ${session}`);
  rmSync(target, { recursive: true });
}

/** Answers what could not be restored. `beforeReading` is waited for before each look at a pack. */
export async function restoreInto(
  repository: Repository,
  session: string,
  target: string,
  beforeReading?: () => Promise<unknown>,
): Promise<readonly RestoreProblem[]> {
  const snapshot = await readSnapshot(repository, session);
  await repository.syncIndex(readableIndexes(await repository.heads.read()));
  const problems: RestoreProblem[] = [];
  const pool = new ReadingPool(
    repository.store,
    1,
    { idKey: repository.keyring.payload.idKey, target },
    new AbortController().signal,
  );
  const packBytes = pool.packBytes.bind(pool);
  pool.packBytes = async (packId, offset, length) => {
    await beforeReading?.();
    return packBytes(packId, offset, length);
  };
  try {
    await restoreTree({
      root: snapshot.root.reference,
      below: '',
      target,
      delta: false,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      blocks: repository.blocks,
      keys: repository.keys,
      pool,
      progress: new RestoreProgress(),
      onProblem: (problem) => problems.push(problem),
    });
  } finally {
    await pool.close();
  }
  return problems;
}

/** Files of the tree that are not, or not the same, in the other directory. */
export function filesUnlike(tree: string, other: string): readonly string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(tree, join(entry.parentPath, entry.name)))
    .filter((path) => !holds(join(other, path), readFileSync(join(tree, path))));
}

function holds(path: string, content: Buffer): boolean {
  try {
    return readFileSync(path).equals(content);
  } catch {
    return false;
  }
}

export function expectSameTree(expected: string, actual: string, when: string): void {
  let differences = '';
  try {
    execFileSync('diff', ['-r', '--no-dereference', expected, actual], { encoding: 'utf8' });
  } catch (error) {
    differences = (error as { stdout: string }).stdout || String(error);
  }
  expect(differences, when).toBe('');
}

export async function snapshotIds(repository: Repository): Promise<readonly string[]> {
  return (await repository.heads.read()).snapshots.map(({ session }) => session);
}

/** Goes through the numbers from 1 on in two lanes, until `attempt` answers 'end'. Answers how many it was called with before that. */
export async function forEachNumber(attempt: (n: number) => Promise<'more' | 'end'>): Promise<number> {
  let next = 1;
  let last = Number.POSITIVE_INFINITY;
  const lane = async (): Promise<void> => {
    while (next < last) {
      const n = next++;
      if ((await attempt(n)) === 'end') last = Math.min(last, n);
    }
  };
  await Promise.all([lane(), lane()]);
  return last - 1;
}

export { backUpTree };
