// What the keepers of sessions and of readings are made from.

import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';
import type { StoreDoors } from './session-door.ts';
import type { SessionIndexes } from './session-index.ts';

export type KeeperOptions = {
  readonly catalog: Catalog;
  readonly tenants: TenantRepositories;
  readonly doors: StoreDoors;
  readonly indexes: SessionIndexes;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
};
