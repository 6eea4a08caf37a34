// Every single thing that a repository consists of, damaged in every way we can think of: what is restored is right or reported, the fault
// has a name, verify notices whatever a restore stumbles over, and nothing that was good is changed by looking.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FAULTS, isFault } from '../../src/base/faults.ts';
import { verify } from '../../src/engine/verify.ts';
import { sampleOf } from '../support/sample.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { backUpTree } from './engine-process.ts';
import {
  changeTree,
  copyRepository,
  copyTree,
  expectClean,
  expectRestores,
  filesUnlike,
  makeRepository,
  memoryDirectory,
  restoreInto,
  withEngine,
  writeTree,
} from './scenes.ts';

const MIB = 1024 * 1024;

/** Answers the damaged bytes, or undefined when the file is gone. `other` is a sound one of the same kind. */
type Damage = (bytes: Buffer, other: Buffer, random: () => number) => Buffer | undefined;

const DAMAGES: Readonly<Record<string, Damage>> = {
  'one bit flipped': (bytes, _, random) => {
    const copy = Buffer.from(bytes);
    copy[Math.floor(random() * copy.length)]! ^= 1 << Math.floor(random() * 8);
    return copy;
  },
  'its first byte changed': (bytes) => Buffer.concat([Buffer.from([bytes[0]! ^ 0x41]), bytes.subarray(1)]),
  'half of it missing': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'nothing in it': () => Buffer.alloc(0),
  'one of its kind in its place': (_, other) => other,
  'not there': () => undefined,
};

type Part = { readonly path: string; readonly kind: string };

/** Files of the repository by what they are. */
function partsOf(repository: string): readonly Part[] {
  const parts: Part[] = [];
  for (const entry of readdirSync(repository, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = relative(repository, join(entry.parentPath, entry.name));
    if (path.startsWith('tmp~')) continue;
    const bytes = path.startsWith('packs/') ? readFileSync(join(repository, path)) : undefined;
    const isMetadata = bytes?.at(-59) === 1;
    parts.push({ path, kind: bytes === undefined ? path.split(/[~/]/)[0]! : isMetadata ? 'pack of nodes' : 'pack of data' });
  }
  return parts;
}

/** Faults that tell of damage, as opposed to a full disk or a bug. */
const TELLING = /^(?:FORMAT_|STORE_NOT_FOUND|STORE_CORRUPT|KEY_|HEAD_|SNAPSHOT_)/;

function expectTelling(error: unknown, when: string): void {
  expect(isFault(error) ? error.code : String(error), when).toMatch(TELLING);
  expect(FAULTS[(error as { code: keyof typeof FAULTS }).code].hint, when).not.toBe('');
}

type Scene = { root: string; directory: string; one: string; two: string; first: string; second: string };
const root = memoryDirectory('all');
let scene: Scene;
let parts: readonly Part[];

beforeAll(async () => {
  const directory = join(root, 'sound');
  mkdirSync(directory);
  await makeRepository(directory);
  const one = join(root, 'one');
  const two = join(root, 'two');
  writeTree(one, 1, MIB);
  copyTree(one, two);
  changeTree(two, 2, 2 * MIB);
  const [first, second] = await withEngine(directory, async (repository) => [
    (await backUpTree(repository, one)).id,
    (await backUpTree(repository, two)).id,
  ]);
  scene = { root, directory, one, two, first: first!, second: second! };
  parts = partsOf(join(directory, 'repository'));
});

/** Files of one kind that are tried. */
const ALIKE = 2;
const KINDS = ['repository', 'keys', 'session-keys', 'head', 'snapshots', 'index', 'pack of nodes', 'pack of data'];

describe('damage to', () => {
  it('every kind of file is tried', () => {
    expect([...new Set(parts.map(({ kind }) => kind))].sort()).toEqual([...KINDS].sort());
  });

  for (const kind of KINDS) {
    it(`${kind}: what comes back is right or reported, verify notices, and nothing is made worse`, async () => {
      const { root, directory, two, second, first, one } = scene;
      let noticed = 0;
      let seed = 0;
      const alike = parts.filter((each) => each.kind === kind);
      for (const part of sampleOf(alike, ALIKE)) {
        for (const [name, damage] of Object.entries(DAMAGES)) {
          const when = `${part.path}: ${name}`;
          const place = join(root, 'damaged');
          copyRepository(directory, place);
          // Without a cache everything must come from the repository; only that an older head is older is known from the last time.
          if (kind !== 'head') rmSync(join(place, 'cache'), { recursive: true });
          else await withEngine(place, async (repository) => void (await repository.heads.read()));
          apply(join(place, 'repository', part.path), damage, otherOf(part), seededRandom(seed++));
          const before = listing(join(place, 'repository'));
          const isWhole = await restoresRightOrReports(place, second, two, when);
          const isClean = await verifies(place, when);
          if (!isWhole) expect(isClean, `${when}: a restore is not whole, so verify must not be clean`).toBe(false);
          if (!isClean) noticed++;
          // Neither reading nor verifying has changed anything.
          expect(listing(join(place, 'repository')), when).toEqual(before);
          if (name !== 'not there') {
            rmSync(place, { recursive: true });
            continue;
          }
          // With the file back in place all is as it was.
          mkdirSync(dirname(join(place, 'repository', part.path)), { recursive: true });
          copyFileSync(join(directory, 'repository', part.path), join(place, 'repository', part.path));
          await withEngine(place, async (repository) => {
            await expectClean(repository, `${when}, put back`);
            await expectRestores(repository, first, one, root, `${when}, put back`);
          });
          rmSync(place, { recursive: true });
        }
      }
      expect(noticed).toBeGreaterThan(0);
    }, 300_000);
  }

  it('any one file: a backup on top of it is refused by name, or made and whole', async () => {
    const { root, directory, two, one } = scene;
    const tree = join(root, 'three');
    copyTree(two, tree);
    changeTree(tree, 3, MIB);
    let refused = 0;
    const tried = KINDS.flatMap((kind) =>
      sampleOf(
        parts.filter((part) => part.kind === kind),
        ALIKE,
      ),
    );
    for (const [n, part] of tried.entries()) {
      const names = Object.keys(DAMAGES);
      const name = names[n % names.length]!;
      const when = `${part.path}: ${name}`;
      const place = join(root, 'damaged');
      copyRepository(directory, place);
      if (part.kind !== 'head') rmSync(join(place, 'cache'), { recursive: true });
      apply(join(place, 'repository', part.path), DAMAGES[name]!, otherOf(part), seededRandom(n));
      try {
        await withEngine(place, (repository) => backUpTree(repository, tree));
      } catch (error) {
        expectTelling(error, when);
        refused++;
      }
      // Whatever happened, the sound rest is still there: with the file back, every snapshot that is listed is whole.
      mkdirSync(dirname(join(place, 'repository', part.path)), { recursive: true });
      copyFileSync(join(directory, 'repository', part.path), join(place, 'repository', part.path));
      if (part.kind !== 'head')
        await withEngine(place, async (repository) => {
          await expectRestores(repository, scene.first, one, root, when);
          await expectRestores(repository, scene.second, two, root, when);
        });
      rmSync(place, { recursive: true });
    }
    expect(refused).toBeGreaterThan(3);
  }, 300_000);
});

function apply(path: string, damage: Damage, other: Buffer, random: () => number): void {
  const damaged = damage(readFileSync(path), other, random);
  rmSync(path);
  if (damaged !== undefined) writeFileSync(path, damaged);
}

/** Another file of its kind; of another kind where it is the only one. */
function otherOf(part: Part): Buffer {
  const other =
    parts.find(({ kind, path }) => kind === part.kind && path !== part.path) ?? parts.find(({ kind }) => kind !== part.kind)!;
  return readFileSync(join(scene.directory, 'repository', other.path));
}

function listing(repository: string): readonly string[] {
  return readdirSync(repository, { recursive: true, encoding: 'utf8' })
    .map(
      (path) =>
        `${path} ${statSync(join(repository, path)).isFile() ? readFileSync(join(repository, path)).toString('base64').length : ''}`,
    )
    .sort();
}

/** True when everything was restored. What is there and was not reported is right, whatever happened. */
async function restoresRightOrReports(place: string, session: string, tree: string, when: string): Promise<boolean> {
  const target = join(place, 'target');
  mkdirSync(target);
  let reported: readonly string[] = [];
  let isThrown = false;
  try {
    await withEngine(place, async (repository) => {
      const problems = await restoreInto(repository, session, target);
      for (const { code } of problems) expect(code, when).toMatch(TELLING);
      reported = problems.map(({ path }) => path);
    });
  } catch (error) {
    expectTelling(error, when);
    isThrown = true;
  }
  const wrong = filesUnlike(tree, target);
  // After a fault the rest is not there yet, and is not said to be.
  if (!isThrown)
    expect(
      wrong.filter((path) => !reported.includes(path)),
      `${when}: not right and not reported`,
    ).toEqual([]);
  rmSync(target, { recursive: true });
  return wrong.length === 0 && !isThrown;
}

async function verifies(place: string, when: string): Promise<boolean> {
  try {
    return await withEngine(place, async (repository) => {
      const { outcome, damaged } = await verify(repository, { depth: { kind: 'full' }, threads: 1 });
      expect(damaged.length > 0, when).toBe(outcome === 'damaged');
      return outcome === 'clean';
    });
  } catch (error) {
    expectTelling(error, when);
    return false;
  }
}
