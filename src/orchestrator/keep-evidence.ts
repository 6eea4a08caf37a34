// Where the evidence of a failover is kept: the signed pack, and beside it a page for people in each language. Each is there whole or not at all.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { decodePack, makePack, type PackDetails } from '../evidence/pack.ts';
import { renderReport } from '../evidence/report.ts';
import { digestOfBytes } from '../evidence/verify-pack.ts';
import type { KeepEvidence } from './ports.ts';

type Signing = Pick<PackDetails, 'tenant' | 'program'> & { readonly pair: Parameters<typeof makePack>[1] };

/** EVIDENCE_NOT_KEPT. */
export function keepEvidenceIn(directory: string, { tenant, program, pair }: Signing): KeepEvidence {
  return async (evidence) => {
    const text = makePack({ ...evidence, tenant, program }, pair);
    const pack = decodePack(JSON.parse(text));
    const pages = (['en', 'zh'] as const).map(
      (language) => [`${evidence.id}.${language}.html`, renderReport(pack, language)] as const,
    );
    const name = `${evidence.id}.json`;
    try {
      makeDirectory(directory, { mode: 0o750 });
      for (const [page, content] of [...pages, [name, text] as const]) put(join(directory, page), content);
    } catch (cause) {
      throw new Fault('EVIDENCE_NOT_KEPT', `The evidence cannot be kept in ${directory}: ${(cause as Error).message}`, { cause });
    }
    return { file: join(directory, name), digest: digestOfBytes(Buffer.from(text)) };
  };
}

/** Two orchestrators may do it at once. */
function put(path: string, content: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, content, { flush: true });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
