import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('the committed kernel is what its source compiles to', () => {
  const root = join(import.meta.dirname, '../..');
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const [, ...build] = scripts['build:kernel']!.split(' ');
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-kernel-'));
  try {
    const built = join(directory, 'chunker.wasm');
    execFileSync(process.execPath, [...build, '--outFile', built], { cwd: root, stdio: 'pipe' });
    expect(readFileSync(join(root, 'src/codec/kernel/chunker.wasm')).equals(readFileSync(built))).toBe(true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
