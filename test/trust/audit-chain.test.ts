import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { generateSigningPair } from '../../src/codec/signature.ts';
import type { AuditEntry, NewAuditEntry } from '../../src/model/audit-entry.ts';
import { appendAudit, hashOfEntry, verifyAudit } from '../../src/trust/audit-chain.ts';
import {
  AuditCheckpoints,
  auditEntries,
  CHECKPOINT_ENTRIES,
  CHECKPOINT_PREFIX,
  type CheckpointStore,
  readCheckpoints,
} from '../../src/trust/audit-checkpoint.ts';
import { openAuditKey, parseVerifyKey } from '../../src/trust/audit-key.ts';
import { auditOf, catalogThings, moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';

type Bucket = CheckpointStore & { readonly objects: Map<string, Uint8Array> };

function bucket(): Bucket {
  const objects = new Map<string, Uint8Array>();
  return {
    objects,
    put: async (name, bytes) => {
      if (!objects.has(name)) objects.set(name, bytes.slice());
    },
    list: async function* () {
      yield* [...objects.keys()];
    },
    get: async (name) => objects.get(name)!,
  };
}

async function opened(path = join(scratchDirectory(), 'catalog.sqlite')): Promise<Catalog> {
  const catalog = await openSqliteCatalog({ path, now: () => START, random: catalogThings().random });
  onTestFinished(() => catalog.close());
  return catalog;
}

const entryOf = (n: number, more: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
  at: moment(n),
  actor: 'person:a',
  actorLabel: 'Ann',
  action: 'asset.create',
  subject: `asset ${n}`,
  outcome: 'done',
  details: { n, nested: { b: 1, a: [null, true] } },
  ...more,
});

async function filled(count: number, catalog: Catalog): Promise<AuditEntry[]> {
  for (let n = 1; n <= count; n++) await appendAudit(catalog, entryOf(n));
  return auditOf(catalog);
}

/** As somebody does who can rewrite the whole file: every hash fits again. */
function rechained(entries: readonly AuditEntry[]): AuditEntry[] {
  let previous = '0'.repeat(64);
  return entries.map((entry, n) => {
    const linked = { ...entry, sequence: n + 1, previous };
    previous = hashOfEntry(linked);
    return { ...linked, hash: previous };
  });
}

describe('canonical JSON', () => {
  it('is one text for one value', () => {
    expect(canonicalJson({ b: 1, a: { d: [1, 'x'], c: null }, u: undefined })).toBe('{"a":{"c":null,"d":[1,"x"]},"b":1}');
    expect(canonicalJson({ a: 1, b: 2 })).toBe(canonicalJson({ b: 2, a: 1 }));
    expect(canonicalJson('\ud800x')).toBe('"\ufffdx"');
    expect(canonicalJson({ at: new Date(0), n: -0 })).toBe('{"at":"1970-01-01T00:00:00.000Z","n":0}');
  });
});

describe('the chain of the audit', () => {
  it('holds after everything that a database does to a text', async () => {
    const catalog = await opened();
    await appendAudit(catalog, entryOf(1, { actorLabel: 'half \ud83d, zero \0, \u{1f600}, ü', source: '::1' }));
    await appendAudit(
      catalog,
      entryOf(2, { details: { when: START, gone: undefined, half: '\udc00', '\ud800': 1, big: 2 ** 60 } as never }),
    );
    await appendAudit(catalog, entryOf(3, { details: {} }));
    const { last, ...verdict } = (await verifyAudit(auditEntries(catalog), [])) as { last: unknown };
    expect(verdict).toEqual({ kind: 'whole', entries: 3, checkpoints: 0, gaps: [] });
    expect(last).toMatchObject({ sequence: 3 });
    const [first] = await catalog.audit.after(0, undefined, 1);
    const { hash, ...rest } = first!;
    expect(hash, 'as the document says').toBe(createHash('sha256').update(canonicalJson(rest)).digest('hex'));
  });

  it('is written with what it tells of, or not at all', async () => {
    const catalog = await opened();
    const failed = catalog.transaction(async (tables) => {
      await appendAudit(tables, entryOf(1));
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await catalog.audit.last()).toBeUndefined();
    expect(await verifyAudit(auditEntries(catalog), [])).toEqual({
      kind: 'whole',
      entries: 0,
      last: undefined,
      checkpoints: 0,
      gaps: [],
    });
  });

  it('shows the first place that was changed, removed, moved, added or exchanged', async () => {
    const entries = await filled(9, await opened());
    const at = (n: number) => entries[n - 1]!;
    const cases: Record<string, [AuditEntry[], number, RegExp]> = {
      'a changed field': [entries.toSpliced(3, 1, { ...at(4), subject: 'another' }), 4, /changed/],
      'a changed detail': [entries.toSpliced(3, 1, { ...at(4), details: { n: 5 } }), 4, /changed/],
      'a field that was taken away': [entries.toSpliced(3, 1, { ...at(4), subject: undefined as never }), 4, /changed/],
      'a changed field with a hash that fits': [
        entries.toSpliced(3, 1, { ...at(4), actor: 'x', hash: hashOfEntry({ ...at(4), actor: 'x' }) }),
        5,
        /does not follow/,
      ],
      'a removed one': [entries.toSpliced(3, 1), 4, /missing/],
      'a removed beginning': [entries.slice(2), 1, /missing/],
      'two that changed places': [entries.toSpliced(3, 2, at(5), at(4)), 4, /missing/],
      'a repeated one': [entries.toSpliced(4, 0, at(4)), 4, /moved or added/],
      'one of another chain': [entries.toSpliced(4, 1, rechained(entries.slice(3))[4]!), 5, /changed|follow/],
    };
    for (const [name, [changed, sequence, what]] of Object.entries(cases)) {
      const verdict = await verifyAudit(changed, []);
      expect(verdict, name).toMatchObject({ kind: 'broken', sequence });
      expect(verdict.kind === 'broken' && verdict.what, name).toMatch(what);
    }
    expect(await verifyAudit(entries, [])).toMatchObject({ kind: 'whole', entries: 9 });
  });
});

describe('checkpoints of the audit', () => {
  const setUp = async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const catalog = await opened(path);
    const store = bucket();
    const key = generateSigningPair();
    let now = START;
    const checkpoints = new AuditCheckpoints({ catalog, key, store, now: () => now });
    return { path, catalog, store, key, checkpoints, later: (ms: number) => (now = new Date(now.getTime() + ms)) };
  };

  it('are written after so many entries, and after an hour in which there were any', async () => {
    const { catalog, store, checkpoints, later } = await setUp();
    expect(await checkpoints.writeIfDue(), 'nothing to sign').toBeUndefined();
    await filled(1, catalog);
    expect(await checkpoints.writeIfDue(), 'the first at once').toMatchObject({ sequence: 1 });
    await filled(1, catalog);
    expect(await checkpoints.writeIfDue()).toBeUndefined();
    later(60 * 60 * 1000);
    expect(await checkpoints.writeIfDue()).toMatchObject({ sequence: 2 });
    later(60 * 60 * 1000);
    expect(await checkpoints.writeIfDue(), 'nothing new').toBeUndefined();
    await catalog.transaction(async (tables) => {
      for (let n = 0; n < CHECKPOINT_ENTRIES - 1; n++) await appendAudit(tables, entryOf(n));
    });
    later(-60 * 60 * 1000);
    expect(await checkpoints.writeIfDue()).toBeUndefined();
    await filled(1, catalog);
    expect(await checkpoints.writeIfDue()).toMatchObject({ sequence: CHECKPOINT_ENTRIES + 2 });
    await filled(1, catalog);
    expect(await checkpoints.writeIfDue(true)).toMatchObject({ sequence: CHECKPOINT_ENTRIES + 3 });
    expect([...store.objects.keys()].every((name) => name.startsWith(CHECKPOINT_PREFIX))).toBe(true);
    expect(store.objects.size).toBe(4);
  });

  it('find a cut end and a rewritten beginning, which the chain alone cannot', async () => {
    const { catalog, store, key, checkpoints } = await setUp();
    await filled(5, catalog);
    await checkpoints.writeIfDue(true);
    const entries = await filled(4, catalog);
    await checkpoints.writeIfDue(true);
    const marks = await readCheckpoints(store, [key.verifyKey]);
    expect(await verifyAudit(entries, marks)).toMatchObject({ kind: 'whole', entries: 9, checkpoints: 2 });
    expect(await verifyAudit(entries.slice(0, 7), []), 'the chain alone').toMatchObject({ kind: 'whole' });
    const cut = await verifyAudit(entries.slice(0, 7), marks);
    expect(cut).toEqual({
      kind: 'broken',
      sequence: 8,
      what: 'entries 8 to 9 are missing from the end: a signed checkpoint has seen them',
    });
    expect(await verifyAudit([], marks)).toMatchObject({ kind: 'broken', sequence: 1 });
    const rewritten = rechained(entries.map((entry) => ({ ...entry, actor: 'person:b' })));
    expect(await verifyAudit(rewritten, [])).toMatchObject({ kind: 'whole' });
    expect(await verifyAudit(rewritten, marks)).toMatchObject({ kind: 'broken', sequence: 5 });
    const grown = rechained(entries.toSpliced(6, 1));
    expect(await verifyAudit(grown, marks)).toMatchObject({ kind: 'broken', sequence: 9 });
  });

  it('let a catalogue out of a backup go on, and the loss is told for ever', async () => {
    const { catalog, store, key, checkpoints } = await setUp();
    const kept = await filled(3, catalog);
    await filled(4, catalog);
    await checkpoints.writeIfDue(true);
    const marks = await readCheckpoints(store, [key.verifyKey]);
    const restored = await opened();
    for (const { sequence: _, previous: __, hash: ___, ...entry } of kept) await appendAudit(restored, entry);
    const again = new AuditCheckpoints({ catalog: restored, key, store, now: () => START });
    await again.continueBehind(marks);
    await again.continueBehind(marks);
    await filled(2, restored);
    const entries = await auditOf(restored);
    expect(entries.map(({ sequence, action }) => `${sequence} ${action}`).slice(3)).toEqual([
      '8 catalog.restore',
      '9 asset.create',
      '10 asset.create',
    ]);
    expect(await verifyAudit(entries, marks)).toMatchObject({ kind: 'whole', entries: 6, gaps: [{ from: 4, to: 7 }] });
    expect(await verifyAudit(entries, []), 'not without the signed mark').toMatchObject({ kind: 'broken', sequence: 4 });
    expect(await verifyAudit(entries.toSpliced(2, 1), marks), 'a wider gap than was told').toMatchObject({ kind: 'broken' });
    expect(await verifyAudit(entries.toSpliced(3, 1), marks)).toMatchObject({ kind: 'broken', sequence: 4 });
    expect(await again.writeIfDue(true)).toMatchObject({ sequence: 10 });
    expect(await verifyAudit(entries, await readCheckpoints(store, [key.verifyKey]))).toMatchObject({
      kind: 'whole',
      checkpoints: 2,
    });
  });

  it('never sign a chain that does not hold', async () => {
    const { path, catalog, store, checkpoints } = await setUp();
    await filled(5, catalog);
    await checkpoints.writeIfDue(true);
    await filled(5, catalog);
    const raw = new Database(path);
    raw.exec('DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted');
    raw.exec(`UPDATE audit SET actor = 'person:b' WHERE sequence = 7`);
    await expect(checkpoints.writeIfDue(true)).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
      message: expect.stringContaining('at 7'),
    });
    raw.exec('DELETE FROM audit WHERE sequence > 3');
    await expect(checkpoints.writeIfDue(true)).rejects.toMatchObject({ code: 'AUDIT_BROKEN' });
    raw.close();
    expect(store.objects.size).toBe(1);
  });

  it('count only when a known key signed them, and as they were signed', async () => {
    const { catalog, store, key, checkpoints } = await setUp();
    await filled(3, catalog);
    await checkpoints.writeIfDue(true);
    const [[name, bytes]] = [...store.objects] as [[string, Uint8Array]];
    const other = generateSigningPair();
    await expect(readCheckpoints(store, [other.verifyKey])).rejects.toMatchObject({ code: 'AUDIT_BROKEN' });
    expect(await readCheckpoints(store, [other.verifyKey, key.verifyKey])).toHaveLength(1);
    const checkpoint = JSON.parse(Buffer.from(bytes).toString());
    for (const changed of [
      { ...checkpoint, sequence: 2 },
      { ...checkpoint, hash: '1'.repeat(64) },
      { ...checkpoint, signature: '' },
      'x',
      null,
    ]) {
      store.objects.set(name, Buffer.from(JSON.stringify(changed)));
      await expect(readCheckpoints(store, [key.verifyKey]), JSON.stringify(changed)).rejects.toMatchObject({
        code: 'AUDIT_BROKEN',
      });
    }
  });
});

describe('the key that signs', () => {
  it('is drawn once, and read by its owner alone', () => {
    const directory = join(scratchDirectory(), 'secrets');
    const key = openAuditKey(directory);
    expect(openAuditKey(directory)).toEqual(key);
    expect(statSync(join(directory, 'audit-key')).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(parseVerifyKey(readFileSync(join(directory, 'audit-key.pub'), 'utf8'))).toEqual(key.verifyKey);
    expect(parseVerifyKey('no key')).toBeUndefined();
    expect(openAuditKey(join(directory, 'other'))).not.toEqual(key);
  });
});
