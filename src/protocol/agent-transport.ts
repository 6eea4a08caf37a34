// How an agent speaks to its service: the port between what is said (sessions, presence, grants, polls) and how it is carried and signed.
//
// One call is one attempt: it is signed afresh, with a time and a nonce of its own. Repeating is the caller's business, and every message is
// made so that repeating it is safe.

export type AgentMethod = 'GET' | 'POST' | 'PUT';

export type AgentCallOptions = {
  readonly signal?: AbortSignal;
  /** Of the body; default application/json for POST. */
  readonly contentType?: string;
  /** From the first byte sent to the last byte received; default is the transport's. */
  readonly timeoutMs?: number;
  /** A longer answer is refused; default 16 MiB. */
  readonly answerBytesMax?: number;
};

export type AgentAnswer = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

export interface AgentTransport {
  /** `path` begins with "/" and may have a query. Any status is an answer. Throws SERVICE_UNREACHABLE or SERVICE_TIMEOUT when there is none,
   *  SERVICE_CORRUPT_ANSWER when it is cut or too long, and the signal's reason. */
  request(method: AgentMethod, path: string, body: Uint8Array | undefined, options?: AgentCallOptions): Promise<AgentAnswer>;
  /** Frees sockets. */
  close(): Promise<void>;
}
