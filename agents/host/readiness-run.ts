// Whether a plan could be carried out now, looked at from the host of a site.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { faultOfEnd, planVerb, withPlan } from './plan-verb.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';

const CHECKS_MAX = 200;
const CHARS_MAX = 300;

export async function readinessRun(context: RunContext): Promise<RunOutcome> {
  const { home } = context;
  context.watch(() => ({ phase: 'looking', bytesDone: 0 }));
  return withPlan(context, async ({ file, config }) => {
    const key = join(home.directory, 'evidence-key.pub');
    const evidence = ['--evidence-dir', home.evidence, ...(existsSync(key) ? ['--key', key] : [])];
    const ended = await planVerb(context, ['failover', 'readiness', '--plan', file, '--config', config, ...evidence]);
    if (ended.summary === undefined) throw faultOfEnd(ended);
    const checks = ended.lines.flatMap(({ kind, what, isReady, text }) =>
      kind === 'check' ? [{ what: cut(what), isReady: isReady === true, text: cut(text) }] : [],
    );
    return { state: 'succeeded', result: { isReady: ended.summary.isReady === true, checks: checks.slice(0, CHECKS_MAX) } };
  });
}

function cut(text: unknown): string {
  return String(text).slice(0, CHARS_MAX);
}
