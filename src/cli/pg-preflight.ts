// Says what a server lacks to be protected.

import { preflight } from '../../agents/postgres/preflight.ts';
import { EXIT } from '../base/faults.ts';
import { DEFAULT_SLOT, serverOf } from './pg-server.ts';
import type { Invocation } from './verb.ts';

const SIGNS = { ok: 'ok     ', warning: 'warning', missing: 'MISSING' } as const;

export async function pgPreflight(invocation: Invocation): Promise<number> {
  const { output, options, signal } = invocation;
  const { checks, systemId, server } = await preflight(serverOf(invocation), options.text('slot') ?? DEFAULT_SLOT, signal);
  for (const { name, state, found, why, remedy } of checks) {
    output.record('check', { name, state, found, why, remedy });
    output.line(`${SIGNS[state]}  ${name}: ${found}`);
    if (state !== 'ok') output.line(`           ${why}.\n           ${remedy}`);
  }
  const missing = checks.filter(({ state }) => state === 'missing').length;
  const warnings = checks.filter(({ state }) => state === 'warning').length;
  output.line(
    missing === 0 ? 'The server can be protected.' : 'The server cannot be protected yet: mend what is missing, then look again.',
  );
  output.summary('pg preflight', { missing, warnings, systemId: systemId ?? null, version: server?.version ?? null });
  return missing > 0 ? EXIT.failed : 0;
}
