import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { differences } from '../../bench/compare.ts';
import { applyDelta, recordDelta } from '../../bench/data/delta.ts';
import { noise } from '../../bench/data/random.ts';

let place: string;
const at = (...names: string[]) => join(place, ...names);

/** A directory `first` with some of everything, and `second`, a copy of it after all kinds of changes. */
function writeBothStates(): void {
  const next = noise('delta test');
  mkdirSync(at('first/sub/deep'), { recursive: true });
  mkdirSync(at('first/doomed'));
  for (const name of ['same', 'patched', 'grown', 'shrunk', 'moved', 'sub/deep/inner', 'doomed/file'])
    writeFileSync(at('first', name), next(50_000));
  symlinkSync('same', at('first/link'));
  execFileSync('cp', ['-a', at('first'), at('second')]);
  writeFileSync(at('second/patched'), next(3), { flag: 'r+' });
  appendFileSync(at('second/grown'), next(70_000));
  truncateSync(at('second/shrunk'), 5_000);
  renameSync(at('second/moved'), at('second/sub/moved'));
  rmSync(at('second/doomed'), { recursive: true });
  writeFileSync(at('second/sub/deep/added'), next(10));
  rmSync(at('second/link'));
  symlinkSync('patched', at('second/link'));
  chmodSync(at('second/sub/deep/inner'), 0o600);
}

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  writeBothStates();
  recordDelta(at('first'), at('second'), at('delta'));
  execFileSync('cp', ['-a', at('first'), at('source')]);
});

afterEach(() => rmSync(place, { recursive: true }));

describe('a delta', () => {
  test('turns the first state into the second and back, times and modes included', () => {
    applyDelta(at('source'), at('delta'), 'second');
    expect(differences(at('second'), at('source'))).toEqual([]);
    applyDelta(at('source'), at('delta'), 'first');
    expect(differences(at('first'), at('source'))).toEqual([]);
  });

  test('leaves what did not change untouched, so that nobody has a reason to read it again', () => {
    const before = lstatSync(at('source/same'), { bigint: true });
    applyDelta(at('source'), at('delta'), 'second');
    applyDelta(at('source'), at('delta'), 'first');
    const after = lstatSync(at('source/same'), { bigint: true });
    expect([after.ino, after.ctimeNs, after.mtimeNs]).toEqual([before.ino, before.ctimeNs, before.mtimeNs]);
  });

  test('finishes a switch that was interrupted half way, in either direction', () => {
    for (const name of ['patched', 'grown', 'sub/deep/added']) execFileSync('cp', ['-a', at('second', name), at('source', name)]);
    rmSync(at('source/doomed/file'));
    rmSync(at('source/link'));
    execFileSync('cp', ['-a', at('source'), at('other')]);
    applyDelta(at('source'), at('delta'), 'first');
    expect(differences(at('first'), at('source'))).toEqual([]);
    applyDelta(at('other'), at('delta'), 'second');
    expect(differences(at('second'), at('other'))).toEqual([]);
  });
});

describe('the comparison with what was restored', () => {
  const changes: Record<string, () => void> = {
    'one byte': () => writeFileSync(at('source/same'), 'x', { flag: 'r+' }),
    'a mode': () => chmodSync(at('source/same'), 0o640),
    'a time': () => utimesSync(at('source/same'), 1, 1),
    'a missing file': () => rmSync(at('source/sub/deep/inner')),
    'a file too many': () => writeFileSync(at('source/sub/extra'), ''),
    'a link to elsewhere': () => {
      rmSync(at('source/link'));
      symlinkSync('other', at('source/link'));
    },
    'a directory in place of a file': () => {
      rmSync(at('source/same'));
      mkdirSync(at('source/same'));
    },
  };
  test('finds nothing in a copy', () => expect(differences(at('first'), at('source'))).toEqual([]));
  test.each(Object.keys(changes))('finds %s', (name) => {
    changes[name]!();
    expect(differences(at('first'), at('source'))).not.toEqual([]);
  });
});
