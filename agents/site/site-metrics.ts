// What Prometheus reads of a site daemon: of each database the same few gauges, made from its status when somebody asks.

import type { DatabaseStatus } from '../../src/dr/site-control.ts';
import { parseLsn } from '../../src/model/lsn.ts';

type Gauge = {
  readonly name: string;
  readonly help: string;
  /** Undefined: nothing is known, and nothing is said. */
  readonly of: (status: DatabaseStatus) => number | undefined;
};

const ROLES = ['closed', 'standby', 'primary'] as const;

const GAUGES: readonly Gauge[] = [
  { name: 'epoch', help: 'Epoch that this site holds; 0: it does not hold the right to write', of: ({ gate }) => gate.epoch },
  {
    name: 'lease_seconds_left',
    help: 'How long the primary may go on writing if nobody answers any more',
    of: ({ gate }) => seconds(gate.writableForMs),
  },
  {
    name: 'gate_problem',
    help: '1: the last round of the gate did not renew or look',
    of: ({ gate }) => Number(gate.problem !== null),
  },
  { name: 'writable', help: '1: the server takes writes', of: ({ server }) => Number(server.state === 'read-write') },
  {
    name: 'capture_lag_bytes',
    help: 'Log that the server has and the repository does not',
    of: ({ capture }) => capture?.behindBytes,
  },
  {
    name: 'capture_stalled_seconds',
    help: 'Since when nothing of what waits was stored',
    of: ({ capture }) => seconds(capture?.stalledMs),
  },
  {
    name: 'standby_healthy',
    help: '1: the standby replays, and no gap is ahead',
    of: ({ standby }) => (standby === null ? undefined : Number(standby.isHealthy)),
  },
  { name: 'standby_lag_bytes', help: 'Log that is stored here and not replayed', of: standbyLag },
  {
    name: 'replica_lag_seconds',
    help: 'For how long the copy may lack log that the other site has',
    of: ({ replica }) => seconds(replica?.lagMs),
  },
  {
    name: 'sealed',
    help: '1: a failover has sealed the log of an epoch here',
    of: ({ sealed, gate }) => Number(sealed !== null && gate.epoch <= sealed.epoch),
  },
  { name: 'problems', help: 'What does not work now and is tried again', of: ({ problems }) => problems.length },
];

export function siteMetrics(statuses: readonly DatabaseStatus[]): string {
  const lines: string[] = [];
  const labels = ({ asset, site }: DatabaseStatus, more = ''): string => `{asset=${quoted(asset)},site=${quoted(site)}${more}}`;
  for (const { name, help, of } of GAUGES) {
    const samples = statuses.flatMap((status) => {
      const value = of(status);
      return value === undefined ? [] : [`holdfast_site_${name}${labels(status)} ${value}`];
    });
    lines.push(`# HELP holdfast_site_${name} ${help}`, `# TYPE holdfast_site_${name} gauge`, ...samples);
  }
  lines.push('# HELP holdfast_site_role 1 for the role that the gate has', '# TYPE holdfast_site_role gauge');
  for (const status of statuses)
    for (const role of ROLES)
      lines.push(`holdfast_site_role${labels(status, `,role="${role}"`)} ${Number(status.gate.role === role)}`);
  return `${lines.join('\n')}\n`;
}

function standbyLag({ standby, server, log }: DatabaseStatus): number | undefined {
  if (standby?.behindBytes !== undefined && standby.behindBytes !== null) return standby.behindBytes;
  if (server.state !== 'standby' || server.lsn === null || log === null) return undefined;
  const [replayed, stored] = [parseLsn(server.lsn), parseLsn(log.lsn)];
  return replayed === undefined || stored === undefined ? undefined : Math.max(0, stored - replayed);
}

function seconds(ms: number | null | undefined): number | undefined {
  return ms === null || ms === undefined ? undefined : ms / 1000;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
