import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised, newHoldfast } from './holdfast.ts';

/** Opens with another passphrase. */
const as = (holdfast: Holdfast, name: string) => ({ variables: { HOLDFAST_PASSPHRASE_FILE: holdfast.path(`secrets/${name}`) } });
const keys = (holdfast: Holdfast, options = {}) => holdfast.lines(['key', 'list'], options).slice(0, -1);

function withBackup(): Holdfast {
  const holdfast = initialised();
  holdfast.file('tree/file', seededBytes(500_000, 1));
  holdfast.ok(['backup', holdfast.path('tree'), '--asset', 'tree']);
  return holdfast;
}

function addOwner(holdfast: Holdfast, name: string): string {
  return holdfast.summary(['key', 'add', '--label', name, '--new-passphrase-file', holdfast.secret(name, name)]).key as string;
}

function expectRestorable(holdfast: Holdfast, options = {}): void {
  const out = holdfast.path(`out-${Math.random()}`);
  holdfast.ok(['restore', 'latest', '--asset', 'tree', '--target', out], options);
  expect(readFileSync(join(out, 'file')).equals(seededBytes(500_000, 1))).toBe(true);
}

describe('key add', () => {
  it('makes another key that opens everything', () => {
    const holdfast = withBackup();
    const id = addOwner(holdfast, 'second');
    expect(keys(holdfast)).toMatchObject([
      { kind: 'key', role: 'owner', label: 'first', isInUse: true },
      { id, role: 'owner', label: 'second', isInUse: false },
    ]);
    expectRestorable(holdfast, as(holdfast, 'second'));
    expect(keys(holdfast, as(holdfast, 'second'))[1]).toMatchObject({ id, isInUse: true });
  });

  it('makes a key that writes one asset and reads no content', () => {
    const holdfast = withBackup();
    holdfast.ok(['key', 'add', '--role', 'writer', '--asset', 'web', '--new-passphrase-file', holdfast.secret('web', 'w')]);
    const writer = as(holdfast, 'web');
    const summary = holdfast.summary(['backup', holdfast.path('tree')], writer);
    expect(summary).toMatchObject({ asset: 'web' });
    expect(holdfast.summary(['backup', holdfast.path('tree')], writer)).toMatchObject({ parent: summary.snapshot });
    expect(holdfast.fault(['backup', holdfast.path('tree'), '--asset', 'other'], writer)).toMatchObject({
      code: 'KEY_CANNOT_READ',
      status: 1,
    });
    expect(holdfast.lines(['snapshots'], writer).map(({ asset }) => asset)).toEqual(['web', 'web', undefined]);
    expect(holdfast.ok(['ls', 'latest'], writer)).toBe('.\nfile\n');
    const refused: readonly (readonly string[])[] = [
      ['restore', 'latest', '--target', 'out'],
      ['key', 'add', '--new-passphrase-file', holdfast.secret('x', 'x')],
      ['key', 'remove', 'x'],
      ['key', 'rotate'],
    ];
    for (const args of refused)
      expect(holdfast.fault(args, writer), args.join(' ')).toMatchObject({ code: 'KEY_CANNOT_READ', status: 1 });
    expect(holdfast.run(['restore', 'latest', '--stdout', '--path', 'file'], writer)).toMatchObject({ status: 1, stdout: '' });
    expect(existsSync(holdfast.path('out'))).toBe(false);
    holdfast.ok(['restore', summary.snapshot as string, '--target', holdfast.path('out')]);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean' });
  });
});

describe('key remove', () => {
  it('removes a key, and never the one in use', () => {
    const holdfast = withBackup();
    const id = addOwner(holdfast, 'second');
    const first = keys(holdfast)[0]!.id as string;
    expect(holdfast.fault(['key', 'remove', first])).toMatchObject({ code: 'KEY_IN_USE', status: 1 });
    expect(holdfast.fault(['key', 'remove', 'ffffffffffffffff0'])).toMatchObject({ code: 'KEY_NOT_FOUND', status: 1 });
    expect(holdfast.summary(['key', 'remove', id.slice(0, 10), '--dry-run'])).toMatchObject({ dryRun: true, key: id });
    expect(keys(holdfast)).toHaveLength(2);
    holdfast.ok(['key', 'remove', id.slice(0, 10)]);
    expect(keys(holdfast)).toHaveLength(1);
    expect(holdfast.fault(['snapshots'], as(holdfast, 'second'))).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG', status: 1 });
    expectRestorable(holdfast);
  });
});

describe('key passwd', () => {
  it('exchanges the passphrase and keeps everything else', () => {
    const holdfast = withBackup();
    holdfast.ok(['key', 'passwd', '--new-passphrase-file', holdfast.secret('new', 'new')]);
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG' });
    expect(keys(holdfast, as(holdfast, 'new'))).toMatchObject([{ label: 'first', isInUse: true }]);
    expectRestorable(holdfast, as(holdfast, 'new'));
  });

  it('does nothing without a new one', () => {
    const holdfast = withBackup();
    const before = keys(holdfast);
    expect(holdfast.fault(['key', 'passwd'])).toMatchObject({ code: 'KEY_PASSPHRASE_MISSING', status: 2 });
    expect(keys(holdfast)).toEqual(before);
  });
});

describe('key rotate', () => {
  const sessionKeys = (holdfast: Holdfast) => {
    const root = join(holdfast.repository, 'session-keys');
    return readdirSync(root).flatMap((pair) => readdirSync(join(root, pair)).map((session) => `${pair}/${session}`));
  };

  it('seals every session key to a new pair and deletes the old objects', () => {
    const holdfast = withBackup();
    holdfast.ok(['backup', holdfast.path('tree'), '--asset', 'again']);
    const before = sessionKeys(holdfast);
    const { pair, sessions } = holdfast.summary(['key', 'rotate']);
    expect(sessions).toBe(2);
    const after = sessionKeys(holdfast);
    expect(after.map((name) => name.split('/')[1]).sort()).toEqual(before.map((name) => name.split('/')[1]).sort());
    expect(new Set(after.map((name) => name.split('/')[0]))).toEqual(new Set([pair]));
    expectRestorable(holdfast);
    holdfast.ok(['backup', holdfast.path('tree'), '--asset', 'later', '--force']);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 3 });
    expect(keys(holdfast)).toHaveLength(1);
  });

  it('goes on where it was interrupted: two keys of one passphrase, sessions under both pairs', () => {
    const holdfast = withBackup();
    const [first] = sessionKeys(holdfast);
    const keyDirectory = join(holdfast.repository, 'keys');
    const [oldKey] = readdirSync(keyDirectory);
    const keyBytes = readFileSync(join(keyDirectory, oldKey!));
    const sessionBytes = readFileSync(join(holdfast.repository, 'session-keys', first!));
    const { key: middle } = holdfast.summary(['key', 'rotate']);
    // As if it had been killed after the new key was made and before anything else: old key and old session key are there.
    writeFileSync(join(keyDirectory, oldKey!), keyBytes);
    writeFileSync(join(holdfast.repository, 'session-keys', first!), sessionBytes);
    const { key, pair } = holdfast.summary(['key', 'rotate']);
    expect(readdirSync(keyDirectory)).toEqual([key]);
    expect(key).not.toBe(middle);
    expect(sessionKeys(holdfast).map((name) => name.split('/')[0])).toEqual([pair]);
    expectRestorable(holdfast);
  });

  it('leaves other owners in, unless it is told to drop them', () => {
    const holdfast = withBackup();
    const id = addOwner(holdfast, 'second');
    const before = sessionKeys(holdfast);
    const { code, status, line } = holdfast.fault(['key', 'rotate']);
    expect({ code, status }).toEqual({ code: 'KEY_OTHER_OWNERS', status: 1 });
    expect(line.message).toContain(id);
    expect(sessionKeys(holdfast)).toEqual(before);
    expect(holdfast.summary(['key', 'rotate', '--drop-other-owners', '--dry-run'])).toMatchObject({
      dryRun: true,
      removed: [id],
      sessions: 1,
    });
    expect(sessionKeys(holdfast)).toEqual(before);
    expect(holdfast.summary(['key', 'rotate', '--drop-other-owners'])).toMatchObject({ removed: [id] });
    expect(holdfast.fault(['snapshots'], as(holdfast, 'second'))).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG' });
    expectRestorable(holdfast);
  });
});

describe('key export', () => {
  it('writes a text with a warning, which makes a key again when every passphrase is lost', () => {
    const holdfast = withBackup();
    const { stderr } = holdfast.run(['key', 'export', holdfast.path('paper')]);
    expect(stderr).toContain('opens every backup in the repository, without any passphrase');
    expect(statSync(holdfast.path('paper')).mode & 0o777).toBe(0o600);
    const text = readFileSync(holdfast.path('paper'), 'utf8');
    expect(text).toContain('-----BEGIN HOLDFAST KEY-----');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    expect(holdfast.ok(['key', 'export'])).toContain('-----BEGIN HOLDFAST KEY-----');
    expect(holdfast.fault(['key', 'export', holdfast.path('paper')])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
    expect(holdfast.fault(['key', 'export'])).toMatchObject({ code: 'USAGE', status: 2 });
    const none = { variables: { HOLDFAST_PASSPHRASE_FILE: undefined } };
    holdfast.ok(['key', 'import', holdfast.path('paper'), '--new-passphrase-file', holdfast.secret('typed', 'typed')], none);
    expectRestorable(holdfast, as(holdfast, 'typed'));
  });

  it('seals the text under a passphrase of its own when there is one', () => {
    const holdfast = withBackup();
    const sealing = holdfast.secret('sealing', 'only for paper');
    holdfast.ok(['key', 'export', holdfast.path('paper'), '--export-passphrase-file', sealing]);
    expect(readFileSync(holdfast.path('paper'), 'utf8')).toContain('-----BEGIN HOLDFAST SEALED KEY-----');
    const importing = ['key', 'import', holdfast.path('paper'), '--new-passphrase-file', holdfast.secret('typed', 'typed')];
    expect(holdfast.fault(importing)).toMatchObject({ code: 'KEY_PASSPHRASE_MISSING', status: 2 });
    expect(holdfast.fault([...importing, '--export-passphrase-file', holdfast.path('secrets/passphrase')])).toMatchObject({
      code: 'KEY_PASSPHRASE_WRONG',
      status: 1,
    });
    holdfast.ok([...importing, '--export-passphrase-file', sealing]);
    expectRestorable(holdfast, as(holdfast, 'typed'));
  });

  it('is refused when a line was typed wrong, or the repository is another one', () => {
    const holdfast = withBackup();
    holdfast.ok(['key', 'export', holdfast.path('paper')]);
    const text = readFileSync(holdfast.path('paper'), 'utf8');
    const typed = holdfast.file(
      'typed',
      text.replace(/^03 (.)/m, (_, letter) => `03 ${letter === 'A' ? 'B' : 'A'}`),
    );
    const { code, status, line } = holdfast.fault(['key', 'import', typed]);
    expect({ code, status }).toEqual({ code: 'KEY_TEXT_DAMAGED', status: 1 });
    expect(line.message).toContain('line 03');
    const other = newHoldfast();
    other.ok(['init']);
    expect(other.fault(['key', 'import', holdfast.path('paper'), '--new-passphrase-file', other.secret('x', 'x')])).toMatchObject({
      code: 'KEY_OF_OTHER_REPOSITORY',
      status: 1,
    });
    expect(newHoldfast().fault(['key', 'import', holdfast.path('paper')])).toMatchObject({ status: 1 });
  });
});

describe('secrets', () => {
  it('are in no output', () => {
    const holdfast = withBackup();
    const outputs = [
      holdfast.run(['key', 'add', '-v', '--new-passphrase-file', holdfast.secret('second', 'hunter2')]),
      holdfast.run(['key', 'list', '--json', '-v'], as(holdfast, 'second')),
      holdfast.run(['key', 'remove', 'x', '-v'], {
        variables: { HOLDFAST_PASSPHRASE_FILE: undefined, HOLDFAST_PASSPHRASE: 'hunter2' },
      }),
      holdfast.run(['snapshots', '--json'], { variables: { HOLDFAST_PASSPHRASE_FILE: holdfast.secret('wrong', 'hunter22') } }),
    ];
    expect(outputs.map(({ status }) => status)).toEqual([0, 0, 1, 1]);
    for (const { stdout, stderr } of outputs) expect(stdout + stderr).not.toContain('hunter2');
  });
});
