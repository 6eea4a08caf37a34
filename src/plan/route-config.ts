// The configuration that leads clients to one site, with the epoch of the writer it leads to. A route never goes back to an older epoch: what
// is in force is read before it is replaced.

import { Fault } from '../base/faults.ts';
import type { PlanRoute } from './plan-document.ts';

const EPOCH = /^(?:#|;) holdfast epoch (\d{1,15})$/m;

/** The text of the file of a route of the kind haproxy or pgbouncer. `epoch`: of the writer at that side. */
export function routeConfig(route: PlanRoute, side: 'source' | 'target', epoch: number): string {
  const upstream = side === 'source' ? route.source! : route.target!;
  const { host, port } = hostAndPort(upstream);
  if (route.kind === 'haproxy')
    return [
      `# holdfast route ${route.name}: ${side}`,
      `# holdfast epoch ${epoch}`,
      `listen holdfast-${route.name}`,
      `    bind ${route.listen}`,
      '    mode tcp',
      // Connections to the other side are ended, not drained: their writes would go to a fenced server.
      '    default-server on-marked-down shutdown-sessions',
      `    server ${side}-${epoch} ${host}:${port} check`,
      '',
    ].join('\n');
  if (route.kind === 'pgbouncer')
    return [
      `; holdfast route ${route.name}: ${side}`,
      `; holdfast epoch ${epoch}`,
      '[databases]',
      `* = host=${host} port=${port}`,
      '',
    ].join('\n');
  throw new Fault('USAGE', `The route ${route.name} is changed by a command and has no configuration`);
}

/** Undefined when the text is of nobody's epoch. */
export function epochOfRoute(text: string): number | undefined {
  const epoch = EPOCH.exec(text)?.[1];
  return epoch === undefined ? undefined : Number(epoch);
}

/** ROUTE_STALE when what is in force leads to a later epoch already. `inForce`: undefined when there is no file. */
export function mustNotGoBack(route: PlanRoute, inForce: string | undefined, epoch: number): void {
  const seen = inForce === undefined ? undefined : epochOfRoute(inForce);
  if (seen !== undefined && seen > epoch)
    throw new Fault('ROUTE_STALE', `The route ${route.name} leads to epoch ${seen} already; epoch ${epoch} is over`);
}

function hostAndPort(address: string): { readonly host: string; readonly port: string } {
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(address)!;
  const isBare = match[1]!.endsWith(']') || match[2] !== undefined;
  return isBare ? { host: match[1]!, port: match[2] ?? '5432' } : { host: address, port: '5432' };
}
