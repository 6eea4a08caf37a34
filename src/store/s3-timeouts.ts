// The time limits of one attempt of one request to an S3 store: `connectMs` until the connection stands, `idleMs` without a byte in
// either direction, and in all `totalMs` plus the time that the bytes of both bodies take at `slowestBytesPerSecond`.

import type { Socket } from 'node:net';
import { Fault } from '../base/faults.ts';

export type S3Timeouts = {
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly slowestBytesPerSecond: number;
};

export const S3_TIMEOUTS: S3Timeouts = { connectMs: 5_000, idleMs: 30_000, totalMs: 60_000, slowestBytesPerSecond: 32 * 1024 };

export class AttemptTimer {
  readonly #timeouts: S3Timeouts;
  readonly #what: string;
  readonly #giveUp: (fault: Fault) => void;
  #connect: NodeJS.Timeout | undefined;
  #total: NodeJS.Timeout | undefined;

  /** `what` names the request in the message of the fault that `giveUp` gets. */
  constructor(timeouts: S3Timeouts, what: string, giveUp: (fault: Fault) => void) {
    this.#timeouts = timeouts;
    this.#what = what;
    this.#giveUp = giveUp;
  }

  /** Limits the time until `event` of a socket that is connecting. */
  connecting(socket: Socket, event: 'connect' | 'secureConnect'): void {
    const { connectMs } = this.#timeouts;
    this.#connect = setTimeout(() => this.#end(`no connection after ${connectMs} ms`), connectMs);
    socket.once(event, () => clearTimeout(this.#connect));
  }

  /** To be called when the socket says that no byte has moved for `idleMs`. */
  idle(): void {
    this.#end(`no byte for ${this.#timeouts.idleMs} ms`);
  }

  /** Starts the time for the whole attempt anew: at the start, and when the size of the answer is known. */
  extend(bodyBytes: number): void {
    const limitMs = Math.ceil(this.#timeouts.totalMs + (bodyBytes / this.#timeouts.slowestBytesPerSecond) * 1000);
    clearTimeout(this.#total);
    this.#total = setTimeout(() => this.#end(`not done after ${limitMs} ms`), limitMs);
  }

  stop(): void {
    clearTimeout(this.#connect);
    clearTimeout(this.#total);
  }

  #end(why: string): void {
    this.#giveUp(new Fault('STORE_TIMEOUT', `${this.#what}: ${why}`));
  }
}
