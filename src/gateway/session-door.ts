// How single requests of agents get to a tenant's store: straight to the bucket, signed here; or, for a directory, through this service
// below /agent/v1/store, by a secret that stands for one request.
//
// A secret for writing a pack is kept in the catalogue (only its digest) and taken once. One for reading, or for an object of a log (one a
// second of each database: too many for the catalogue), says by itself what it is good for, under a key of this process: a restart ends it,
// and the agent asks for another. It may be used twice: what is there is never overwritten, and the bytes are named by their digest.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import { SESSION_PATHS, type StoreRequest } from '../protocol/session-messages.ts';
import { parseLocation } from '../store/location.ts';
import { S3Grants } from '../store/s3-grant.ts';
import type { TenantPlace } from '../tenants/tenant-repositories.ts';

const LIFE_MS = 10 * 60_000;
/** Of a request to the service that carries an object: not JSON, and not to be gathered before it is known to be wanted. */
export const OBJECT_TYPE = 'application/vnd.holdfast.object';

export type ObjectToStore = {
  readonly session: string;
  readonly key: string;
  readonly lengthBytes: number;
  /** Hex. */
  readonly sha256: string;
};

export type LogObjectToStore = Omit<ObjectToStore, 'session'>;

export type StoreDoor = {
  put(object: ObjectToStore): Promise<StoreRequest>;
  putLog(object: LogObjectToStore): StoreRequest;
  get(key: string, offset: number, length: number): StoreRequest;
};

export type ReadSecret = { readonly tenantId: string; readonly key: string; readonly offset: number; readonly length: number };
export type WriteSecret = LogObjectToStore & { readonly tenantId: string };

export type DoorOptions = { readonly catalog: Catalog; readonly now: () => Date; readonly random: (bytes: number) => Uint8Array };

export class StoreDoors {
  readonly #options: DoorOptions;
  readonly #secretKey = randomBytes(32);

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  of(tenantId: string, place: TenantPlace): StoreDoor {
    const location = parseLocation(place.location);
    if (location.kind === 'directory') return this.#directory(tenantId);
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION } = place.environment;
    if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY)
      throw new Fault('STORE_DENIED', `There are no credentials for ${place.location}`);
    const region = AWS_REGION || AWS_DEFAULT_REGION;
    const grants = new S3Grants({
      location,
      credentials: {
        accessKeyId: AWS_ACCESS_KEY_ID,
        secretAccessKey: AWS_SECRET_ACCESS_KEY,
        ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
      },
      ...(region ? { region } : {}),
      now: this.#options.now,
    });
    const toMessage = ({ expiresAt, ...request }: ReturnType<S3Grants['get']>): StoreRequest => ({
      ...request,
      headers: { ...request.headers },
      expiresAt: instantOf(expiresAt),
    });
    return {
      put: async ({ key, lengthBytes, sha256 }) => toMessage(grants.put(key, lengthBytes, sha256)),
      putLog: ({ key, lengthBytes, sha256 }) => toMessage(grants.put(key, lengthBytes, sha256)),
      get: (key, offset, length) => toMessage(grants.get(key, offset, length)),
    };
  }

  /** What a secret for reading stands for. GRANT_REFUSED. */
  openReadSecret(secret: string): ReadSecret {
    const [tenantId, key, offset, length] = this.#openSecret('get', secret) as [string, string, number, number];
    return { tenantId, key, offset, length };
  }

  /** What a secret for writing an object of a log stands for. GRANT_REFUSED. */
  openWriteSecret(secret: string): WriteSecret {
    const [tenantId, key, lengthBytes, sha256] = this.#openSecret('put', secret) as [string, string, number, string];
    return { tenantId, key, lengthBytes, sha256 };
  }

  #secretOf(method: 'get' | 'put', facts: readonly (string | number)[], expiresAt: Date): string {
    const payload = Buffer.from(JSON.stringify([method, expiresAt.getTime(), ...facts])).toString('base64url');
    return `${payload}.${this.#mac(payload).toString('base64url')}`;
  }

  #openSecret(method: 'get' | 'put', secret: string): readonly unknown[] {
    const [payload = '', mac = ''] = secret.split('.');
    const right = this.#mac(payload);
    const given = Buffer.from(mac, 'base64url');
    if (given.length !== right.length || !timingSafeEqual(given, right))
      throw new Fault('GRANT_REFUSED', 'This grant is not one of this service, or from before its restart');
    const [allowed, expiresMs, ...facts] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [
      string,
      number,
      ...unknown[],
    ];
    if (allowed !== method) throw new Fault('GRANT_REFUSED', 'This grant is for another request');
    if (expiresMs < this.#options.now().getTime()) throw new Fault('GRANT_REFUSED', 'This grant is over');
    return facts;
  }

  #directory(tenantId: string): StoreDoor {
    const { catalog, now, random } = this.#options;
    const expiry = () => new Date(now().getTime() + LIFE_MS);
    return {
      put: async (object) => {
        const secret = Buffer.from(random(32)).toString('base64url');
        const expiresAt = instantOf(expiry());
        await catalog.sessions.addGrants([{ ...object, digest: digestOfSecret(secret), expiresAt }]);
        return { method: 'PUT', url: SESSION_PATHS.store(secret), headers: { 'content-type': OBJECT_TYPE }, expiresAt };
      },
      putLog: ({ key, lengthBytes, sha256 }) => {
        const expiresAt = expiry();
        const url = SESSION_PATHS.storeLog(this.#secretOf('put', [tenantId, key, lengthBytes, sha256], expiresAt));
        return { method: 'PUT', url, headers: { 'content-type': OBJECT_TYPE }, expiresAt: instantOf(expiresAt) };
      },
      get: (key, offset, length) => {
        const expiresAt = expiry();
        const url = SESSION_PATHS.storeRead(this.#secretOf('get', [tenantId, key, offset, length], expiresAt));
        return { method: 'GET', url, headers: {}, expiresAt: instantOf(expiresAt) };
      },
    };
  }

  #mac(payload: string): Buffer {
    return createHmac('sha256', this.#secretKey).update(payload).digest();
  }
}

export function digestOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
