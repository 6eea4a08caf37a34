import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isFault } from '../../src/base/faults.ts';
import { EvidenceAnswer, PLAN_PATHS } from '../../src/protocol/plan-messages.ts';
import type { RunContext } from './run-context.ts';
import { call } from './service-calls.ts';

const TELL_TIMEOUT_MS = 60_000;

/** The pack and what lies beside it, again and again while the service is away: it stays here, too. Answers its id. */
export async function sendEvidence({ claimed, transport, settings }: RunContext, file: string): Promise<string> {
  const pack = readFileSync(file, 'utf8');
  const { body } = JSON.parse(pack) as { body: { attachments: readonly { readonly name: string }[] } };
  const attachments = body.attachments.map(({ name }) => ({
    name,
    content: readFileSync(join(dirname(file), name)).toString('base64'),
  }));
  const { id, fence } = claimed.run;
  const message = { fence, pack, attachments };
  const said = settings.version === undefined ? {} : { version: settings.version };
  const until = performance.now() + TELL_TIMEOUT_MS;
  for (;;) {
    try {
      const sent = await call(transport, PLAN_PATHS.evidence(id), message, EvidenceAnswer, { timeoutMs: TELL_TIMEOUT_MS, ...said });
      return sent.id;
    } catch (error) {
      if (!isFault(error) || error.retry === 'never' || performance.now() > until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
