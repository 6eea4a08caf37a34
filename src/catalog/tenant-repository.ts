// Which repository is a tenant's: where it lies, and its id once it was seen there.
//
// A place inside of the service's home is kept relative to it, so that a home that was moved or copied uses what came with it and not what it
// came from. The id is what tells "not made yet" from "gone": a repository that was there once is never made anew where it should be.

import { isAbsolute, join, relative } from 'node:path';
import type { SettingTable } from './catalog.ts';

const INSIDE = 'home:';

/** Of one service. */
export class RepositoryNotes {
  readonly #home: string;

  /** `home`: absolute. */
  constructor(home: string) {
    this.#home = home;
  }

  /** Undefined when the tenant has none. A directory is absolute, unless an older program was given a relative one. */
  async location(settings: SettingTable, tenantId: string): Promise<string | undefined> {
    const text = await settings.get(placeOf(tenantId));
    return text?.startsWith(INSIDE) ? join(this.#home, text.slice(INSIDE.length)) : text;
  }

  async setLocation(settings: SettingTable, tenantId: string, location: string): Promise<void> {
    const text = this.isInside(location) ? `${INSIDE}${relative(this.#home, location)}` : location;
    if ((await settings.get(placeOf(tenantId))) !== text) await settings.set(placeOf(tenantId), text);
  }

  /** 32 hex digits; undefined when it was never seen there. */
  async id(settings: SettingTable, tenantId: string): Promise<string | undefined> {
    return settings.get(idOf(tenantId));
  }

  async setId(settings: SettingTable, tenantId: string, id: string): Promise<void> {
    await settings.set(idOf(tenantId), id);
  }

  isInside(location: string): boolean {
    if (!isAbsolute(location)) return false;
    const way = relative(this.#home, location);
    return way !== '' && !isAbsolute(way) && way.split('/')[0] !== '..';
  }
}

function placeOf(tenantId: string): string {
  return `repository:${tenantId}`;
}

function idOf(tenantId: string): string {
  return `repository-id:${tenantId}`;
}
