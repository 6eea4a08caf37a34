// Whether a plan could be carried out now: for people, and for a timer that asks every day.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACK_NAME } from '../../agents/drill/drill.ts';
import { EXIT } from '../base/faults.ts';
import { verifyEvidence } from '../evidence/verify-pack.ts';
import { checkReadiness } from '../orchestrator/readiness.ts';
import { planDigest } from '../plan/plan-digest.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { planOf, withSite } from './failover-ports.ts';
import { usage } from './option.ts';
import { publicKeyIn } from './public-key.ts';
import { tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

export async function failoverReadiness(invocation: Invocation): Promise<number> {
  const { options, output, signal, verb } = invocation;
  const plan = planOf(invocation);
  return withSite(invocation, async ({ config, registry, site, incarnationOf, trusted }) => {
    const directory = options.text('evidence-dir') ?? join(config.state, 'evidence');
    const keys = [...trusted, ...options.texts('key').map(publicKeyIn)];
    const checks = await checkReadiness({
      registry,
      plan,
      site,
      incarnationOf,
      digest: options.text('digest'),
      provenAt: newestProof(directory, plan, keys),
      now: () => new Date(),
      signal,
    });
    for (const check of checks) output.record('check', check);
    const rows = checks.map(({ what, isReady, text }) => [isReady ? 'ready' : 'NOT READY', what, text]);
    for (const line of tableLines([{ title: '' }, { title: 'what' }, { title: 'found' }], rows)) output.line(line);
    const drifted = checks.filter(({ isReady }) => !isReady).length;
    output.summary(verb.name, {
      plan: plan.name,
      digest: planDigest(plan),
      checks: checks.length,
      drifted,
      isReady: drifted === 0,
    });
    return drifted === 0 ? 0 : EXIT.warnings;
  });
}

/** Of evidence that verifies, of that plan in whatever version, and that has succeeded. */
function newestProof(directory: string, plan: PlanDocument, trusted: readonly Uint8Array[]): Date | undefined {
  const times = packsIn(directory).flatMap((text) => {
    const { pack, isTrusted, problems } = verifyEvidence({ text, trusted, attachment: () => undefined });
    // Files that lie elsewhere do not make a proof less of one.
    const isWhole = problems.every(({ what }) => what === 'attachment');
    if (pack === undefined || !isTrusted || !isWhole || pack.body.plan.name !== plan.name) return [];
    const outcome = pack.body.claims.claims.find(({ id }) => id === 'outcome')?.value.outcome;
    return outcome === 'succeeded' ? [Date.parse(pack.body.createdAt)] : [];
  });
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

function packsIn(directory: string): Buffer[] {
  try {
    return readdirSync(directory)
      .map((name) => join(directory, name, ...(name.endsWith('.json') ? [] : [PACK_NAME])))
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw usage(`The evidence in ${directory} cannot be read: ${(error as Error).message}`);
  }
}
