// Evidence of drills and failovers, offline: verifying a pack, and making a page of it for people.

import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, Fault } from '../base/faults.ts';
import { READ_AT_ONCE } from '../base/read-at-once.ts';
import { PACK_BYTES_MAX, type Pack } from '../evidence/pack.ts';
import { renderReport } from '../evidence/report.ts';
import { type VerifiedEvidence, verifyEvidence } from '../evidence/verify-pack.ts';
import type { Language } from '../plan/runbook-texts.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { publicKeyIn } from './public-key.ts';
import type { Invocation } from './verb.ts';

/** The log of a server, at the most. */
const ATTACHMENT_BYTES_MAX = 1024 ** 3;
/** A page repeats what its pack holds. */
const PAGE_BYTES_MAX = 16 * PACK_BYTES_MAX;

export async function evidenceVerify({ args, options, output }: Invocation): Promise<number> {
  const file = args[0]!;
  const verified = verifiedOf(file, options.texts('key'));
  tell(output, file, verified);
  const { pack, isTrusted, problems } = verified;
  const claims = problems.length > 0 ? undefined : pack?.body.claims;
  for (const { id, from, value } of claims?.claims ?? []) {
    output.record('claim', { id, from, ...value });
    const text = Object.entries(value)
      .map(([name, is]) => `${name} ${is}`)
      .join(', ');
    output.line(`  ${id}: ${text}`);
  }
  for (const { edition, level, elements, gaps } of claims?.levels ?? []) {
    output.record('level', { edition, level, elements, gaps });
    output.line(`  ${edition}: level ${level}`);
  }
  const foreign = problems.length > 0 || pack === undefined ? [] : foreignPages(file, pack);
  for (const page of foreign)
    output.warning(`${page} does not say what this pack says: read the page that "holdfast evidence report" makes of it`, { page });
  output.summary('evidence verify', {
    outcome: problems.length > 0 ? 'refused' : isTrusted ? 'verified' : 'untrusted',
    id: pack?.body.id ?? null,
    keyId: pack?.keyId ?? null,
    measurements: pack?.body.measurements.length ?? 0,
    problems: problems.length,
    foreignPages: foreign.length,
  });
  if (problems.length > 0) return EXIT.damage;
  return isTrusted && foreign.length === 0 ? 0 : EXIT.warnings;
}

/** Pages for people that lie beside the pack, and are not what is made of it: somebody changed them, or another version of the program made them.
 *  Nobody has signed a page, but it is what people read. */
function foreignPages(file: string, pack: Pack): readonly string[] {
  const name = basename(file);
  const stem = name === 'pack.json' ? 'report' : basename(name, '.json');
  return (['en', 'zh'] as const).flatMap((language) => {
    const page = join(dirname(file), `${stem}.${language}.html`);
    try {
      return readRegular(page, PAGE_BYTES_MAX).equals(Buffer.from(renderReport(pack, language))) ? [] : [page];
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : [page];
    }
  });
}

export async function evidenceReport({ args, options, output }: Invocation): Promise<number> {
  const file = args[0]!;
  const to = options.text('output');
  if (to === undefined) throw usage('"holdfast evidence report" needs --output FILE');
  const verified = verifiedOf(file, options.texts('key'));
  const { pack, problems } = verified;
  if (pack === undefined || problems.length > 0) {
    tell(output, file, verified);
    throw new Fault('EVIDENCE_REFUSED', `No report is made of ${file}: ${problems.length} things are wrong with it`);
  }
  const language = (options.text('language') ?? 'en') as Language;
  try {
    writeFileSync(to, renderReport(pack, language));
  } catch (error) {
    throw usage(`The report cannot be written to ${to}: ${(error as Error).message}`);
  }
  output.line(`Wrote ${to}`);
  output.summary('evidence report', { file: to, language, id: pack.body.id });
  return 0;
}

function tell(output: Output, file: string, { pack, isTrusted, problems }: VerifiedEvidence): void {
  for (const { what, message } of problems) {
    output.record('problem', { file, what, message });
    output.line(`${file}: ${what}: ${message}`);
  }
  if (pack === undefined || problems.length > 0) output.line(`REFUSED: ${file} is no evidence`);
  else
    output.line(
      isTrusted
        ? `Verified: ${file}, signed with the key ${pack.keyId}`
        : `Whole, but nobody vouches for its key ${pack.keyId}: name the public key with --key`,
    );
}

function verifiedOf(file: string, keys: readonly string[]): VerifiedEvidence {
  const trusted = keys.map(publicKeyIn);
  const directory = dirname(file);
  return verifyEvidence({
    text: read(file, PACK_BYTES_MAX),
    trusted,
    attachment: (name) => {
      // Beside the pack and nowhere else.
      if (basename(name) !== name || name === '.' || name === '..') return undefined;
      try {
        return readRegular(join(directory, name), ATTACHMENT_BYTES_MAX);
      } catch {
        return undefined;
      }
    },
  });
}

function read(file: string, bytesMax: number): Buffer {
  try {
    return readRegular(file, bytesMax);
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
}

/** What somebody else has put there may be a device without an end, or a pipe. */
function readRegular(file: string, bytesMax: number): Buffer {
  const opened = openSync(file, READ_AT_ONCE);
  try {
    const stat = fstatSync(opened);
    if (!stat.isFile()) throw new Error('it is no file');
    if (stat.size > bytesMax) throw new Error(`it has ${stat.size} bytes; ${bytesMax} are allowed`);
    return readFileSync(opened);
  } finally {
    closeSync(opened);
  }
}
