// A directory for one test, and the drivers that every test of system calls runs on.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, type TestContext } from 'vitest';
import type { Posix } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import { nativePosix } from '../../src/files/posix-native.ts';

export const isRoot = process.getuid?.() === 0;

/** An empty directory, gone after the test. */
export function scratch(): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-files-'));
  onTestFinished(() => {
    execFileSync('chmod', ['-R', 'u+rwX', directory]);
    execFileSync('rm', ['-rf', directory]); // Node's own removal stops at PATH_MAX
  });
  return directory;
}

export const native: Posix = nativePosix()!;
export const plain: Posix = posixCalls('plain');

export const DRIVERS: readonly { readonly driver: string; readonly posix: Posix }[] = [
  { driver: 'native', posix: native },
  { driver: 'native, as on kernels without openat2', posix: nativePosix({ openat2: false })! },
  { driver: 'plain', posix: plain },
];

export function openDescriptors(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

/** Whether a command of the system is there: setfacl and the like are. */
export function hasCommand(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => fs.existsSync(join(directory, name)));
}

/** Skips the test and says so where the machine lacks something; in CI that is a failure. */
export function need(context: TestContext, isThere: boolean, what: string): void {
  if (isThere) return;
  if (process.env.CI === 'true') throw new Error(`This machine lacks what the test needs: ${what}`);
  console.log(`SKIPPED: ${context.task.name}: it needs ${what}`);
  context.skip(what);
}

/** ACLs: the command, and a file system that keeps them. */
export function needAcls(context: TestContext, directory: string): void {
  need(context, hasCommand('setfacl') && keepsUserXattrs(directory), 'setfacl, and attributes in the temporary directory');
}

/** xattrs of users need a file system that has them (tmpfs has since Linux 6.6). */
export function keepsUserXattrs(directory: string): boolean {
  const probe = join(directory, '.probe');
  fs.writeFileSync(probe, '');
  try {
    native.setXattr(-100, probe, 'user.probe', new Uint8Array([1]));
    return true;
  } catch {
    return false;
  } finally {
    fs.unlinkSync(probe);
  }
}

export function bytes(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

/** What a fault or a system call error carries as its code; undefined when nothing was thrown. */
export function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
  return undefined;
}

/** A seeded source of numbers in [0, 1), so that a failure can be had again. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
