// Who waits for work, and telling them. In this process only: with several control planes a poll also looks by itself every few seconds.

/** Polls of one agent that may wait at once: more than one only when processes share an identity, or after a lost connection. */
const WAITING_PER_AGENT_MAX = 4;
/** Agents of which it is remembered when they were woken; forgetting costs one of them a few seconds. */
const AGENTS_MAX = 100_000;

export class AgentWaker {
  readonly #waiting = new Map<string, Set<() => void>>();
  /** The last `wakes` of each agent. */
  readonly #woken = new Map<string, number>();
  #wakes = 0;
  #isClosed = false;

  /** Something was queued for the agent, or a run of it was canceled, or it was revoked: its polls look now. */
  wake(agentId: string): void {
    this.#wakes++;
    if (this.#woken.size >= AGENTS_MAX) this.#woken.clear();
    this.#woken.set(agentId, this.#wakes);
    for (const release of this.#waiting.get(agentId) ?? []) release();
  }

  /** Grows with every `wake`: what was known before may be old. */
  get wakes(): number {
    return this.#wakes;
  }

  /** Polls that wait, for metrics. */
  get count(): number {
    let count = 0;
    for (const { size } of this.#waiting.values()) count += size;
    return count;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the agent is woken (or was, after `wakes` was `since`), the time is over, the signal fires or the service stops. */
  wait(agentId: string, durationMs: number, signal: AbortSignal, since: number): Promise<void> {
    if (this.#isClosed || signal.aborted || (this.#woken.get(agentId) ?? 0) > since) return Promise.resolve();
    const waiting = this.#waiting.get(agentId) ?? new Set();
    this.#waiting.set(agentId, waiting);
    return new Promise((resolve) => {
      const release = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', release);
        waiting.delete(release);
        if (waiting.size === 0 && this.#waiting.get(agentId) === waiting) this.#waiting.delete(agentId);
        resolve();
      };
      const timer = setTimeout(release, durationMs);
      signal.addEventListener('abort', release, { once: true });
      waiting.add(release);
      if (waiting.size > WAITING_PER_AGENT_MAX) for (const oldest of waiting) return void oldest();
    });
  }

  /** Every poll is answered now, and no later one waits. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of [...this.#waiting.values()]) for (const release of [...waiting]) release();
  }
}
