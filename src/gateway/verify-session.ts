// Proving what an agent has stored: every pack of a session is read back, every block opened, every chunk named anew. Only then may its
// chunks be offered to other agents. The work is done by worker threads.

import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { verifyPacks } from '../engine/verify-packs.ts';
import { DamageList, VerifyProgress } from '../engine/verify-report.ts';
import { instantOf } from '../model/instant.ts';
import { bytesEqual } from '../model/reference.ts';
import { unhex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';

export type SessionProof = {
  readonly outcome: 'proved' | 'damaged';
  readonly packs: number;
  readonly bytes: number;
  /** Of what is damaged, the first. */
  readonly message?: string;
};

export type SessionProofOptions = { readonly threads: number; readonly signal?: AbortSignal };

/** Reads back all packs that this session wrote and the live index names. */
export async function verifySession(repository: Repository, session: string, options: SessionProofOptions): Promise<SessionProof> {
  const { threads, signal } = options;
  const call = signal === undefined ? {} : { signal };
  const name = unhex(session);
  const progress = new VerifyProgress();
  const damage = new DamageList(progress);
  const { indexes } = await repository.heads.read(call);
  const isWanted = (pack: { readonly session: Uint8Array }): boolean => bytesEqual(pack.session, name);
  const { packsRead, bytesRead } = await verifyPacks(repository, { indexes, isWanted, threads }, damage, progress, call);
  const [first] = damage.things;
  if (first !== undefined) return { outcome: 'damaged', packs: packsRead, bytes: bytesRead, message: first.message };
  return { outcome: 'proved', packs: packsRead, bytes: bytesRead };
}

/** Proves a committed session and notes it. SESSION_GONE when the catalogue knows of no such session. */
export async function proveSession(
  { catalog, now }: { readonly catalog: Catalog; readonly now: () => Date },
  repository: Repository,
  session: string,
  options: SessionProofOptions,
): Promise<SessionProof> {
  const row = await catalog.sessions.get(session);
  if (row?.state !== 'committed') throw new Fault('SESSION_GONE', `The session ${session} has not committed`);
  const proof = await verifySession(repository, session, options);
  if (proof.outcome === 'proved') await catalog.sessions.put({ ...row, verifiedAt: instantOf(now()) });
  return proof;
}
