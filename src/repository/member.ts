// A session's place among the writers of the head. It joins once, under a name that is never used again; each later change of the head
// that it makes counts one step, in the same swap. So when an answer was lost, the next look at the head tells whether the change is in
// it, even when others have changed the head since.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { Head, ProcessFacts, WriterKind } from '../format/head.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { HeadKeeper } from './head.ts';
import { join, step, writerOf } from './head-changes.ts';
import { hex } from './layout.ts';

const SESSION_BYTES = 10;

export type MemberDetails = { readonly kind: WriterKind; readonly assetId: string | null; readonly process: ProcessFacts };
export type Advanced = { readonly outcome: 'done' | 'stale'; readonly head: Head };
/** `onDone`: called once when it is known that the change is in the head. */
export type StepChange = { readonly apply: (head: Head) => Head | 'stale'; readonly onDone?: () => void };

export class Member {
  readonly heads: HeadKeeper;
  readonly session: string;
  #step = 0;
  /** A change of which it is not known whether it happened. */
  #unsettled: StepChange | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(heads: HeadKeeper, session: string) {
    this.heads = heads;
    this.session = session;
  }

  /** The head that is answered has the session among its writers. */
  static async join(
    heads: HeadKeeper,
    { kind, assetId, process }: MemberDetails,
    options?: CallOptions,
  ): Promise<{ readonly member: Member; readonly head: Head }> {
    // A new name for each attempt: one under which an earlier attempt may have joined, and been thrown out since, is not used again.
    const names = new Set<string>();
    const { head, result } = await heads.change((current) => {
      const joined = current.writers.find(({ session }) => names.has(session));
      if (joined !== undefined) return { result: joined.session };
      const session = hex(heads.ports.random(SESSION_BYTES));
      names.add(session);
      const at = heads.now();
      return {
        next: join(current, {
          session,
          kind,
          generation: current.generation,
          step: 0,
          assetId,
          startedAt: at,
          seenAt: at,
          ...process,
        }),
        result: session,
      };
    }, options);
    return { member: new Member(heads, result), head };
  }

  /** Changes the head, once, while this session is among its writers; SESSION_REVOKED when it is not. Calls wait for each other. */
  advance(change: StepChange, options?: CallOptions): Promise<Advanced> {
    return this.#inTurn(async () => {
      await this.#catchUp(options);
      return this.#advance(change, options);
    });
  }

  /** Finds out whether a change happened whose answer was lost. */
  catchUp(options?: CallOptions): Promise<void> {
    return this.#inTurn(() => this.#catchUp(options));
  }

  async #catchUp(options?: CallOptions): Promise<void> {
    if (this.#unsettled !== undefined) await this.#advance(this.#unsettled, options);
  }

  async #advance(change: StepChange, options?: CallOptions): Promise<Advanced> {
    this.#unsettled = change;
    const { head, result } = await this.heads.change<Advanced['outcome']>((current) => {
      const writer = writerOf(current, this.session);
      if (writer === undefined) {
        this.#unsettled = undefined;
        throw revoked(this.session);
      }
      if (writer.step === this.#step + 1) return { result: 'done' };
      invariant(writer.step === this.#step, 'only the session itself counts its steps');
      const next = change.apply(current);
      return next === 'stale' ? { result: 'stale' } : { next: step(next, this.session, this.heads.now()), result: 'done' };
    }, options);
    this.#unsettled = undefined;
    if (result === 'done') {
      this.#step++;
      change.onDone?.();
    }
    return { outcome: result, head };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

export function revoked(session: string, how = 'it was revoked'): Fault {
  return new Fault('SESSION_REVOKED', `The session ${session} cannot go on: ${how}`);
}
