// From a secret to a principal. A token counts until it expires or is revoked; a login session counts as the person it is of, with the
// grants that the person has now. When a token was last used is noted in batches: reading is not to become writing.

import type { Catalog } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import type { Principal, Token } from '../model/principal.ts';
import { digestOf } from './tokens.ts';

export type Authenticated = { readonly principal: Principal; readonly token: Token };

export class Authenticator {
  readonly #catalog: Catalog;
  readonly #now: () => Date;
  #used = new Map<string, string>();

  constructor(catalog: Catalog, now: () => Date) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** Undefined: nobody. */
  async authenticate(secret: string): Promise<Authenticated | undefined> {
    const token = await this.#catalog.tokens.byDigest(digestOf(secret));
    const at = instantOf(this.#now());
    if (token === undefined || token.revokedAt !== undefined || (token.expiresAt !== undefined && token.expiresAt <= at))
      return undefined;
    const principal = await this.#principalOf(token);
    if (principal === undefined) return undefined;
    this.#used.set(token.id, at);
    return { principal, token };
  }

  /** Writes down which tokens were used since the last time. */
  async flush(): Promise<void> {
    const used = this.#used;
    this.#used = new Map();
    for (const [id, at] of used) await this.#catalog.tokens.used(id, at);
  }

  async #principalOf({ id, label, grants, personId }: Token): Promise<Principal | undefined> {
    if (personId === undefined) return { kind: 'token', id, label, grants };
    const person = await this.#catalog.people.get(personId);
    if (person === undefined || person.state !== 'active') return undefined;
    return { kind: 'person', id: person.id, label: person.label, grants: person.grants };
  }
}
