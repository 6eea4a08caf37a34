import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A directory that is removed when the running test ends. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Whether this process may mount file systems. Prints why tests are skipped when not; in CI that is an error. */
export function mayMount(): boolean {
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    try {
      const path = mkdtempSync(join(tmpdir(), 'holdfast-mount-'));
      mountTmpfs(path, '1m');
      unmount(path);
      rmSync(path, { recursive: true });
      return true;
    } catch {
      // Falls through: a container without the right.
    }
  }
  const line = 'tests with a full, read-only or vanished disk need the right to mount a tmpfs (root)';
  if (process.env.CI === 'true') throw new Error(line);
  console.log(`SKIPPED: ${line}`);
  return false;
}

export function mountTmpfs(path: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'pipe' });
}

export function remountReadOnly(path: string): void {
  execFileSync('mount', ['-o', 'remount,ro', path], { stdio: 'pipe' });
}

/** Lazily: open files do not hinder. */
export function unmount(path: string): void {
  execFileSync('umount', ['-l', path], { stdio: 'pipe' });
}
