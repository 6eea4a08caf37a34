// The end of a tenant's repository in its store, without any key: first its keys, then everything else. Each part can be done again, and goes
// on where it was when it was interrupted.
//
// A listing tells of objects only. The names of registers follow from those of objects: a snapshot's from its session key, a log's from its
// sections.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import {
  CONDEMNED_PREFIX,
  HEAD_REGISTER,
  hex,
  INDEX_PREFIX,
  KEYS_PREFIX,
  PACKS_PREFIX,
  REPOSITORY_OBJECT,
  SESSION_KEYS_PREFIX,
  SNAPSHOTS_PREFIX,
} from '../repository/layout.ts';
import { keyIds, readParameters } from '../repository/open.ts';
import { REPLICA_REGISTER } from '../repository/replica-mark.ts';
import { UNSOUND_PREFIX } from '../repository/unsound.ts';
import type { CallOptions, KeptVersion, ObjectStore } from '../store/object-store.ts';

const DELETES_IN_FLIGHT_MAX = 16;
const LOCKS_ASKED_WINDOW = 256;
/** Of a repository; see "Objects" in src/format/README.md. */
const PREFIXES = [PACKS_PREFIX, INDEX_PREFIX, CONDEMNED_PREFIX, UNSOUND_PREFIX, 'log/', SESSION_KEYS_PREFIX, KEYS_PREFIX];
const LOGS_PREFIX = 'logs/';
const SESSION_KEY = /^session-keys\/[^/]+\/([^/]+)$/;
const LOG_OBJECT = /^log\/([^/]+)\//;

export type RepositoryFacts = {
  /** 32 hex digits; undefined when there is no repository (any more). */
  readonly id: string | undefined;
  readonly keys: readonly string[];
  /** The store keeps what is deleted until a lock ends. */
  readonly hasObjectLock: boolean;
  /** The last of its locks ends then: every version that there is was asked. */
  readonly lockedUntil?: Instant;
};

export async function factsOf(store: ObjectStore, options?: CallOptions): Promise<RepositoryFacts> {
  const { objectLock } = await store.probe(options);
  const hasObjectLock = objectLock === 'available';
  const lastMs = hasObjectLock ? await lastLockMs(store, options) : undefined;
  const facts = {
    keys: await keyIds(store, options),
    hasObjectLock,
    ...(lastMs !== undefined && { lockedUntil: instantOf(new Date(lastMs)) }),
  };
  try {
    const { parameters } = await readParameters(store, options);
    return { ...facts, id: hex(parameters.id) };
  } catch (error) {
    if (!isFault(error, 'FORMAT_NOT_A_REPOSITORY')) throw error;
    return { ...facts, id: undefined };
  }
}

/** Of all versions that are kept, under a deletion too. */
async function lastLockMs({ vault }: ObjectStore, options?: CallOptions): Promise<number | undefined> {
  let lastMs: number | undefined;
  let window: KeptVersion[] = [];
  const ask = async (): Promise<void> => {
    await forEachBounded(window, DELETES_IN_FLIGHT_MAX, async (version) => {
      const untilMs = await vault!.lockOf(version, options);
      if (untilMs !== undefined && untilMs > (lastMs ?? 0)) lastMs = untilMs;
    });
    window = [];
  };
  if (vault === undefined) return undefined;
  for await (const version of vault.versions('', options)) if (window.push(version) === LOCKS_ASKED_WINDOW) await ask();
  await ask();
  return lastMs;
}

/** Answers the ids of those that were there. */
export async function deleteKeys(store: ObjectStore, options?: CallOptions): Promise<readonly string[]> {
  const ids = await keyIds(store, options);
  await forEachBounded(ids, DELETES_IN_FLIGHT_MAX, (id) => store.delete(`${KEYS_PREFIX}${id}`, options));
  return ids;
}

export type Deleted = { objects: number; bytes: number };

/** All that is left of it and nothing else, the object that makes it a repository last. `deleted` grows. */
export async function deleteContent(store: ObjectStore, deleted: Deleted, options?: CallOptions): Promise<void> {
  const logs = new Set<string>();
  for (const prefix of PREFIXES) {
    for await (const page of store.list(prefix, options)) {
      await forEachBounded(page, DELETES_IN_FLIGHT_MAX, async ({ key, sizeBytes }) => {
        // Before the object that names it: who goes on after a crash would not know of it any more.
        const register = registerOf(key);
        if (register !== undefined && !logs.has(register)) await store.delete(register, options);
        if (register?.startsWith(LOGS_PREFIX) === true) logs.add(register);
        await store.delete(key, options);
        deleted.objects++;
        deleted.bytes += sizeBytes;
      });
    }
  }
  for (const key of [REPLICA_REGISTER, HEAD_REGISTER, REPOSITORY_OBJECT]) await store.delete(key, options);
}

function registerOf(key: string): string | undefined {
  const session = SESSION_KEY.exec(key)?.[1];
  if (session !== undefined) return `${SNAPSHOTS_PREFIX}${session}`;
  const log = LOG_OBJECT.exec(key)?.[1];
  return log === undefined ? undefined : `${LOGS_PREFIX}${log}`;
}

/** What this host remembers of the repository. */
export function deleteCache(cacheDirectory: string, repositoryId: string): Promise<void> {
  return rm(join(cacheDirectory, repositoryId), { recursive: true, force: true });
}
