// Signed marks of the audit, stored where nobody can change them: after every so many entries, and every hour in which there were any.
//
// What is signed has been followed from the mark before, so that a chain that was rewritten meanwhile is noticed now and never signed.
// A crash between storing a mark and noting it signs the same place again later: the marks agree.

import { createHash } from 'node:crypto';
import { canonicalJson } from '../base/canonical-json.ts';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { isSignedBy, type SigningPair, signBytes } from '../codec/signature.ts';
import type { AuditEntry } from '../model/audit-entry.ts';
import { instantOf } from '../model/instant.ts';
import { type AuditMark, continueAudit, HASH_OF_NOTHING, verifyAudit } from './audit-chain.ts';

export const CHECKPOINT_ENTRIES = 1000;
export const CHECKPOINT_MS = 60 * 60 * 1000;
export const CHECKPOINT_PREFIX = 'audit/';
const PAGE_ENTRIES = 500;
const SETTING = 'audit:checkpoint';

export type AuditCheckpoint = AuditMark & {
  readonly format: 'holdfast-audit-checkpoint';
  readonly version: 1;
  readonly at: string;
  /** First 16 hex digits of the SHA-256 of the key that signed. */
  readonly key: string;
  /** Ed25519 over the canonical JSON of the rest, base64url. */
  readonly signature: string;
};

/** Where checkpoints lie: create-only objects. */
export interface CheckpointStore {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Names below CHECKPOINT_PREFIX. */
  list(): AsyncIterable<string>;
  get(name: string): Promise<Uint8Array>;
}

export type AuditCheckpointsOptions = {
  readonly catalog: Catalog;
  readonly key: SigningPair;
  readonly store: CheckpointStore;
  readonly now: () => Date;
};

export class AuditCheckpoints {
  readonly #options: AuditCheckpointsOptions;

  constructor(options: AuditCheckpointsOptions) {
    this.#options = options;
  }

  /** To be called every minute. `isForced`: whatever there is, now. Throws AUDIT_BROKEN when the chain does not hold. */
  async writeIfDue(isForced = false): Promise<AuditCheckpoint | undefined> {
    const { catalog, key, store, now } = this.#options;
    const last = await catalog.audit.last();
    const before = await this.#noted();
    const entries = (last?.sequence ?? 0) - before.sequence;
    if (entries < 0) throw broken(last?.sequence ?? 0, 'entries that were signed are missing from the end');
    const isDue = entries >= CHECKPOINT_ENTRIES || (entries > 0 && now().getTime() - before.atMs >= CHECKPOINT_MS);
    if (entries === 0 || !(isDue || isForced)) return undefined;
    const verdict = await verifyAudit(auditEntries(catalog, undefined, before.sequence, last!.sequence), [], before);
    if (verdict.kind === 'broken') throw broken(verdict.sequence, verdict.what);
    const checkpoint = signCheckpoint(verdict.last!, instantOf(now()), key);
    await store.put(checkpointName(checkpoint), Buffer.from(canonicalJson(checkpoint)));
    await catalog.settings.set(
      SETTING,
      JSON.stringify({ sequence: checkpoint.sequence, hash: checkpoint.hash, at: checkpoint.at }),
    );
    return checkpoint;
  }

  /** For a catalogue that came out of a backup: goes on behind the newest checkpoint, when that has seen more than the catalogue has. */
  async continueBehind(marks: readonly AuditMark[]): Promise<void> {
    const { catalog, now } = this.#options;
    const newest = marks.toSorted((a, b) => b.sequence - a.sequence)[0];
    if (newest === undefined || newest.sequence <= ((await catalog.audit.last())?.sequence ?? 0)) return;
    const at = instantOf(now());
    await catalog.transaction(async (tables) => {
      await continueAudit(tables, newest, at);
      await tables.settings.set(SETTING, JSON.stringify({ sequence: newest.sequence, hash: newest.hash, at }));
    });
  }

  async #noted(): Promise<AuditMark & { readonly atMs: number }> {
    const text = await this.#options.catalog.settings.get(SETTING);
    if (text === undefined) return { sequence: 0, hash: HASH_OF_NOTHING, atMs: 0 };
    const { sequence, hash, at } = JSON.parse(text) as AuditCheckpoint;
    return { sequence, hash, atMs: Date.parse(at) };
  }
}

/** The entries after `from` up to `to`, in order. Of one tenant only: a part, which cannot be verified as a chain. */
export async function* auditEntries(
  catalog: Pick<Catalog, 'audit'>,
  tenantId?: string,
  from = 0,
  to = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<AuditEntry> {
  for (let after = from; ; ) {
    const page = await catalog.audit.after(after, tenantId, PAGE_ENTRIES);
    for (const entry of page) {
      if (entry.sequence > to) return;
      yield entry;
      after = entry.sequence;
    }
    if (page.length < PAGE_ENTRIES) return;
  }
}

/** Checked signatures as marks; throws AUDIT_BROKEN for one that is not by any of `keys`. */
export async function readCheckpoints(store: CheckpointStore, keys: readonly Uint8Array[]): Promise<readonly AuditMark[]> {
  const marks: AuditMark[] = [];
  for await (const name of store.list()) {
    const mark = checkedMark(await store.get(name), keys);
    if (mark === undefined)
      throw new Fault('AUDIT_BROKEN', `The checkpoint "${name}" is not signed by a known key of this service`);
    marks.push(mark);
  }
  return marks;
}

export function signCheckpoint(mark: AuditMark, at: string, key: SigningPair): AuditCheckpoint {
  const { sequence, hash } = mark;
  const said = { format: 'holdfast-audit-checkpoint', version: 1, sequence, hash, at, key: keyName(key.verifyKey) } as const;
  const signature = Buffer.from(signBytes(key.signingKey, Buffer.from(canonicalJson(said)))).toString('base64url');
  return { ...said, signature };
}

function checkedMark(bytes: Uint8Array, keys: readonly Uint8Array[]): AuditMark | undefined {
  let checkpoint: AuditCheckpoint | null;
  try {
    checkpoint = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (checkpoint === null || typeof checkpoint !== 'object') return undefined;
  const { signature, ...said } = checkpoint;
  if (said.format !== 'holdfast-audit-checkpoint' || said.version !== 1 || typeof signature !== 'string') return undefined;
  const signed = Buffer.from(canonicalJson(said));
  const isSigned = keys.some((key) => isSignedBy(key, signed, Buffer.from(signature, 'base64url')));
  return isSigned ? { sequence: said.sequence, hash: said.hash } : undefined;
}

/** Marks of two services or two times never share a name; those of one place sort by it. */
function checkpointName({ sequence, at, key }: AuditCheckpoint): string {
  const time = at.replace(/[^0-9]/g, '');
  return `${CHECKPOINT_PREFIX}${String(sequence).padStart(12, '0')}-${time}-${key}`;
}

export function keyName(verifyKey: Uint8Array): string {
  return createHash('sha256').update(verifyKey).digest('hex').slice(0, 16);
}

function broken(sequence: number, what: string): Fault {
  return new Fault('AUDIT_BROKEN', `The audit is broken at ${sequence}: ${what}`);
}
