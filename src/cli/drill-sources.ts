// Where a drill reads from: the repository of each member of the plan, over a store that can only be read, and what tries that it cannot be written to.

import type { DrillSource, StoreWrite } from '../../agents/drill/drill-options.ts';
import type { SiteConfig } from '../../agents/site/site-config.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { Repository } from '../repository/repository.ts';
import { parseLocation } from '../store/location.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { readOnly } from '../store/read-only.ts';
import { cacheDirectoryOf, locationOf, openStoreOf, processFacts } from './open.ts';
import { usage } from './option.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import type { Invocation } from './verb.ts';

const PROBE_TIMEOUT_MS = 10_000;

export type DrillSources = {
  readonly sources: readonly DrillSource[];
  readonly storeWrites: readonly StoreWrite[];
  /** Of buckets: host and port. */
  readonly addresses: readonly string[];
  /** Of repositories that are directories. */
  readonly directories: readonly string[];
};

type Place = { readonly asset: string; readonly location: string; readonly passphraseFile: string | undefined };

/** Each repository is opened once, and closed at the end. `config`: says where what no option names lies. */
export async function withSources<T>(
  invocation: Invocation,
  plan: PlanDocument,
  config: SiteConfig | undefined,
  id: string,
  work: (sources: DrillSources) => Promise<T>,
): Promise<T> {
  const places = placesOf(invocation, plan, config);
  const stores = new Map<string, ObjectStore>();
  const repositories = new Map<string, Repository>();
  try {
    for (const { location, passphraseFile } of places) {
      if (repositories.has(location)) continue;
      const wish = { ...REPOSITORY_PASSPHRASE, file: passphraseFile, isNew: false };
      const passphrase = await readPassphrase(wish, invocation.environment, invocation.output);
      const store = await openStoreOf(invocation, location, false);
      stores.set(location, store);
      const cacheDirectory = cacheDirectoryOf(invocation);
      repositories.set(
        location,
        await Repository.open({ store: readOnly(store), passphrase, cacheDirectory, process: processFacts() }),
      );
    }
    const [buckets, directories] = [[...stores.values()].filter(isBucket), [...stores.values()].filter((one) => !isBucket(one))];
    return await work({
      sources: places.map(({ asset, location }) => ({ asset, repository: repositories.get(location)! })),
      storeWrites: buckets.map((store) => storeWriteOf(store, id)),
      addresses: buckets.map(addressOf),
      directories: directories.map(({ location }) => location),
    });
  } finally {
    for (const repository of repositories.values()) await repository.close();
    for (const [location, store] of stores) if (!repositories.has(location)) await store.close();
  }
}

function placesOf({ options, environment }: Invocation, plan: PlanDocument, config: SiteConfig | undefined): Place[] {
  const assets = plan.groups.flatMap(({ members }) => members.map(({ asset }) => asset));
  const named = new Map(options.texts('for').map((text) => pairOf('for', text)));
  for (const asset of named.keys()) if (!assets.includes(asset)) throw usage(`The plan has no member "${asset}"`);
  const passphraseFile = options.text('passphrase-file');
  return assets.map((asset) => {
    const location = named.get(asset) ?? options.text('repo');
    if (location !== undefined) return { asset, location, passphraseFile };
    const database = config?.files?.find((one) => one.asset === asset)?.with ?? asset;
    const known = config?.databases.find((one) => one.asset === database)?.repository;
    if (known !== undefined) return { asset, location: known.location, passphraseFile: passphraseFile ?? known.passphraseFile };
    return { asset, location: locationOf(options, environment), passphraseFile };
  });
}

/** With the very credentials that this process has: it must be refused. */
function storeWriteOf(store: ObjectStore, id: string): StoreWrite {
  const key = `drill-probe/${id}`;
  return {
    of: store.location,
    how: 'PUT of an object, with the credentials of the drill',
    attempt: async () => {
      try {
        await store.put(key, Buffer.from(id), { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      } catch (error) {
        return { isReached: false, text: error instanceof Error ? error.message : String(error) };
      }
      await store.delete(key).catch(() => {});
      return { isReached: true, text: `wrote ${key}` };
    },
  };
}

function isBucket({ location }: ObjectStore): boolean {
  return parseLocation(location).kind !== 'directory';
}

function addressOf({ location }: ObjectStore): string {
  const parsed = parseLocation(location);
  const { hostname, port, protocol } = new URL(parsed.kind === 'directory' ? 'http://localhost' : parsed.endpoint);
  return `${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`;
}

/** "ASSET=VALUE". */
export function pairOf(option: string, text: string): [asset: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`--${option} must be ASSET=VALUE; "${text}" is not`);
  return [text.slice(0, at), text.slice(at + 1)];
}
