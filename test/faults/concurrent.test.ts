// Several processes at once on one repository, with no lock between them: whatever comes in between what, no snapshot loses a byte.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { backUpTree, PASSPHRASE } from './engine-process.ts';
import {
  changeTree,
  copyRepository,
  copyTree,
  expectClean,
  expectRestores,
  expectSameTree,
  makeRepository,
  memoryDirectory,
  restoreInto,
  runProcess,
  snapshotIds,
  startProcess,
  withEngine,
  writeTree,
} from './scenes.ts';

const MIB = 1024 * 1024;
const ROUNDS = 8;
/** Snapshots of an asset that stay when a round begins. */
const KEPT = 2;
const DAWDLE_MS_MAX = 8;

/** What each snapshot was made of: a copy of the tree. */
type Kept = { readonly session: string; readonly asset: string; readonly state: string };

it('two backups, a prune and a restore at once, again and again, lose nothing', async () => {
  const root = memoryDirectory();
  const directory = join(root, 'place');
  mkdirSync(directory);
  await makeRepository(directory);
  const trees = { a: join(root, 'a'), b: join(root, 'b') };
  writeTree(trees.a, 1, 3 * MIB);
  copyTree(trees.a, trees.b);
  let kept: readonly Kept[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    kept = await forgetOld(directory, kept);
    const states = advance(root, trees, round);
    const dawdle = (n: number) => ({ seed: 100 * round + n, msMax: DAWDLE_MS_MAX });
    const newest = kept.filter(({ asset }) => asset === 'a').at(-1);
    const [a, b] = await Promise.all([
      runProcess({ verb: 'backup', directory, tree: trees.a, asset: 'a', dawdle: dawdle(1) }),
      runProcess({ verb: 'backup', directory, tree: trees.b, asset: 'b', dawdle: dawdle(2) }),
      runProcess({ verb: 'prune', directory, thorough: true, dawdle: dawdle(3) }),
      newest === undefined ? undefined : restoreByCommand(root, directory, newest),
    ]);
    const made = [a, b].map(({ result }) => (result as { snapshot: string }).snapshot);
    kept = [...kept, { session: made[0]!, asset: 'a', state: states.a }, { session: made[1]!, asset: 'b', state: states.b }];
    await withEngine(directory, async (repository) => {
      await expectClean(repository, `round ${round}`);
      expect([...(await snapshotIds(repository))].sort()).toEqual(kept.map(({ session }) => session).sort());
      for (const { session, state } of kept) await expectRestores(repository, session, state, root, `round ${round}`);
    });
  }
}, 600_000);

/** Forgets all but the newest of each asset, so that there is something to prune. */
function forgetOld(directory: string, kept: readonly Kept[]): Promise<readonly Kept[]> {
  const stay = (['a', 'b'] as const).flatMap((name) => kept.filter(({ asset }) => asset === name).slice(-KEPT));
  const go = kept.filter((one) => !stay.includes(one));
  return withEngine(directory, async (repository) => {
    await forgetSnapshots(repository.heads, new Set(go.map(({ session }) => session)));
    for (const { state } of go) rmSync(state, { recursive: true });
    return stay;
  });
}

/** The next state of both trees. Every third round brings back what snapshots held that are just forgotten: what a prune is about to
 *  delete is what a backup is about to find. And what is new in one is new in the other. */
function advance(
  root: string,
  trees: { readonly a: string; readonly b: string },
  round: number,
): { readonly a: string; readonly b: string } {
  for (const tree of [trees.a, trees.b]) {
    if (round % 3 === 0) writeTree(join(tree, 'back'), round - 1, 2 * MIB);
    else {
      rmSync(join(tree, 'back'), { recursive: true, force: true });
      if (round > 1) changeTree(tree, round, MIB);
      writeTree(join(tree, 'back'), round, 2 * MIB);
    }
  }
  const states = { a: join(root, `state-a-${round}`), b: join(root, `state-b-${round}`) };
  copyTree(trees.a, states.a);
  copyTree(trees.b, states.b);
  return states;
}

/** As a person restores it, from the command line. */
async function restoreByCommand(root: string, directory: string, { session, state }: Kept): Promise<void> {
  const passphrase = join(root, 'passphrase');
  writeFileSync(passphrase, PASSPHRASE);
  const target = join(root, `restored-${session}`);
  const args = ['restore', session, '--repo', join(directory, 'repository'), '--cache-dir', join(directory, 'cache')];
  const child = spawn(join(CHECKOUT, 'bin/holdfast'), [...args, '--passphrase-file', passphrase, '--target', target], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data));
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expectSameTree(state, target, 'restored while others wrote and pruned');
  rmSync(target, { recursive: true });
}

it('a restore whose packs are rewritten under its hands goes on in the new ones', async () => {
  const root = memoryDirectory();
  const directory = join(root, 'place');
  mkdirSync(directory);
  await makeRepository(directory);
  const tree = join(root, 'tree');
  writeTree(tree, 1, 4 * MIB);
  await withEngine(directory, async (repository) => {
    const { id: first } = await backUpTree(repository, tree);
    rmSync(join(tree, 'd0'), { recursive: true });
    const { id: second } = await backUpTree(repository, tree);
    let moved: Promise<number> | undefined;
    const rewrite = (): Promise<number> => {
      moved ??= withEngine(directory, async (other) => {
        await forgetSnapshots(other.heads, new Set([first]));
        return (await prune(other, { by: 'test', unusedShareMax: 0 })).packsMoved;
      });
      return moved;
    };
    const target = join(root, 'restored');
    mkdirSync(target);
    expect(await restoreInto(repository, second, target, rewrite)).toEqual([]);
    expect(await moved).toBeGreaterThan(0);
    expectSameTree(tree, target, 'restored while it was rewritten');
  });
}, 120_000);

it('a backup that sleeps while a prune gives it up cannot commit afterwards, wherever it slept, and loses nothing', async () => {
  const root = memoryDirectory();
  const template = join(root, 'template');
  mkdirSync(template);
  await makeRepository(template);
  const before = join(root, 'before');
  writeTree(before, 1, 2 * MIB);
  const tree = join(root, 'tree');
  copyTree(before, tree);
  changeTree(tree, 2, 4 * MIB);
  // A snapshot of the same content is forgotten: the sleeper builds on what the prune takes away.
  const first = await withEngine(template, async (repository) => {
    const { id: gone } = await backUpTree(repository, tree, { asset: 'other' });
    const { id } = await backUpTree(repository, before);
    await forgetSnapshots(repository.heads, new Set([gone]));
    return id;
  });
  let asleep = 0;
  for (let write = 1; ; write++) {
    const directory = join(root, `sleeps-at-${write}`);
    copyRepository(template, directory);
    const sleeper = startProcess({ verb: 'backup', directory, tree, kill: { write, when: 'before', signal: 'SIGSTOP' } });
    if (await endsBeforeItSleeps(sleeper)) break;
    asleep++;
    await withEngine(directory, async (repository) => {
      const revoked = await pruneImpatiently(repository);
      process.kill(sleeper.pid, 'SIGCONT');
      const ended = await sleeper.ended.catch((error: unknown) => ({ text: String(error) }));
      const when = `stopped before write ${write}`;
      const later = (await snapshotIds(repository)).filter((session) => session !== first);
      // Either it had committed when it was looked at, or it is revoked and says so.
      if (later.length === 0) expect(ended.text, when).toContain('SESSION_REVOKED');
      if (revoked > 0) expect(later, when).toEqual([]);
      await prune(repository, { by: 'test', unusedShareMax: 0 });
      await expectClean(repository, when);
      await expectRestores(repository, first, before, root, when);
      for (const session of later) await expectRestores(repository, session, tree, root, when);
      const { id } = await backUpTree(repository, tree);
      await expectRestores(repository, id, tree, root, when);
    });
    rmSync(directory, { recursive: true });
  }
  expect(asleep).toBeGreaterThan(5);
}, 600_000);

/** Gives up everybody who is silent at this moment, as a prune does with those who have been for a day. */
async function pruneImpatiently(repository: Repository): Promise<number> {
  try {
    const { revoked } = await prune(repository, { by: 'test', unusedShareMax: 0, revokeAfterMs: -1, isDead: () => false });
    return revoked.length;
  } catch (error) {
    // So impatient that it gives itself up.
    if (isFault(error, 'SESSION_REVOKED')) return 0;
    throw error;
  }
}

async function endsBeforeItSleeps(sleeper: ReturnType<typeof startProcess>): Promise<boolean> {
  let hasEnded = false;
  sleeper.ended.then(
    () => (hasEnded = true),
    () => (hasEnded = true),
  );
  while (!hasEnded) {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${sleeper.pid}/stat`, 'latin1'))?.[1];
    if (state === 'T') return false;
    await sleep(5);
  }
  return true;
}
