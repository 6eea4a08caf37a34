// What an agent and the service say to each other about an asset's log: while a run captures it, or while one brings the asset back by it.
//
// Nothing of it is kept by the service between two messages: each names the run and its fence, so a service that restarts has lost nothing.
// Every message may be said twice. The agent gets a key that writes one asset's log, and single requests to the store; it can add to the
// catalogue of the log and take nothing out of it, and delete ranges only where their whole section is stored.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { SealedKeys, StoreRequest } from './session-messages.ts';

export type LogVerb = 'list' | 'sizes' | 'reads' | 'put' | 'key' | 'register' | 'swap' | 'delete' | 'keys' | 'note';

export const LOG_PATHS = {
  begin: (runId: string): string => `/agent/v1/runs/${runId}/log`,
  of: (runId: string, fence: number | string, verb: LogVerb): string => `/agent/v1/runs/${runId}/log/${fence}/${verb}`,
} as const;

export const LOG_KEYS_MAX = 64;
export const LOG_LISTED_MAX = 200_000;
export const LOG_OBJECT_BYTES_MAX = 24 * 1024 * 1024;
const REGISTER_BASE64_MAX = 12 * 1024 * 1024;

const Base64 = (lengthMax: number) => Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', maxLength: lengthMax });
const Fence = Type.Integer({ minimum: 1 });
const BoxKey = Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' });
/** "log/<asset>/<incarnation>/<epoch>/<timeline>/<position>", and ".<number>" for a range. */
const LogKey = Type.String({
  pattern: '^log/[0-9a-f]{32}/[0-9a-f]{16}/[0-9a-f]{20}/[0-9a-f]{8}/[0-9a-f]{16}(\\.[0-9]{6})?$',
});

export const BeginLogRequest = Type.Object({ fence: Fence, boxKey: BoxKey });
export type BeginLogRequest = Static<typeof BeginLogRequest>;

export const BeginLogAnswer = Type.Object({
  /** The object `repository`. */
  repository: Base64(128 * 1024),
  /** For the context "<run> <fence>". */
  keys: SealedKeys,
});
export type BeginLogAnswer = Static<typeof BeginLogAnswer>;

/** Of one epoch: "log/<asset>/<incarnation>/<epoch>/<timeline>/". */
export const LogListRequest = Type.Object({
  prefix: Type.String({ pattern: '^log/[0-9a-f]{32}/[0-9a-f]{16}/[0-9a-f]{20}/[0-9a-f]{8}/$' }),
});
export type LogListRequest = Static<typeof LogListRequest>;

/** Names without the prefix, and sizes, in any order. May be stale, and may miss what is there. */
export const LogListAnswer = Type.Object({
  objects: Type.Array(Type.Tuple([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0 })]), { maxItems: LOG_LISTED_MAX }),
});
export type LogListAnswer = Static<typeof LogListAnswer>;

export const LogKeysRequest = Type.Object({ keys: Type.Array(LogKey, { minItems: 1, maxItems: LOG_KEYS_MAX }) });
export type LogKeysRequest = Static<typeof LogKeysRequest>;

/** In the order of the keys; null where the store definitely has none. */
export const LogSizesAnswer = Type.Object({
  sizes: Type.Array(Type.Union([Type.Null(), Type.Integer({ minimum: 0 })]), { maxItems: LOG_KEYS_MAX }),
});
export type LogSizesAnswer = Static<typeof LogSizesAnswer>;

/** Without a length: to the object's end. */
export const LogReadRequest = Type.Object({
  key: LogKey,
  offset: Type.Integer({ minimum: 0 }),
  length: Type.Optional(Type.Integer({ minimum: 1 })),
});
export type LogReadRequest = Static<typeof LogReadRequest>;

/** `length`: cut at the object's end. Null when the store definitely has none. */
export const LogReadAnswer = Type.Object({
  read: Type.Union([Type.Null(), Type.Object({ length: Type.Integer({ minimum: 0 }), request: StoreRequest })]),
});
export type LogReadAnswer = Static<typeof LogReadAnswer>;

export const LogPutRequest = Type.Object({
  key: LogKey,
  lengthBytes: Type.Integer({ minimum: 1, maximum: LOG_OBJECT_BYTES_MAX }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
});
export type LogPutRequest = Static<typeof LogPutRequest>;

export const LogPutAnswer = Type.Object({ grant: StoreRequest });
export type LogPutAnswer = Static<typeof LogPutAnswer>;

/** The data key of an epoch, sealed to the tenant: before anything of the epoch. */
export const LogKeyRequest = Type.Object({
  epoch: Type.String({ pattern: '^[0-9a-f]{20}$' }),
  pairId: Type.String({ pattern: '^[0-9a-f]{1,64}$' }),
  sealed: Base64(2048),
});
export type LogKeyRequest = Static<typeof LogKeyRequest>;

const RegisterVersion = Type.String({ maxLength: 1000 });
export const LogRegisterAnswer = Type.Object({
  value: Type.Union([Type.Null(), Type.Object({ bytes: Base64(REGISTER_BASE64_MAX), version: RegisterVersion })]),
});
export type LogRegisterAnswer = Static<typeof LogRegisterAnswer>;

export const LogSwapRequest = Type.Object({ bytes: Base64(REGISTER_BASE64_MAX), version: Type.Optional(RegisterVersion) });
export type LogSwapRequest = Static<typeof LogSwapRequest>;

/** Without a version: another value was there. */
export const LogSwapAnswer = Type.Object({ version: Type.Optional(RegisterVersion) });
export type LogSwapAnswer = Static<typeof LogSwapAnswer>;

const Text = (maxLength: number) => Type.String({ maxLength });

/** What a capture tells of: it streams; log is lost; a base backup is needed; what a server lacks; what keeps it from going on. */
export const LogNoteMessage = Type.Union([
  Type.Object({ kind: Type.Literal('streaming'), timeline: Type.Integer({ minimum: 0 }), position: Text(40) }),
  Type.Object({
    kind: Type.Literal('gap'),
    timeline: Type.Integer({ minimum: 0 }),
    from: Text(40),
    to: Text(40),
    cause: Text(2000),
  }),
  Type.Object({ kind: Type.Literal('base-needed'), why: Text(500) }),
  Type.Object({ kind: Type.Literal('timeline'), timeline: Type.Integer({ minimum: 0 }), position: Text(40) }),
  Type.Object({ kind: Type.Literal('trouble'), code: Text(60), message: Text(2000), hint: Text(1000) }),
  Type.Object({
    kind: Type.Literal('preflight'),
    checks: Type.Array(
      Type.Object({
        name: Text(100),
        state: Type.Union([Type.Literal('warning'), Type.Literal('missing')]),
        found: Text(500),
        why: Text(1000),
        remedy: Text(1000),
      }),
      { maxItems: 50 },
    ),
  }),
]);
export type LogNoteMessage = Static<typeof LogNoteMessage>;
