// The watcher of a drill, a process of its own: what it looks at to see whether a failover is declared is put together here, because a drill
// itself may not know of registries and journals. It only reads. A program; see agents/drill/watcher.ts.

import { existsSync, readFileSync } from 'node:fs';
import { type FailoverView, watchDrill } from '../../agents/drill/watcher.ts';
import { openSiteRegistry } from '../../agents/site/site-clients.ts';
import { readSiteConfig } from '../../agents/site/site-config.ts';
import { Fault } from '../base/faults.ts';
import { isFinished, JournalRegister } from '../dr/failover-journal.ts';
import type { Registry } from '../registry/registry.ts';

export type ViewWish = {
  readonly plan: string;
  /** Whoever declares a failover makes this file. */
  readonly file?: string;
  /** Configuration of a site: its registry holds the journals of failovers. */
  readonly site?: string;
};

function viewOf(wish: unknown): FailoverView {
  const { plan, file, site } = wish as ViewWish;
  let journal: JournalRegister | undefined;
  return async (signal) => {
    if (file !== undefined && existsSync(file)) return `${file} is there: a failover was declared`;
    if (site === undefined) return undefined;
    // What cannot be opened now is tried again; who cannot say it for a while ends the drill.
    journal ??= new JournalRegister(registryOf(site), plan);
    const found = (await journal.find({ signal }))?.journal;
    return found === undefined || isFinished(found) ? undefined : `the failover ${found.id} of "${plan}" is ${found.state}`;
  };
}

function registryOf(site: string): Registry {
  const config = readSiteConfig(readFileSync(site, 'utf8'), site);
  const { embedded } = config.registry;
  // An empty one in its place would say for ever that nothing is declared.
  if (embedded !== undefined && !existsSync(embedded))
    throw new Fault('REGISTRY_UNREACHABLE', `There is no registry at ${embedded}`);
  return openSiteRegistry(config);
}

if (process.argv[1] === import.meta.filename) watchDrill(viewOf);
