// Who waits for work, and telling them. In this process only: with several control planes a poll also looks by itself every few seconds.

/** Polls of one agent that may wait at once: more than one only when processes share an identity, or after a lost connection. */
const WAITING_PER_AGENT_MAX = 4;

export class AgentWaker {
  readonly #waiting = new Map<string, Set<() => void>>();
  #isClosed = false;

  /** Something was queued for the agent, or a run of it was canceled, or it was revoked: its polls look now. */
  wake(agentId: string): void {
    for (const release of this.#waiting.get(agentId) ?? []) release();
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

  /** Resolves when the agent is woken, the time is over, the signal fires or the service stops. */
  wait(agentId: string, durationMs: number, signal: AbortSignal): Promise<void> {
    if (this.#isClosed || signal.aborted) return Promise.resolve();
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
