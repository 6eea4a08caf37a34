// Interleaves agents by a seed: each step of an agent waits for its turn, and whoever is next is drawn. Between two steps everything that
// can run has run, so that a seed gives the same run every time. Agents fall asleep between two steps, some for long, and can be killed.

type Waiting = { readonly agent: string; readonly go: () => void; readonly wakesAt: number };

const SLEEP_CHANCE = 0.04;
const SLEEP_STEPS_MAX = 400;

export class Scheduler {
  readonly random: () => number;
  steps = 0;
  readonly #waiting: Waiting[] = [];
  readonly #dead = new Set<string>();
  readonly #running = new Set<string>();
  #failure: { readonly error: unknown } | undefined;

  constructor(random: () => number) {
    this.random = random;
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!;
  }

  isDead(agent: string): boolean {
    return this.#dead.has(agent);
  }

  /** Starts an agent. What it throws ends the run, unless it is dead. */
  spawn(agent: string, run: () => Promise<void>): void {
    this.#running.add(agent);
    run().then(
      () => this.#running.delete(agent),
      (error: unknown) => {
        this.#running.delete(agent);
        if (!this.#dead.has(agent)) this.#failure ??= { error };
      },
    );
  }

  /** Resolves when it is this agent's turn; never, when it is dead. */
  turn(agent: string): Promise<void> {
    if (this.#dead.has(agent)) return new Promise(() => {});
    const wakesAt = this.chance(SLEEP_CHANCE) ? this.steps + Math.floor(this.random() * SLEEP_STEPS_MAX) : this.steps;
    return new Promise((resolve) => this.#waiting.push({ agent, go: resolve, wakesAt }));
  }

  /** It takes no further step. What it has under way on `turn`s of others is not touched. */
  kill(agent: string): void {
    this.#dead.add(agent);
    this.#running.delete(agent);
  }

  /** Until all agents have ended. `afterStep` is called when everything is at rest again after a step; it ends the run by throwing. */
  async run(afterStep: () => void, stepsMax: number): Promise<void> {
    for (; ; this.steps++) {
      await new Promise(setImmediate);
      afterStep();
      if (this.#failure !== undefined) throw this.#failure.error;
      for (let i = this.#waiting.length - 1; i >= 0; i--) if (this.#dead.has(this.#waiting[i]!.agent)) this.#waiting.splice(i, 1);
      if (this.#waiting.length === 0) {
        if (this.#running.size > 0) throw new Error(`nobody can go on, and ${[...this.#running].join(', ')} did not end`);
        return;
      }
      if (this.steps >= stepsMax) throw new Error(`not at an end after ${stepsMax} steps: ${[...this.#running].join(', ')}`);
      const awake = this.#waiting.filter(({ wakesAt }) => wakesAt <= this.steps);
      const next = this.pick(awake.length > 0 ? awake : this.#waiting);
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      next.go();
    }
  }
}
