// Gauges of the copies of tenants' repositories at other sites, as the service saw them last (src/scheduler/copy-watch.ts). Labels: tenant and site.
//
// The lag is what would be lost with the repository now: how long the oldest backup that a copy lacks has been finished. It is told by the heads of
// both places. What is in no backup (a database's log) is covered by the instant as of which the copy is whole, which its replication has noted.

import { Gauge, type Registry } from 'prom-client';
import type { Catalog } from '../catalog/catalog.ts';
import { type Replica, replicasSetting } from '../model/replica.ts';

export class CopyMetrics {
  readonly #gauges: ReturnType<typeof makeGauges>;

  constructor(registers: Registry[]) {
    this.#gauges = makeGauges(registers);
  }

  reset(): void {
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
  }

  async readTenant(catalog: Pick<Catalog, 'settings'>, tenant: string, now: Date): Promise<void> {
    const kept = await catalog.settings.get(replicasSetting(tenant));
    for (const replica of kept === undefined ? [] : (JSON.parse(kept) as Replica[])) this.#show(tenant, replica, now);
  }

  #show(tenant: string, { site, asOf, seenAt, lackingSince, lackingBytes, lackingSnapshots }: Replica, now: Date): void {
    const { lag, bytes, snapshots, verified, seen } = this.#gauges;
    const labels = { tenant, site };
    // Never seen: 1970.
    seen.set(labels, seenAt === undefined ? 0 : Date.parse(seenAt) / 1000);
    if (asOf !== undefined) verified.set(labels, Date.parse(asOf) / 1000);
    if (lackingSnapshots === undefined) return;
    snapshots.set(labels, lackingSnapshots);
    bytes.set(labels, lackingBytes ?? 0);
    lag.set(labels, lackingSince === undefined ? 0 : Math.max(0, (now.getTime() - Date.parse(lackingSince)) / 1000));
  }
}

function makeGauges(registers: Registry[]) {
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['tenant', 'site'] as const, registers });
  return {
    lag: gauge('holdfast_copy_lag_seconds', 'How long the oldest backup that a copy lacks has been finished; 0: it lacks none'),
    bytes: gauge('holdfast_copy_lag_bytes', 'Bytes that the backups have stored which a copy lacks'),
    snapshots: gauge('holdfast_copy_lag_snapshots', 'Backups that a copy lacks'),
    verified: gauge(
      'holdfast_copy_verified_timestamp_seconds',
      'What the repository held then is in the copy, its log included; absent until it is whole',
    ),
    seen: gauge('holdfast_copy_seen_timestamp_seconds', 'When a copy was looked at last; 0: never'),
  };
}
