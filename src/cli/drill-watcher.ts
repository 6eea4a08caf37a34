// The watcher of a drill, a process of its own: what it looks at to see whether a failover is declared is put together here, because a drill
// itself may not know of registries and journals. It only reads. A program; see agents/drill/watcher.ts.

import { existsSync, readFileSync } from 'node:fs';
import { type FailoverView, watchDrill } from '../../agents/drill/watcher.ts';
import { openSiteRegistry } from '../../agents/site/site-clients.ts';
import { readSiteConfig, type SiteConfig } from '../../agents/site/site-config.ts';
import { Fault } from '../base/faults.ts';
import { isFinished, JournalRegister } from '../dr/failover-journal.ts';
import { WriterRegister } from '../dr/writer-register.ts';
import type { Registry } from '../registry/registry.ts';

export type ViewWish = {
  readonly plan: string;
  /** Whoever declares a failover makes this file. */
  readonly file?: string;
  /** Configuration of a site: its registry holds the journals of failovers, and who may write each of its databases. */
  readonly site?: string;
};

/** A failover of another plan has begun with the host, too, as soon as it takes hold of a database that is there. */
type Watched = { readonly asset: string; readonly register: WriterRegister; holder?: string };
type Sight = { readonly journal: JournalRegister; readonly databases: readonly Watched[] };

function viewOf(wish: unknown): FailoverView {
  const { plan, file, site } = wish as ViewWish;
  let sight: Sight | undefined;
  return async (signal) => {
    if (file !== undefined && existsSync(file)) return `${file} is there: a failover was declared`;
    if (site === undefined) return undefined;
    // What cannot be opened now is tried again; who cannot say it for a while ends the drill.
    sight ??= sightOf(site, plan);
    const found = (await sight.journal.find({ signal }))?.journal;
    if (found !== undefined && !isFinished(found)) return `the failover ${found.id} of "${plan}" is ${found.state}`;
    const moves = await Promise.all(sight.databases.map((one) => moving(one, signal)));
    return moves.find((one) => one !== undefined);
  };
}

/** It may have moved between two looks. */
async function moving(database: Watched, signal: AbortSignal): Promise<string | undefined> {
  const { asset, register } = database;
  const record = (await register.find({ signal }))?.record;
  if (record === undefined) return undefined;
  database.holder ??= record.holder.name;
  if (record.failover !== null) return `the failover ${record.failover} moves ${asset}`;
  return database.holder === record.holder.name ? undefined : `${asset} has moved to ${record.holder.site}`;
}

function sightOf(site: string, plan: string): Sight {
  const config = readSiteConfig(readFileSync(site, 'utf8'), site);
  const registry = registryOf(config);
  const databases = config.databases.map(
    ({ asset, incarnation }): Watched => ({ asset, register: new WriterRegister(registry, incarnation) }),
  );
  return { journal: new JournalRegister(registry, plan), databases };
}

function registryOf(config: SiteConfig): Registry {
  const { embedded } = config.registry;
  // An empty one in its place would say for ever that nothing is declared.
  if (embedded !== undefined && !existsSync(embedded))
    throw new Fault('REGISTRY_UNREACHABLE', `There is no registry at ${embedded}`);
  return openSiteRegistry(config);
}

if (process.argv[1] === import.meta.filename) watchDrill(viewOf);
