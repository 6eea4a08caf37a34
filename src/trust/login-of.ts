// How people know each other: requests and the audit name people by ids, which stay when a login changes.

import type { CatalogTables } from '../catalog/catalog.ts';

/** Of "person:per_..." the login; of anything else, and of who is not there any more, the name itself. */
export async function loginOf({ people }: Pick<CatalogTables, 'people'>, name: string): Promise<string> {
  const [kind, id] = name.split(':');
  return (kind === 'person' ? (await people.get(id!))?.login : undefined) ?? name;
}
