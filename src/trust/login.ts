// Logging in: a password, and a one-time code where the person has a second factor, become a session that ends after half a day. Every refusal
// looks the same and takes the same time, whether the login exists or not; only who knew the password learns that a code is needed.

import { Fault } from '../base/faults.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import type { Person } from '../model/principal.ts';
import { ADDRESS_LIMITS, Attempts, LOGIN_LIMITS } from './attempts.ts';
import { isPasswordOf } from './password.ts';
import { newSecret, SESSION_MS } from './tokens.ts';
import { acceptedStep } from './totp.ts';

/** scrypt takes 32 MiB and a thread each: more at once wait their turn by being refused. */
const AT_ONCE_MAX = 8;

export type LoginRequest = { readonly login: string; readonly password: string; readonly code?: string };
export type Proved = { readonly person: Person; readonly step?: number };
export type Session = { readonly secret: string; readonly tokenId: string; readonly expiresAt: string; readonly person: Person };

export class Login {
  readonly #catalog: Catalog;
  readonly #now: () => Date;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #byLogin: Attempts;
  readonly #byAddress: Attempts;
  #atOnce = 0;

  constructor(catalog: Catalog, now: () => Date, random: (bytes: number) => Uint8Array) {
    this.#catalog = catalog;
    this.#now = now;
    this.#random = random;
    this.#byLogin = new Attempts(LOGIN_LIMITS, now);
    this.#byAddress = new Attempts(ADDRESS_LIMITS, now);
  }

  /** Whether password and code are right: the person, to be made a session of by `begin` within a transaction. LOGIN_REFUSED,
   *  LOGIN_CODE_NEEDED, REQUEST_RATE_LIMITED. */
  prove({ login, password, code }: LoginRequest, address: string): Promise<Proved> {
    return this.#limited(login, address, () => this.#check(login, password, code));
  }

  /** Only the password, of somebody who is logged in: LOGIN_REFUSED when it is wrong. */
  async provePassword(login: string, password: string, address: string): Promise<void> {
    await this.#limited(login, address, async () => {
      const found = await this.#catalog.people.byLogin(login);
      if (!(await isPasswordOf(password, found?.secrets.passwordHash))) throw refused();
    });
  }

  /** The code counts once: LOGIN_REFUSED when another session began with it meanwhile. */
  async begin(tables: CatalogTables, person: Person, step?: number): Promise<Session> {
    const at = this.#now();
    if (step !== undefined) {
      const used = Number((await tables.settings.get(stepSetting(person.id))) ?? -1);
      if (step <= used) throw refused();
      await tables.settings.set(stepSetting(person.id), String(step));
    }
    const { secret, digest } = newSecret(this.#random);
    const tokenId = newId('token', at, this.#random);
    const expiresAt = instantOf(new Date(at.getTime() + SESSION_MS));
    const label = `session of ${person.login}`.slice(0, 200);
    const createdBy = `person:${person.id}`;
    await tables.tokens.add(
      { id: tokenId, label, personId: person.id, grants: [], createdBy, createdAt: instantOf(at), expiresAt },
      digest,
    );
    return { secret, tokenId, expiresAt, person };
  }

  async #limited<T>(login: string, address: string, check: () => Promise<T>): Promise<T> {
    const waitMs = Math.max(this.#byLogin.waitMs(login), this.#byAddress.waitMs(address));
    if (waitMs > 0 || this.#atOnce >= AT_ONCE_MAX)
      throw new Fault('REQUEST_RATE_LIMITED', `Too many attempts to log in; wait ${Math.ceil(Math.max(waitMs, 1000) / 1000)} s`);
    // Counted first, so that a hundred at once are a hundred.
    this.#byLogin.failed(login);
    this.#byAddress.failed(address);
    this.#atOnce++;
    try {
      const proved = await check();
      this.#byLogin.succeeded(login);
      return proved;
    } finally {
      this.#atOnce--;
    }
  }

  async #check(login: string, password: string, code: string | undefined): Promise<Proved> {
    const found = await this.#catalog.people.byLogin(login);
    const isRight = await isPasswordOf(password, found?.secrets.passwordHash);
    if (found === undefined || !isRight || found.person.state !== 'active') throw refused();
    const { person, secrets } = found;
    if (secrets.totpSecret === undefined) return { person };
    if (code === undefined) throw new Fault('LOGIN_CODE_NEEDED', 'The password is right; the code of the second factor is missing');
    const used = Number((await this.#catalog.settings.get(stepSetting(person.id))) ?? -1);
    const step = acceptedStep(secrets.totpSecret, code, this.#now(), used);
    if (step === undefined) throw refused();
    return { person, step };
  }
}

function refused(): Fault {
  return new Fault('LOGIN_REFUSED', 'Login, password or code is not right');
}

function stepSetting(personId: string): string {
  return `totp-step:${personId}`;
}
