// Restores to one place take turns: of two that wrote there at once each would say that it succeeded, and neither would be what is there. The one
// that was asked for later begins when the earlier one is over.

import type { ClaimedRun } from '../../src/protocol/agent-messages.ts';
import { liesIn, whereItLies } from './restore-place.ts';
import type { RunOutcome, RunProgress, StopCode } from './run-messages.ts';
import { outcomeOfError, stopFault } from './run-outcome.ts';
import type { RunningRun, StartRun } from './run-process.ts';

export function restoresInTurn(start: StartRun): StartRun {
  const places = new Map<RunningRun, string>();
  return (claimed) => {
    const place = placeOf(claimed);
    if (place === undefined) return start(claimed);
    const before = [...places].filter(([, other]) => liesIn(place, other) || liesIn(other, place)).map(([run]) => run);
    const run = before.length === 0 ? start(claimed) : new WaitingRun(before, () => start(claimed));
    places.set(run, place);
    void run.done.then(() => places.delete(run));
    return run;
  };
}

/** Undefined: it writes nowhere, or is going to be refused. */
function placeOf({ run: { kind, parameters } }: ClaimedRun): string | undefined {
  if (kind !== 'restore' || typeof parameters['target'] !== 'string') return undefined;
  try {
    return whereItLies(parameters['target']);
  } catch {
    return undefined;
  }
}

class WaitingRun implements RunningRun {
  readonly done: Promise<RunOutcome>;
  readonly #woken = Promise.withResolvers<void>();
  #stopped: StopCode | undefined;
  #running: RunningRun | undefined;

  constructor(before: readonly RunningRun[], start: () => RunningRun) {
    const over = Promise.all(before.map(({ done }) => done));
    this.done = Promise.race([over, this.#woken.promise]).then(() => {
      if (this.#stopped !== undefined) return outcomeOfError(undefined, AbortSignal.abort(stopFault(this.#stopped)));
      this.#running = start();
      return this.#running.done;
    });
  }

  get progress(): RunProgress | undefined {
    return this.#running === undefined ? { phase: 'waiting', bytesDone: 0 } : this.#running.progress;
  }

  stop(code: StopCode): void {
    this.#stopped ??= code;
    this.#woken.resolve();
    this.#running?.stop(code);
  }

  kill(): void {
    if (this.#running === undefined) this.stop('AGENT_INTERRUPTED');
    else this.#running.kill();
  }
}
