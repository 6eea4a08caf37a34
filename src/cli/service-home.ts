// Where the service keeps what it keeps. The verbs that work on it without a running service find it here.

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Fault } from '../base/faults.ts';
import { absoluteLocation } from '../store/location.ts';
import type { Invocation } from './verb.ts';

export type ServiceHome = {
  readonly home: string;
  readonly catalog: string;
  readonly secrets: string;
  readonly scratch: string;
};

export function serviceHome({ options, environment: { variables } }: Invocation): ServiceHome {
  const home = resolve(options.text('home') ?? variables.HOLDFAST_HOME ?? join(homedir(), '.local/share/holdfast'));
  return {
    home,
    catalog: join(home, 'catalog.sqlite'),
    secrets: join(home, 'secrets'),
    scratch: join(home, 'scratch'),
  };
}

/** Where repositories of tenants lie; of verbs with --store. */
export function serviceStore({ options, environment: { variables } }: Invocation, { home }: ServiceHome): string {
  const given = options.text('store') ?? variables.HOLDFAST_STORE;
  return given === undefined ? join(home, 'repositories') : absoluteLocation(given);
}

/** CATALOG_DENIED when there is none: opening would make one. */
export function mustHaveCatalog({ catalog }: ServiceHome): void {
  if (existsSync(catalog)) return;
  throw new Fault('CATALOG_DENIED', `There is no catalogue at "${catalog}"`, { hint: 'Name the home of the service with --home.' });
}
