// The log of the asset of a run, through the service: what captures into a repository, or reads a log from one, does so with this in the
// same way. Only what belongs to that log is there; the catalogue of the log is the one register.

import { createHash } from 'node:crypto';
import { Fault, isFault } from '../base/faults.ts';
import type { RepositoryParameters } from '../format/repository-object.ts';
import {
  BeginLogAnswer,
  LOG_PATHS,
  LogListAnswer,
  type LogNoteMessage,
  LogPutAnswer,
  LogReadAnswer,
  LogRegisterAnswer,
  LogSizesAnswer,
  LogSwapAnswer,
  type LogVerb,
} from '../protocol/log-messages.ts';
import { OutcomeAnswer } from '../protocol/session-messages.ts';
import type { Keyring } from '../repository/keyring.ts';
import { SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import type { ByteRange, CallOptions, ListedObject, ObjectStore, RegisterValue, SwapResult } from '../store/object-store.ts';
import { KeyReceiver } from './received-keys.ts';
import { RemoteKeys } from './remote-keys.ts';
import type { ServiceClient } from './service-client.ts';
import type { StoreClient } from './store-client.ts';

const GRANT_ATTEMPTS_MAX = 5;
const LOG_REGISTERS = 'logs/';

export type RemoteLogOptions = {
  readonly client: ServiceClient;
  readonly store: StoreClient;
  readonly runId: string;
  readonly fence: number;
  readonly signal: AbortSignal;
};

export class RemoteLog {
  readonly parameters: RepositoryParameters;
  readonly keyring: Keyring;
  /** Of its own epochs, a run that captures has the keys itself. */
  readonly keys: RemoteKeys;
  readonly store: ObjectStore;
  readonly #options: RemoteLogOptions;

  private constructor(options: RemoteLogOptions, receiver: KeyReceiver, begun: BeginLogAnswer) {
    const { client, runId, fence, signal } = options;
    const { parameters, keyring } = receiver.open(begun.repository, begun.keys, `${runId} ${fence}`);
    this.#options = options;
    this.parameters = parameters;
    this.keyring = keyring;
    this.keys = new RemoteKeys(keyring, { client, path: this.#path('keys'), receiver, parameters, signal });
    this.store = new RemoteLogStore(options, (verb) => this.#path(verb));
  }

  /** RUN_FENCED, QUOTA_EXCEEDED. */
  static async open(options: RemoteLogOptions): Promise<RemoteLog> {
    const { client, runId, fence, signal } = options;
    const receiver = new KeyReceiver();
    const begun = await client.say(LOG_PATHS.begin(runId), { fence, boxKey: receiver.boxKey }, BeginLogAnswer, signal);
    return new RemoteLog(options, receiver, begun);
  }

  async note(note: LogNoteMessage, signal: AbortSignal): Promise<void> {
    await this.#options.client.say(this.#path('note'), note, OutcomeAnswer, signal);
  }

  #path(verb: LogVerb): string {
    return LOG_PATHS.of(this.#options.runId, this.#options.fence, verb);
  }
}

class RemoteLogStore implements ObjectStore {
  readonly location = 'the service';
  readonly #options: RemoteLogOptions;
  readonly #path: (verb: LogVerb) => string;

  constructor(options: RemoteLogOptions, path: (verb: LogVerb) => string) {
    this.#options = options;
    this.#path = path;
  }

  async put(key: string, bytes: Uint8Array, options?: CallOptions): Promise<'created' | 'exists'> {
    const { client, store } = this.#options;
    const signal = options?.signal ?? this.#options.signal;
    if (key.startsWith(SESSION_KEYS_PREFIX)) {
      const [pairId = '', epoch = ''] = key.slice(SESSION_KEYS_PREFIX.length).split('/');
      await client.say(this.#path('key'), { epoch, pairId, sealed: Buffer.from(bytes).toString('base64') }, OutcomeAnswer, signal);
      return 'created';
    }
    const message = { key, lengthBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
    return this.#granted(async () => {
      const { grant } = await client.say(this.#path('put'), message, LogPutAnswer, signal);
      return store.put(grant, bytes, signal);
    }, signal);
  }

  async get(key: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    const { client, store } = this.#options;
    const signal = options?.signal ?? this.#options.signal;
    const message = { key, offset: range?.offset ?? 0, ...(range === undefined ? {} : { length: range.length }) };
    return this.#granted(async () => {
      const { read } = await client.say(this.#path('reads'), message, LogReadAnswer, signal);
      if (read === null) throw new Fault('STORE_NOT_FOUND', `There is no object ${key}`);
      return store.get(read.request, read.length, signal);
    }, signal);
  }

  async size(key: string, options?: CallOptions): Promise<number | undefined> {
    const { sizes } = await this.#options.client.say(
      this.#path('sizes'),
      { keys: [key] },
      LogSizesAnswer,
      options?.signal ?? this.#options.signal,
    );
    const [size] = sizes;
    if (size === undefined) throw new Fault('SERVICE_CORRUPT_ANSWER', `The service did not say whether there is an object ${key}`);
    return size ?? undefined;
  }

  async delete(key: string, options?: CallOptions): Promise<void> {
    const signal = options?.signal ?? this.#options.signal;
    await this.#options.client.say(this.#path('delete'), { keys: [key] }, OutcomeAnswer, signal);
  }

  /** Other registers are the service's: it looks at them itself. */
  async read(key: string, options?: CallOptions): Promise<RegisterValue | undefined> {
    if (!key.startsWith(LOG_REGISTERS)) return undefined;
    const signal = options?.signal ?? this.#options.signal;
    const { value } = await this.#options.client.say(this.#path('register'), {}, LogRegisterAnswer, signal);
    return value === null ? undefined : { bytes: Buffer.from(value.bytes, 'base64'), version: value.version };
  }

  async swap(key: string, bytes: Uint8Array, version: string | undefined, options?: CallOptions): Promise<SwapResult> {
    if (!key.startsWith(LOG_REGISTERS)) return refuse();
    const signal = options?.signal ?? this.#options.signal;
    const message = { bytes: Buffer.from(bytes).toString('base64'), ...(version === undefined ? {} : { version }) };
    const { version: swapped } = await this.#options.client.say(this.#path('swap'), message, LogSwapAnswer, signal);
    return swapped === undefined ? 'conflict' : { version: swapped };
  }

  async *list(prefix: string, options?: CallOptions): AsyncIterable<readonly ListedObject[]> {
    const signal = options?.signal ?? this.#options.signal;
    const { objects } = await this.#options.client.say(this.#path('list'), { prefix }, LogListAnswer, signal);
    yield objects.map(([name, sizeBytes]) => ({ key: `${prefix}${name}`, sizeBytes }));
  }

  probe(): Promise<never> {
    return refuse();
  }

  async close(): Promise<void> {}

  /** A grant is good for a short time, and only as long as the service lives that gave it. */
  async #granted<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#options.client.repeat(work, signal);
      } catch (error) {
        if (!isFault(error, 'GRANT_REFUSED') || attempt >= GRANT_ATTEMPTS_MAX) throw error;
      }
    }
  }
}

async function refuse(): Promise<never> {
  throw new Fault('STORE_DENIED', 'An agent touches only the log of its asset');
}
