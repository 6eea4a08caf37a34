// Every route of the API.

import type { Route } from './route.ts';
import { ASSET_ROUTES } from './routes/assets.ts';
import { HEALTH_ROUTES } from './routes/health.ts';
import { TENANT_ROUTES } from './routes/tenants.ts';

export const ROUTES: readonly Route[] = [...HEALTH_ROUTES, ...TENANT_ROUTES, ...ASSET_ROUTES];
