// Leads the clients of a route to the side that took over. The file of a proxy is replaced in one step and only by one of a later epoch, then
// the plan's command puts it into force. A hook is told the epoch, and refuses by itself what is older than what it has seen.

import { existsSync, readFileSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import { replaceFile } from '../base/replace-file.ts';
import type { PlanRoute } from '../plan/plan-document.ts';
import { epochOfRoute, mustNotGoBack, routeConfig } from '../plan/route-config.ts';

/** ROUTE_STALE. Answers the epoch that was in force before, null when there was none. */
export function writeRoute(route: PlanRoute, side: 'source' | 'target', epoch: number): { readonly before: number | null } {
  if (route.kind === 'hook' || route.file === undefined) return { before: null };
  const { file } = route;
  const inForce = readRoute(file);
  mustNotGoBack(route, inForce, epoch);
  try {
    replaceFile(file, routeConfig(route, side, epoch));
  } catch (cause) {
    throw new Fault('ROUTE_FAILED', `The file ${file} of the route ${route.name} cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
  return { before: inForce === undefined ? null : (epochOfRoute(inForce) ?? null) };
}

/** Undefined when there is none. */
export function readRoute(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
