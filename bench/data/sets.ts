// The data sets by name: generated once, then kept in the work directory and switched between their two states.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { changeDatabase, writeDatabase } from './database.ts';
import { applyDelta, recordDelta, type Side } from './delta.ts';
import { changeImage, IMAGE_NAME, writeImage } from './image.ts';
import { changeIncompressible, writeIncompressible } from './incompressible.ts';
import { changeTree, writeTree } from './tree.ts';

export const SET_NAMES = ['tree', 'database', 'image', 'random'] as const;
export type SetName = (typeof SET_NAMES)[number];

/** How many times smaller the short form is. */
export const SHORT_SCALE = 16;

type Recipe = {
  /** Goes up when the generator changes, so that a kept set is made anew. */
  readonly generation: number;
  readonly write: (root: string, scale: number) => void;
  readonly change: (root: string, scale: number) => void;
  /** What is handed to the programs under test, below the set's root: a directory, or one file. */
  readonly path: string;
};

const RECIPES: Record<SetName, Recipe> = {
  tree: { generation: 1, write: writeTree, change: changeTree, path: '.' },
  database: { generation: 1, write: writeDatabase, change: changeDatabase, path: '.' },
  image: { generation: 2, write: writeImage, change: changeImage, path: IMAGE_NAME },
  random: { generation: 1, write: writeIncompressible, change: changeIncompressible, path: '.' },
};

export type Extent = { readonly files: number; readonly bytes: number; readonly allocatedBytes: number };

function extentOf(path: string): Extent {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return { files: 1, bytes: stats.isFile() ? stats.size : 0, allocatedBytes: stats.blocks * 512 };
  let [files, bytes, allocatedBytes] = [0, 0, 0];
  for (const name of readdirSync(path)) {
    const inner = extentOf(join(path, name));
    files += inner.files;
    bytes += inner.bytes;
    allocatedBytes += inner.allocatedBytes;
  }
  return { files, bytes, allocatedBytes };
}

export type DataSet = {
  readonly name: SetName;
  /** Absolute; a directory, or the image's file. */
  readonly path: string;
  readonly kind: 'directory' | 'file';
  readonly extent: Extent;
  /** What the delta between the two states holds, in bytes of the second state. */
  readonly changedBytes: number;
  readonly become: (side: Side) => void;
  /** Back to the first state, and free for another run. */
  readonly close: () => void;
};

type Stamp = { readonly generation: number; readonly scale: number; readonly extent: Extent; readonly changedBytes: number };

/** One run at a time may switch a set: the lock file holds the process that does. */
function claim(lock: string): void {
  if (existsSync(lock)) {
    const owner = readFileSync(lock, 'utf8');
    if (existsSync(`/proc/${owner}`)) throw new Error(`Another run (process ${owner}) uses this data set: ${lock}`);
    rmSync(lock);
  }
  writeFileSync(lock, String(process.pid), { flag: 'wx' });
}

/** Opens the set below `directory`, making it first if it is not there; the set is then in its first state. */
export function openSet(name: SetName, directory: string, isShort: boolean, say: (line: string) => void): DataSet {
  const scale = isShort ? SHORT_SCALE : 1;
  const home = join(directory, isShort ? 'short' : 'full', name);
  const stampPath = join(home, 'set.json');
  const [root, delta, lock] = [join(home, 'source'), join(home, 'delta'), `${home}.lock`];
  mkdirSync(join(home, '..'), { recursive: true });
  claim(lock);
  let stamp = existsSync(stampPath) ? (JSON.parse(readFileSync(stampPath, 'utf8')) as Stamp) : undefined;
  if (stamp?.generation !== RECIPES[name].generation || stamp.scale !== scale) {
    say(`making the data set "${name}" in ${home}`);
    stamp = generate(RECIPES[name], home, root, delta, scale);
    writeFileSync(stampPath, JSON.stringify(stamp));
  } else applyDelta(root, delta, 'first');
  const path = join(root, RECIPES[name].path);
  return {
    name,
    path,
    kind: lstatSync(path).isDirectory() ? 'directory' : 'file',
    extent: stamp.extent,
    changedBytes: stamp.changedBytes,
    become: (side) => applyDelta(root, delta, side),
    close: () => {
      applyDelta(root, delta, 'first');
      rmSync(lock);
    },
  };
}

function generate(recipe: Recipe, home: string, root: string, delta: string, scale: number): Stamp {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  recipe.write(root, scale);
  const second = join(home, 'second');
  execFileSync('cp', ['-a', '--sparse=always', root, second]);
  recipe.change(second, scale);
  const summary = recordDelta(root, second, delta);
  rmSync(second, { recursive: true });
  return { generation: recipe.generation, scale, extent: extentOf(join(root, recipe.path)), changedBytes: summary.secondBytes };
}
