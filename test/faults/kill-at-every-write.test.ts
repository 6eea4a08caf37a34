// The crash plan, proved by crashing: a process that writes is killed with SIGKILL before, in the middle of and after every single one of
// its writes (the short form: of every third). Whatever it leaves behind, the repository verifies, what was there restores, the next backup succeeds, and prune frees
// the waste.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { isSampled } from '../support/sample.ts';
import { backUpTree, type EngineTask, type Kill } from './engine-process.ts';
import {
  changeTree,
  copyRepository,
  copyTree,
  countObjects,
  expectClean,
  expectRestores,
  forEachNumber,
  makeRepository,
  memoryDirectory,
  runProcess,
  snapshotIds,
  storedBytes,
  withEngine,
  writeTree,
} from './scenes.ts';

const MIB = 1024 * 1024;
/** Bytes that may stay: another cut into blocks and packs. */
const SLACK_SHARE = 0.03;

/** Three states of a tree, the first of them backed up. */
type Scene = { readonly root: string; readonly template: string; readonly states: readonly string[]; readonly first: string };

async function makeScene(): Promise<Scene> {
  const root = memoryDirectory();
  const states = ['one', 'two', 'three'].map((name) => join(root, name));
  writeTree(states[0]!, 1, 4 * MIB);
  copyTree(states[0]!, states[1]!);
  changeTree(states[1]!, 2, 16 * MIB);
  copyTree(states[1]!, states[2]!);
  changeTree(states[2]!, 3, 2 * MIB);
  const template = join(root, 'template');
  mkdirSync(template);
  await makeRepository(template);
  const first = await withEngine(template, async (repository) => (await backUpTree(repository, states[0]!)).id);
  return { root, template, states, first };
}

/** By turns. What is left by a death after a write is what is left by one before the next, so few are enough. */
const WAYS: readonly Kill['when'][] = ['before', 'during', 'after'];

/** The task, killed at each of its writes in that many ways; `check` looks at what is left. Answers how many writes there were. */
function killAtEveryWrite(
  scene: Scene,
  template: string,
  task: Omit<EngineTask, 'directory' | 'kill'>,
  ways: number,
  check: (directory: string, when: string) => Promise<void>,
): Promise<number> {
  return forEachNumber(async (n) => {
    if (!isSampled(n)) return 'more';
    let wasKilled = false;
    for (const way of Array.from({ length: ways }, (_, k) => WAYS[(n + k) % 3]!)) {
      const directory = join(scene.root, `${task.verb}-${n}-${way}`);
      copyRepository(template, directory);
      const { killed } = await runProcess({ ...task, directory, kill: { write: n, when: way } });
      await check(directory, `${task.verb}, killed ${way} write ${n}`);
      rmSync(directory, { recursive: true });
      wasKilled ||= killed;
    }
    return wasKilled ? 'more' : 'end';
  });
}

/** Frees everything that can be freed; answers what is stored then. */
async function freeAll(directory: string, repository: Repository, when: string): Promise<number> {
  await prune(repository, { by: 'test', unusedShareMax: 0 });
  // The key of a session goes with the prune after the one that takes its last block away.
  await prune(repository, { by: 'test', unusedShareMax: 0 });
  await expectClean(repository, `${when}, after the prune`);
  expect(countObjects(directory, 'condemned'), `${when}: condemned lists`).toBe(0);
  const { writers, condemned, pins } = await repository.heads.read();
  expect({ writers, condemned, pins }, when).toEqual({ writers: [], condemned: [], pins: [] });
  return storedBytes(directory);
}

describe('a process killed at every one of its writes', () => {
  it('a backup: the repository is clean, the earlier snapshot restores, the next backup succeeds, prune frees the waste', async () => {
    const scene = await makeScene();
    const { root, template, states, first } = scene;

    const goOn = async (directory: string, when: string): Promise<number> =>
      withEngine(directory, async (repository) => {
        await expectClean(repository, when);
        await expectRestores(repository, first, states[0]!, root, when);
        const { id } = await backUpTree(repository, states[1]!);
        const stored = await freeAll(directory, repository, when);
        // What the killed one had committed is a snapshot like any other.
        const [, ...later] = await snapshotIds(repository);
        expect(later.at(-1), when).toBe(id);
        expect(later.length, when).toBeLessThanOrEqual(2);
        await expectRestores(repository, first, states[0]!, root, when);
        for (const session of later) await expectRestores(repository, session, states[1]!, root, when);
        return stored;
      });

    const undisturbed = join(root, 'undisturbed');
    copyRepository(template, undisturbed);
    const expected = await goOn(undisturbed, 'undisturbed');
    const writes = await killAtEveryWrite(scene, template, { verb: 'backup', tree: states[1]! }, 2, async (directory, when) => {
      expect(await goOn(directory, when), `${when}: bytes stored after the prune`).toBeLessThan(expected * (1 + SLACK_SHARE));
    });
    expect(writes).toBeGreaterThan(20);
  }, 900_000);

  it('a prune that drops and moves packs: every snapshot restores, the next prune ends the work', async () => {
    const scene = await makeScene();
    const { root, template, states, first } = scene;
    const third = await withEngine(template, async (repository) => {
      const { id: second } = await backUpTree(repository, states[1]!);
      const { id } = await backUpTree(repository, states[2]!);
      await forgetSnapshots(repository.heads, new Set([second]));
      return id;
    });

    const goOn = async (directory: string, when: string): Promise<number> =>
      withEngine(directory, async (repository) => {
        await expectClean(repository, when);
        await expectRestores(repository, first, states[0]!, root, when);
        await expectRestores(repository, third, states[2]!, root, when);
        const { id } = await backUpTree(repository, states[1]!);
        await expectRestores(repository, id, states[1]!, root, when);
        await forgetSnapshots(repository.heads, new Set([id]));
        const stored = await freeAll(directory, repository, when);
        await expectRestores(repository, first, states[0]!, root, when);
        await expectRestores(repository, third, states[2]!, root, when);
        return stored;
      });

    const undisturbed = join(root, 'undisturbed');
    copyRepository(template, undisturbed);
    const expected = await goOn(undisturbed, 'undisturbed');
    const task = { verb: 'prune', thorough: true } as const;
    const writes = await killAtEveryWrite(scene, template, task, 1, async (directory, when) => {
      expect(await goOn(directory, when), `${when}: bytes stored in the end`).toBeLessThan(expected * (1 + SLACK_SHARE));
    });
    expect(writes).toBeGreaterThan(15);
  }, 900_000);

  it('a forget: the snapshot is there whole or gone, and the other one stays', async () => {
    const scene = await makeScene();
    const { root, template, states, first } = scene;
    const second = await withEngine(template, async (repository) => (await backUpTree(repository, states[2]!)).id);
    const task = { verb: 'forget', sessions: [first] } as const;
    const writes = await killAtEveryWrite(scene, template, task, 3, async (directory, when) => {
      await withEngine(directory, async (repository) => {
        await expectClean(repository, when);
        if ((await snapshotIds(repository)).includes(first)) await expectRestores(repository, first, states[0]!, root, when);
        await expectRestores(repository, second, states[2]!, root, when);
        await forgetSnapshots(repository.heads, new Set([first]));
        await freeAll(directory, repository, when);
        expect(await snapshotIds(repository), when).toEqual([second]);
        await expectRestores(repository, second, states[2]!, root, when);
      });
    });
    expect(writes).toBeGreaterThan(1);
  }, 300_000);
});
