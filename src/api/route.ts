// What a route is: data. Registration, validation, authorisation, idempotency, the OpenAPI document, the typed client and the tests of
// isolation are all made from the table of routes (route-table.ts), so a new route cannot forget any of them.
//
// A route that changes something does so in `call.change`: one transaction that holds the change, its line in the audit and, for a request
// with an Idempotency-Key, the stored answer. A crash leaves all three or none.

import type { Logger } from 'pino';
import type { Static, TObject, TProperties, TSchema } from 'typebox';
import { Type } from '../base/type.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { Principal, Token } from '../model/principal.ts';
import type { Tenant } from '../model/tenant.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import type { LogWindows } from '../scheduler/log-windows.ts';
import type { Login } from '../trust/login.ts';
import type { Action } from '../trust/roles.ts';
import type { AuditProver } from './audit-prover.ts';
import type { ApiConfig } from './config.ts';
import type { CursorSigner } from './cursor.ts';
import type { ApiMetrics } from './metrics.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What routes need of the repositories of tenants. */
export type TenantPlaces = { create(tenant: Tenant): Promise<void> };

export type ApiServices = {
  readonly catalog: Catalog;
  readonly tenants: TenantPlaces;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
  /** Something waits for this agent; undefined: for the service itself. */
  readonly wake: (agentId?: string) => void;
  readonly config: ApiConfig;
  readonly cursors: CursorSigner;
  readonly login: Login;
  readonly metrics: ApiMetrics;
  /** Policies that come with the program: what others extend. */
  readonly shippedPolicies: readonly PolicyDocument[];
  readonly auditProver: AuditProver;
  /** What databases can be brought back to. */
  readonly logs: Pick<LogWindows, 'of' | 'plan'>;
};

export type Answer = {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

export type AuditLine = {
  readonly action: string;
  readonly subject?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** Who it was, where the request itself does not say: at the login. */
  readonly actor?: { readonly name: string; readonly label: string };
};

export type Work = (tables: CatalogTables) => Promise<Answer>;

/** One request, authenticated, authorised and validated. */
export interface Call<Q = unknown, B = unknown> extends ApiServices {
  readonly principal: Principal;
  readonly token: Token;
  /** "person:per_...": who asks. */
  readonly actor: string;
  /** Network address. */
  readonly source: string;
  readonly at: Date;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  /** Of routes below /v1/tenants/{tenant}. */
  readonly tenant: Tenant;
  /** The version of If-Match; undefined: none was sent, or any ("*"). */
  readonly ifMatch: number | undefined;
  /** False: nobody said which version is to be changed. */
  readonly hasIfMatch: boolean;
  /** "If-None-Match: *": nothing is to be replaced. */
  readonly isToBeNew: boolean;
  readonly idempotencyKey: string | undefined;
  /** One transaction: `work`, its audit line (that may depend on the answer), and the stored answer of an idempotent request. `after` runs once it is durable, and again
   *  when the answer is repeated: it has to bear that. */
  change(
    line: AuditLine | ((answer: Answer) => AuditLine),
    work: Work,
    after?: (answer: Answer) => Promise<void> | void,
  ): Promise<Answer>;
}

/** Writes a response by itself, piece by piece. */
export type Streamer = (stream: {
  readonly lastEventId: string | undefined;
  readonly signal: AbortSignal;
  /** Waits while the reader is slow. */
  readonly write: (text: string) => Promise<void>;
}) => Promise<void>;

export type AnswerSchema = {
  readonly description: string;
  readonly schema?: TSchema;
  /** When it is not JSON. */
  readonly media?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

export type RouteDefinition<Q extends TProperties, B extends TSchema> = {
  readonly method: Method;
  /** "/v1/tenants/{tenant}/assets" */
  readonly path: string;
  /** operationId, and the name of the client's function. */
  readonly name: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** 'public': anybody. 'signed-in': every principal, about itself. */
  readonly action: Action | 'public' | 'signed-in';
  readonly query?: Q;
  readonly body?: B;
  /** Also takes the body as text of this type, which becomes { text }. */
  readonly bodyText?: 'application/yaml';
  readonly answers: Readonly<Record<number, AnswerSchema>>;
  /** Takes an Idempotency-Key. 'once': its answer holds a secret, so it is not kept, and a repeated request is refused. */
  readonly isIdempotent?: true | 'once';
  /** Needs If-Match; 'when-there': only for something that exists. */
  readonly isConditional?: true | 'when-there';
  readonly bodyBytesMax?: number;
  /** Goes through all that there is of something that only grows: has `ApiConfig.longHandlerTimeoutMs`. */
  readonly isLong?: true;
  /** Changes something in a tenant that is closed: its erasure, asked for, agreed to or taken back. */
  readonly isForClosed?: true;
  readonly handle: (call: Call<Static<TObject<Q>>, Static<B>>) => Promise<Answer>;
  /** Instead of a body: server-sent events. Begins after `handle` answered 200. */
  readonly stream?: (call: Call<Static<TObject<Q>>, Static<B>>) => Streamer;
};

export type Route = Omit<RouteDefinition<TProperties, TSchema>, 'query' | 'handle' | 'stream'> & {
  readonly querySchema: TObject;
  readonly handle: (call: Call) => Promise<Answer>;
  readonly stream?: (call: Call) => Streamer;
};

/** Types of query and body come from their schemas. */
// biome-ignore lint/complexity/noBannedTypes: no properties is what an absent query has
export function route<Q extends TProperties = {}, B extends TSchema = TSchema>(definition: RouteDefinition<Q, B>): Route {
  const { query, ...rest } = definition;
  return {
    ...(rest as unknown as Omit<Route, 'querySchema'>),
    querySchema: Type.Object(query ?? {}, { additionalProperties: false }),
  };
}
