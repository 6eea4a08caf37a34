// What a look at a plan has found, noted beside it in the transaction in which the run ended. Only a change is news.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { Instant } from '../model/instant.ts';
import type { PlanReadiness } from '../model/plan.ts';
import type { Run } from '../model/run.ts';

const WRONG_TOLD_MAX = 10;

export async function noteReadiness(tables: CatalogTables, run: Run, at: Instant): Promise<void> {
  const { tenantId, id: runId, parameters, result } = run;
  if (run.state !== 'succeeded' || !Array.isArray(result?.['checks'])) return;
  const name = String(parameters['plan']);
  const checks = (result['checks'] as readonly Record<string, unknown>[]).map(({ what, isReady, text }) => ({
    what: String(what).slice(0, 300),
    isReady: isReady === true,
    text: String(text).slice(0, 2000),
  }));
  const isReady = checks.length > 0 && checks.every((check) => check.isReady);
  const readiness: PlanReadiness = { at, runId, version: Number(parameters['version']), isReady, checks };
  const before = (await tables.plans.byName(tenantId, name))?.readiness;
  if (!(await tables.plans.note(tenantId, name, readiness)) || (before?.isReady ?? true) === isReady) return;
  const wrong = checks.filter((check) => !check.isReady).map(({ what, text }) => `${what}: ${text}`);
  await tables.events.add(
    isReady
      ? { tenantId, runId, kind: 'plan.ready', severity: 'info', message: `The plan "${name}" could be carried out again` }
      : {
          tenantId,
          runId,
          kind: 'plan.drifted',
          severity: 'critical',
          message: `The plan "${name}" could not be carried out as it is`,
          cause: wrong.slice(0, WRONG_TOLD_MAX).join('\n').slice(0, 4000),
          action: 'Correct what has drifted, or the plan; then look again: "holdfast plan check".',
          details: { plan: name },
        },
    at,
  );
}
