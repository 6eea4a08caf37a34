// Before a service uses the repositories that its catalogue names: are they its own?
//
// Older programs kept absolute places. Those inside of this home become relative to it. One inside of another home says that this one was copied
// or moved: a copy would write into the repositories of the original, and forget there by its own policies and holds what the original keeps.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { RepositoryNotes } from '../catalog/tenant-repository.ts';
import { eachItem } from '../model/page-items.ts';

const CATALOG = 'catalog.sqlite';
const SECRETS = 'secrets';
const TENANT_PASSPHRASE = /^ten_\w+\.passphrase$/;

/** CATALOG_MISSING: a home with passphrases of tenants has served before. To be called before a catalogue is made. */
export function mustBeWhole(home: string): void {
  const { size } = statSync(join(home, CATALOG), { throwIfNoEntry: false }) ?? { size: 0 };
  const secrets = join(home, SECRETS);
  if (size > 0 || !existsSync(secrets) || !readdirSync(secrets).some((name) => TENANT_PASSPHRASE.test(name))) return;
  throw new Fault('CATALOG_MISSING', `The home "${home}" has passphrases of tenants, and no catalogue that knows these tenants`);
}

/** SERVICE_HOME_COPIED. */
export async function settleHome(catalog: Catalog, home: string): Promise<void> {
  const notes = new RepositoryNotes(home);
  for await (const { id, name } of eachItem((page) => catalog.tenants.list(page))) {
    const location = await notes.location(catalog.settings, id);
    if (location === undefined || !isAbsolute(location)) continue;
    const other = dirname(dirname(location));
    if (notes.isInside(location)) await notes.setLocation(catalog.settings, id, location);
    else if (isSameFile(join(other, CATALOG), join(home, CATALOG)))
      await notes.setLocation(catalog.settings, id, join(home, location.slice(other.length)));
    else if (existsSync(join(other, CATALOG)))
      throw new Fault(
        'SERVICE_HOME_COPIED',
        `The home "${home}" is a copy: the repository of the tenant "${name}" lies in the home "${other}"`,
      );
  }
}

/** The home may have two names. */
function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}
