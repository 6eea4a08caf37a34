// What an agent and the service say to each other while a backup or a restore runs. The service keeps the session, the index and the
// credentials; the agent gets a key that writes one asset (or reads one snapshot) and single requests to the store, signed for it.
//
// Every message may be said twice: beginning for the same run and fence answers the same session, grants of what is stored answer 'exists',
// checkpoints and commits are done once. Unknown keys are dropped (read-message.ts).

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Instant } from '../model/instant.ts';

export const SESSION_PATHS = {
  beginSession: (runId: string): string => `/agent/v1/runs/${runId}/session`,
  beginReading: (runId: string): string => `/agent/v1/runs/${runId}/reading`,
  ofSession: (session: string, verb: SessionVerb): string => `/agent/v1/sessions/${session}/${verb}`,
  ofReading: (reading: string, verb: ReadingVerb): string => `/agent/v1/readings/${reading}/${verb}`,
  /** One object to be stored. */
  store: (secret: string): string => `/agent/v1/store/${secret}`,
  /** One object of a log to be stored: the secret says by itself what it is good for. */
  storeLog: (secret: string): string => `/agent/v1/store?of=${secret}`,
  /** A range to be read. */
  storeRead: (secret: string): string => `/agent/v1/store?of=${secret}`,
} as const;

export type SessionVerb =
  | 'presence'
  | 'places'
  | 'reads'
  | 'refresh'
  | 'key'
  | 'grants'
  | 'indexes'
  | 'checkpoint'
  | 'commit'
  | 'abandon';
export type ReadingVerb = 'places' | 'reads' | 'keys' | 'refresh' | 'end';

export const PRESENCE_IDS_MAX = 8192;
export const PLACE_IDS_MAX = 4096;
export const RANGES_MAX = 64;
export const GRANTS_MAX = 16;
export const SESSION_KEYS_MAX = 256;
/** Of an index object that an agent sends. */
export const INDEX_BYTES_MAX = 64 * 1024 * 1024;

const Fence = Type.Integer({ minimum: 1 });
const Base64 = (bytesMax: number) => Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', maxLength: Math.ceil(bytesMax / 3) * 4 + 4 });
const SessionName = Type.String({ pattern: '^[0-9a-f]{20}$' });
const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const BlockName = Type.String({ pattern: '^[0-9a-f]{32}$' });

/** A key pair for this message alone, so that keys travel sealed whatever lies between. X25519, 32 bytes. */
const BoxKey = Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' });

/** A request to the store that the service has signed: to be sent exactly so. */
export const StoreRequest = Type.Object({
  method: Type.Union([Type.Literal('GET'), Type.Literal('PUT')]),
  /** Absolute; or a path of the service itself. */
  url: Type.String({ maxLength: 4000 }),
  headers: Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 4000 })),
  expiresAt: Instant,
});
export type StoreRequest = Static<typeof StoreRequest>;

/** Keys for one asset: the payload of a writer's key, sealed with a key that is sealed to `boxKey`. */
export const SealedKeys = Type.Object({
  keyId: Type.String({ maxLength: 200 }),
  box: Base64(200),
  nonce: Base64(12),
  sealed: Base64(64 * 1024),
});
export type SealedKeys = Static<typeof SealedKeys>;

/** A snapshot as its register holds it. */
const CommittedSnapshot = Type.Object({
  session: SessionName,
  assetId: BlockName,
  sealed: Base64(4 * 1024 * 1024),
  signature: Base64(1024),
  keyId: Type.String({ maxLength: 255 }),
});
export type CommittedSnapshot = Static<typeof CommittedSnapshot>;

export const BeginSessionRequest = Type.Object({
  fence: Fence,
  type: Type.Union([Type.Literal('files'), Type.Literal('volume'), Type.Literal('stream')]),
  boxKey: BoxKey,
});
export type BeginSessionRequest = Static<typeof BeginSessionRequest>;

export const BeginSessionAnswer = Type.Object({
  session: SessionName,
  /** The object `repository`. */
  repository: Base64(64 * 1024),
  keys: SealedKeys,
  parent: Type.Optional(CommittedSnapshot),
  /** No chunk is known at all: there is nothing to ask for. */
  isNothingKnown: Type.Optional(Type.Boolean()),
});
export type BeginSessionAnswer = Static<typeof BeginSessionAnswer>;

/** The session's data key, sealed to the tenant: before any pack. */
export const SessionKeyRequest = Type.Object({ pairId: Type.String({ pattern: '^[0-9a-f]{1,64}$' }), sealed: Base64(1024) });
export type SessionKeyRequest = Static<typeof SessionKeyRequest>;

export const PackToStore = Type.Object({
  pack: Digest,
  kind: Type.Union([Type.Literal('data'), Type.Literal('metadata')]),
  firstBlock: BlockName,
  lengthBytes: Type.Integer({ minimum: 1, maximum: 256 * 1024 * 1024 }),
  sha256: Digest,
});
export type PackToStore = Static<typeof PackToStore>;

export const GrantsRequest = Type.Object({ packs: Type.Array(PackToStore, { minItems: 1, maxItems: GRANTS_MAX }) });
export type GrantsRequest = Static<typeof GrantsRequest>;

/** In the order of the packs. */
export const GrantsAnswer = Type.Object({ grants: Type.Array(StoreRequest, { maxItems: GRANTS_MAX }) });
export type GrantsAnswer = Static<typeof GrantsAnswer>;

export const IndexAnswer = Type.Object({ id: Digest });
export type IndexAnswer = Static<typeof IndexAnswer>;

const IndexIds = Type.Array(Digest, { maxItems: 10_000 });
export const CheckpointRequest = Type.Object({ indexes: IndexIds });
export type CheckpointRequest = Static<typeof CheckpointRequest>;

export const CommitRequest = Type.Object({
  snapshot: Type.Object({
    sealed: Base64(4 * 1024 * 1024),
    signature: Base64(1024),
    keyId: Type.String({ maxLength: 255 }),
  }),
  indexes: IndexIds,
});
export type CommitRequest = Static<typeof CommitRequest>;

/** `committed`: it has happened, now or before. */
export const OutcomeAnswer = Type.Object({
  outcome: Type.Union([Type.Literal('done'), Type.Literal('committed'), Type.Literal('abandoned')]),
});
export type OutcomeAnswer = Static<typeof OutcomeAnswer>;

/** Each range: ids (16 bytes each) of blocks that follow each other in one pack. */
export const ReadsRequest = Type.Object({ ranges: Type.Array(Base64(64 * 1024), { minItems: 1, maxItems: RANGES_MAX }) });
export type ReadsRequest = Static<typeof ReadsRequest>;

/** In the order of the ranges; null where the blocks do not lie so any more: ask for their places again. */
export const ReadsAnswer = Type.Object({
  reads: Type.Array(
    Type.Union([
      Type.Null(),
      Type.Object({
        pack: Digest,
        offset: Type.Integer({ minimum: 0 }),
        length: Type.Integer({ minimum: 1 }),
        request: StoreRequest,
      }),
    ]),
    { maxItems: RANGES_MAX },
  ),
});
export type ReadsAnswer = Static<typeof ReadsAnswer>;

export const BeginReadingRequest = Type.Object({ fence: Fence, boxKey: BoxKey });
export type BeginReadingRequest = Static<typeof BeginReadingRequest>;

export const BeginReadingAnswer = Type.Object({
  reading: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  repository: Base64(64 * 1024),
  keys: SealedKeys,
  snapshot: CommittedSnapshot,
});
export type BeginReadingAnswer = Static<typeof BeginReadingAnswer>;

export const SessionKeysRequest = Type.Object({
  sessions: Type.Array(SessionName, { minItems: 1, maxItems: SESSION_KEYS_MAX }),
  boxKey: BoxKey,
});
export type SessionKeysRequest = Static<typeof SessionKeysRequest>;

/** In the order of the sessions: data keys, each sealed to `boxKey`. */
export const SessionKeysAnswer = Type.Object({ boxes: Type.Array(Base64(200), { maxItems: SESSION_KEYS_MAX }) });
export type SessionKeysAnswer = Static<typeof SessionKeysAnswer>;
