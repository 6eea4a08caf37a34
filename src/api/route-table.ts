// Every route of the API.

import type { Route } from './route.ts';
import { AGENT_ROUTES } from './routes/agents.ts';
import { APPROVAL_ROUTES } from './routes/approvals.ts';
import { ASSET_ROUTES } from './routes/assets.ts';
import { AUDIT_ROUTES } from './routes/audit.ts';
import { DRILL_ROUTES } from './routes/drills.ts';
import { EVENT_ROUTES } from './routes/events.ts';
import { EVIDENCE_ROUTES } from './routes/evidence.ts';
import { FAILOVER_ROUTES } from './routes/failovers.ts';
import { HEALTH_ROUTES } from './routes/health.ts';
import { LOGIN_ROUTES } from './routes/login.ts';
import { PEOPLE_ROUTES } from './routes/people.ts';
import { PLAN_ROUTES } from './routes/plans.ts';
import { POINT_ROUTES } from './routes/points.ts';
import { POLICY_ROUTES } from './routes/policies.ts';
import { PROMISE_ROUTES } from './routes/promises.ts';
import { REPLICA_ROUTES } from './routes/replicas.ts';
import { RESTORE_ROUTES } from './routes/restores.ts';
import { RUN_ROUTES } from './routes/runs.ts';
import { TENANT_ROUTES } from './routes/tenants.ts';
import { TOKEN_ROUTES } from './routes/tokens.ts';
import { USAGE_ROUTES } from './routes/usage.ts';

export const ROUTES: readonly Route[] = [
  ...LOGIN_ROUTES,
  ...TENANT_ROUTES,
  ...PEOPLE_ROUTES,
  ...TOKEN_ROUTES,
  ...AGENT_ROUTES,
  ...ASSET_ROUTES,
  ...POLICY_ROUTES,
  ...PLAN_ROUTES,
  ...DRILL_ROUTES,
  ...EVIDENCE_ROUTES,
  ...FAILOVER_ROUTES,
  ...RUN_ROUTES,
  ...POINT_ROUTES,
  ...RESTORE_ROUTES,
  ...APPROVAL_ROUTES,
  ...PROMISE_ROUTES,
  ...REPLICA_ROUTES,
  ...EVENT_ROUTES,
  ...USAGE_ROUTES,
  ...AUDIT_ROUTES,
  ...HEALTH_ROUTES,
];
