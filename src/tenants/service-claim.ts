// One store, one service. Two catalogues on the same repositories would each forget, by its own policies and holds, what the other has promised to
// keep; and a home is easily copied, with a `cp` or with the whole machine it is on.
//
// Beside the repositories lies a register that says who serves them. Each start draws a new token, writes it there by compare-and-swap, and
// remembers it in the catalogue. So of two copies the one that started last has the token that counts. The other one finds a strange token there,
// at its next look (every minute, and before anything is forgotten or pruned), and stops; a start that finds one is refused. That the home lies at
// another path is seen before any harm: then nothing starts, and people say which of the two goes on. Processes with one home share its token.
//
// What lies inside of the home is copied with it and needs no claim. Nobody's clock decides anything; `host` and `since` are for people.

import { dirname } from 'node:path';
import { Fault, isFault } from '../base/faults.ts';
import type { Catalog, SettingTable } from '../catalog/catalog.ts';
import { RepositoryNotes } from '../catalog/tenant-repository.ts';
import { instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import { formatLocation, parseLocation } from '../store/location.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** Beside the repositories; no tenant can have such a name. */
const STORE_NAME = '_service';
const REGISTER = 'served-by';
/** Of this home: some processes of it may be starting at once. */
const TOKENS_MAX = 16;
const ATTEMPTS_MAX = 5;

export type ServiceClaimOptions = {
  readonly catalog: Catalog;
  /** Absolute. */
  readonly home: string;
  readonly host: string;
  readonly baseLocation: string;
  readonly openStore: (location: string, create: boolean) => Promise<ObjectStore>;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

type ServedBy = { readonly token: string; readonly home: string; readonly host: string; readonly since: string };

export class ServiceClaim {
  readonly #options: ServiceClaimOptions;
  readonly #notes: RepositoryNotes;

  constructor(options: ServiceClaimOptions) {
    this.#options = options;
    this.#notes = new RepositoryNotes(options.home);
  }

  /** From now on this service is the one. SERVICE_STORE_TAKEN, unless `takesOver`. */
  async begin(takesOver: boolean): Promise<void> {
    for (const place of await this.#places()) await this.#with(place, (store) => this.#claim(store, place, takesOver));
  }

  /** SERVICE_SUPERSEDED when it is not any more. */
  async check(): Promise<void> {
    for (const place of await this.#places()) await this.#with(place, (store) => this.#look(store, place));
  }

  async #claim(store: ObjectStore, place: string, takesOver: boolean): Promise<void> {
    const { home, host, now, random } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const there = await store.read(REGISTER);
      if (there !== undefined && !takesOver) await this.#refuseStranger(decode(there.bytes), place);
      const token = Buffer.from(random(16)).toString('hex');
      // Before it is there, so that a crash in between forgets nothing.
      await this.#remember(place, token);
      const value: ServedBy = { token, home, host, since: instantOf(now()) };
      if ((await store.swap(REGISTER, Buffer.from(JSON.stringify(value)), there?.version)) !== 'conflict') return;
      if (attempt === ATTEMPTS_MAX) throw new Fault('SERVICE_STORE_TAKEN', `Others are starting on ${place} all the time`);
    }
  }

  async #refuseStranger(found: ServedBy, place: string): Promise<void> {
    const { home, catalog } = this.#options;
    const isOurs = (await tokensOf(catalog.settings, place)).includes(found.token);
    if (isOurs && found.home === home) return;
    const what = isOurs ? 'This home was copied or moved: the' : 'The';
    throw new Fault('SERVICE_STORE_TAKEN', `${what} repositories at ${place} are served by ${told(found)}, and not by ${home}`);
  }

  async #look(store: ObjectStore, place: string): Promise<void> {
    const there = await store.read(REGISTER);
    // Deleted, it says nothing of anybody else.
    if (there === undefined) return;
    const found = decode(there.bytes);
    if (!(await tokensOf(this.#options.catalog.settings, place)).includes(found.token))
      throw new Fault('SERVICE_SUPERSEDED', `The repositories at ${place} are served by ${told(found)}`);
  }

  async #remember(place: string, token: string): Promise<void> {
    await this.#options.catalog.transaction(async ({ settings }) => {
      const tokens = [token, ...(await tokensOf(settings, place))].slice(0, TOKENS_MAX);
      await settings.set(settingOf(place), JSON.stringify(tokens));
    });
  }

  /** Where repositories lie outside of the home: of tenants that there are, and of new ones. */
  async #places(): Promise<ReadonlySet<string>> {
    const { catalog, baseLocation } = this.#options;
    const places = new Set([baseLocation.replace(/\/+$/, '')]);
    for await (const { id } of eachItem((page) => catalog.tenants.list(page))) {
      const location = await this.#notes.location(catalog.settings, id);
      const place = location === undefined ? undefined : parentOf(location);
      if (place !== undefined) places.add(place);
    }
    for (const place of places) if (this.#notes.isInside(place)) places.delete(place);
    return places;
  }

  async #with(place: string, work: (store: ObjectStore) => Promise<void>): Promise<void> {
    const store = await this.#options.openStore(`${place}/${STORE_NAME}`, true);
    try {
      await work(store);
    } finally {
      await store.close();
    }
  }
}

async function tokensOf(settings: SettingTable, place: string): Promise<readonly string[]> {
  return JSON.parse((await settings.get(settingOf(place))) ?? '[]') as string[];
}

function told({ home, host, since }: ServedBy): string {
  return `the service of ${home} on ${host}, started ${since}`;
}

function decode(bytes: Uint8Array): ServedBy {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as ServedBy;
}

function settingOf(place: string): string {
  return `serving:${place}`;
}

/** Undefined when there is none: a bucket without a prefix, the root directory. */
function parentOf(text: string): string | undefined {
  try {
    const location = parseLocation(text);
    if (location.kind === 'directory') return dirname(location.path) === '/' ? undefined : dirname(location.path);
    if (location.prefix === '') return undefined;
    return formatLocation({ ...location, prefix: location.prefix.split('/').slice(0, -1).join('/') });
  } catch (error) {
    if (isFault(error, 'STORE_BAD_LOCATION')) return undefined;
    throw error;
  }
}
