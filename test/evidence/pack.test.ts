import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateSigningPair } from '../../src/codec/signature.ts';
import { digestOfBytes, type VerifiedEvidence, verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { newHoldfast } from '../cli/holdfast.ts';
import { FAILOVER, forged, type Loose, PAIR, packText } from '../support/evidence.ts';

function verified(text: string | Uint8Array, files: Readonly<Record<string, string>> = {}): VerifiedEvidence {
  return verifyEvidence({
    text: Buffer.from(text),
    trusted: [PAIR.verifyKey],
    attachment: (name) => (Object.hasOwn(files, name) ? Buffer.from(files[name]!) : undefined),
  });
}

const messages = (text: string | Uint8Array, files?: Readonly<Record<string, string>>): string[] =>
  verified(text, files).problems.map(({ what, message }) => `${what}: ${message}`);

describe('a pack', () => {
  it('is verified with the public key and nothing else', () => {
    const { pack, isTrusted, problems } = verified(packText());
    expect(problems).toEqual([]);
    expect(isTrusted).toBe(true);
    expect(pack?.body.measurements).toHaveLength(FAILOVER.length);
  });

  it('has something wrong with it wherever one byte is changed', () => {
    const good = Buffer.from(packText());
    // All of the signature, and the rest here and there.
    const step = (position: number): number => (position > good.length - 300 ? 1 : 53);
    for (let position = 0; position < good.length; position += step(position)) {
      const bytes = Buffer.from(good);
      bytes[position]! ^= 1;
      expect(verified(bytes).problems, `byte ${position}`).not.toEqual([]);
    }
  });

  it('has something wrong with it wherever it is cut short', () => {
    const good = Buffer.from(packText());
    for (const length of [0, 1, 100, Math.floor(good.length / 2), good.length - 1])
      expect(messages(good.subarray(0, length))).toEqual(['form: the pack is cut short: its last line does not end']);
    expect(messages(`${good.subarray(0, 500)}\n`)).toEqual(['form: The evidence pack is damaged: it is not JSON']);
  });

  it('has one form: other white space, another order and double keys are told', () => {
    const good = packText();
    expect(messages(` ${good}`)).toEqual(['form: its text is not in the one form that it can have, from byte 0 on']);
    expect(messages(`${JSON.stringify(JSON.parse(good), null, 1)}\n`)).toHaveLength(1);
    expect(messages(good.replace('"tenant":"city"', '"tenant":"town","tenant":"city"'))).toHaveLength(1);
    expect(messages(good.replace('"tenant":"city"', '"tenant":"city","trust":"me"'))).toEqual([
      'form: The body of the evidence pack is damaged: it has a field that does not belong to it',
    ]);
  });

  it('names a measurement that was changed, left out, moved or cut off', () => {
    const good = packText();
    const signature = /^signature: .* something in it was changed$/;
    const told = (change: (value: Loose) => void): string[] =>
      messages(forged(good, change)).filter((line) => line.startsWith('chain'));
    expect(messages(forged(good, ({ body }) => (body.measurements[4].at = '2026-11-21T09:00:00Z')))[0]).toMatch(signature);
    expect(told(({ body }) => (body.measurements[4].at = '2026-11-21T09:00:00Z'))).toEqual([
      'chain: measurement m5 was changed, or another one stood between it and m6',
    ]);
    expect(told(({ body }) => body.measurements.splice(6, 1))[0]).toBe('chain: measurement m7 is missing: m8 stands in its place');
    expect(told(({ body }) => body.measurements.reverse())[0]).toBe('chain: measurement m1 is missing: m14 stands in its place');
    expect(told(({ body }) => body.measurements.pop())).toEqual(['chain: it holds 13 measurements; 14 were made']);
    expect(told(({ body }) => (body.measurements[13].value.damaged = 1))).toEqual(['chain: its last measurement was changed']);
  });

  it('of another signer is refused, and one that nobody vouches for is told apart', () => {
    const other = generateSigningPair();
    expect(messages(packText({ pair: other }))).toEqual([
      expect.stringMatching(/^key: it is signed with the key [0-9a-f]{16}, which is not one/),
    ]);
    expect(verifyEvidence({ text: Buffer.from(packText()), trusted: [], attachment: () => undefined })).toMatchObject({
      isTrusted: false,
      problems: [],
    });
    expect(messages(forged(packText(), ({ signature }) => (signature.keyId = '0123456789abcdef')))).toEqual([
      'signature: the id of its key is not that of its public key',
    ]);
  });

  it('cannot claim what does not follow from its measurements, whoever signs it', () => {
    const lie = forged(packText(), ({ body }) => (body.claims.claims.find(({ id }: Loose) => id === 'rpo').value.ms = 0), PAIR);
    expect(messages(lie)).toEqual(['claim: what it claims does not follow from what was measured: rpo']);
    const level = forged(packText(), ({ body }) => (body.claims.levels[0].level = 6), PAIR);
    expect(messages(level)).toEqual([
      'claim: what it claims does not follow from what was measured: phases, levels or the rules themselves',
    ]);
    expect(messages(forged(packText(), ({ body }) => (body.claims = 'trust me'), PAIR)).length).toBeGreaterThan(0);
  });

  it('holds the plan that was carried out, and no other', () => {
    expect(messages(forged(packText(), ({ body }) => (body.plan.objectives.rpo = '1h'), PAIR))).toEqual([
      'plan: the plan in it is not the one whose digest it gives',
    ]);
    expect(messages(forged(packText(), ({ body }) => delete body.plan.objectives, PAIR))[0]).toMatch(/^plan: .*needs "objectives"/);
  });

  it('names files beside it that are missing, cut short or changed', () => {
    const content = 'log of pg_amcheck';
    const attachments = [{ name: 'amcheck.log', bytes: content.length, digest: digestOfBytes(Buffer.from(content)) }];
    const text = packText({ attachments });
    expect(messages(text, { 'amcheck.log': content })).toEqual([]);
    expect(messages(text)).toEqual(['attachment: amcheck.log is missing']);
    expect(messages(text, { 'amcheck.log': 'log of' })).toEqual(['attachment: amcheck.log has 6 bytes instead of 17']);
    expect(messages(text, { 'amcheck.log': 'log of pg_amchecK' })).toEqual(['attachment: amcheck.log was changed']);
  });
});

describe('the command line', () => {
  it('verifies a pack offline and makes pages of it in two languages, of a good one only', () => {
    const holdfast = newHoldfast();
    mkdirSync(holdfast.path('evidence'));
    const file = (name: string): string => join(holdfast.path('evidence'), name);
    writeFileSync(file('pack.json'), packText());
    writeFileSync(file('key.pub'), `${Buffer.from(PAIR.verifyKey).toString('base64url')}\n`);
    const key = ['--key', file('key.pub')];
    expect(holdfast.summary(['evidence', 'verify', file('pack.json'), ...key])).toMatchObject({ outcome: 'verified', problems: 0 });
    expect(holdfast.summary(['evidence', 'verify', file('pack.json')], { status: 3 })).toMatchObject({ outcome: 'untrusted' });
    holdfast.ok(['evidence', 'report', file('pack.json'), ...key, '--language', 'zh', '--output', file('report.html')]);
    // A page is not signed, and is what people read.
    for (const page of ['report.en.html', 'report.zh.html']) {
      holdfast.ok(['evidence', 'report', file('pack.json'), ...key, '--language', page.slice(7, 9), '--output', file(page)]);
      expect(holdfast.summary(['evidence', 'verify', file('pack.json'), ...key])).toMatchObject({ foreignPages: 0 });
      const whole = readFileSync(file(page), 'utf8');
      writeFileSync(file(page), whole.replace(/(\d) ms/, '$1$1 ms').replace('</h1>', '!</h1>'));
      const verified = holdfast.run(['evidence', 'verify', file('pack.json'), ...key]);
      expect({
        status: verified.status,
        page: `${verified.stdout}${verified.stderr}`.includes(`${file(page)} does not say`),
      }).toEqual({
        status: 3,
        page: true,
      });
      writeFileSync(file(page), whole);
    }
    // What is no file is not waited for, nor read without an end.
    execFileSync('mkfifo', [file('report.en.html.fifo')]);
    renameSync(file('report.en.html.fifo'), file('report.en.html'));
    expect(holdfast.summary(['evidence', 'verify', file('pack.json'), ...key], { status: 3 })).toMatchObject({ foreignPages: 1 });
    rmSync(file('report.en.html'));
    symlinkSync('/dev/zero', file('zero.json'));
    expect(holdfast.fault(['evidence', 'verify', file('zero.json'), ...key])).toMatchObject({ code: 'USAGE' });
    writeFileSync(
      file('bad.json'),
      forged(packText(), ({ body }) => (body.tenant = 'town')),
    );
    expect(holdfast.summary(['evidence', 'verify', file('bad.json'), ...key], { status: 4 })).toMatchObject({ outcome: 'refused' });
    expect(holdfast.fault(['evidence', 'report', file('bad.json'), '--output', file('bad.html')])).toMatchObject({
      code: 'EVIDENCE_REFUSED',
      status: 4,
    });
  });
});
