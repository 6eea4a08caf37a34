// Limits of the API, each with its unit. A test or an installation overrides what it needs.

import { KIB } from '../base/units.ts';

export type ApiConfig = {
  readonly version: string;
  readonly bodyBytesMax: number;
  /** For a request to arrive completely. */
  readonly requestTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  /** Of routes that are long by what they do. */
  readonly longHandlerTimeoutMs: number;
  /** Requests of one principal (or, before it is known, one address) in each window. */
  readonly rate: { readonly requestsMax: number; readonly windowMs: number };
  readonly streams: {
    readonly totalMax: number;
    readonly perPrincipalMax: number;
    readonly pollMs: number;
    readonly heartbeatMs: number;
    /** Then the client comes back with Last-Event-ID, and is authorised anew. */
    readonly lifeMs: number;
  };
  /** Addresses of reverse proxies whose X-Forwarded-For counts. */
  readonly trustedProxies: readonly string[];
  readonly lastUsedFlushMs: number;
  /** From the approval of a tenant's erasure to its beginning: for as long it can be taken back. */
  readonly eraseAfterMs: number;
  /** Assets with metrics of their own; what is more is only counted. */
  readonly metricAssetsMax: number;
};

export const API_CONFIG_DEFAULT: ApiConfig = {
  version: '0.0.0',
  bodyBytesMax: 256 * KIB,
  requestTimeoutMs: 60_000,
  handlerTimeoutMs: 30_000,
  longHandlerTimeoutMs: 600_000,
  rate: { requestsMax: 1200, windowMs: 60_000 },
  streams: { totalMax: 500, perPrincipalMax: 10, pollMs: 1000, heartbeatMs: 15_000, lifeMs: 600_000 },
  trustedProxies: [],
  lastUsedFlushMs: 30_000,
  eraseAfterMs: 30 * 24 * 60 * 60 * 1000,
  metricAssetsMax: 2000,
};
