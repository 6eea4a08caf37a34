// The drill's side of its watcher.

import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import type { RoomIdentity } from './room.ts';
import type { EndedWhy, FromWatcher, ToWatcher, WatchOrder } from './watcher-messages.ts';

export type Ended = { readonly why: EndedWhy | 'unwatched' | 'interrupted'; readonly text: string };

export class Watched {
  readonly #watcher: ChildProcess;
  readonly #noted: (() => void)[] = [];
  /** Aborted, with an `Ended` as its reason, when the watcher has ended the drill, or is dead itself: nobody drills unwatched. */
  readonly signal: AbortSignal;
  #isOver = false;

  private constructor(watcher: ChildProcess) {
    const stop = new AbortController();
    this.#watcher = watcher;
    this.signal = stop.signal;
    const end = (ended: Ended): void => {
      if (!this.#isOver && !stop.signal.aborted) stop.abort(ended);
      for (const noted of this.#noted.splice(0)) noted();
    };
    watcher.on('message', (message: FromWatcher) => {
      if (message.kind === 'noted') this.#noted.shift()?.();
      else end(message);
    });
    watcher.once('exit', () => end({ why: 'unwatched', text: 'the watcher of the drill died' }));
    watcher.once('error', ({ message }) => end({ why: 'unwatched', text: message }));
  }

  /** `program`: path of the one that calls watchDrill. Answers when it watches. */
  static async begin(program: string, order: WatchOrder): Promise<Watched> {
    // Detached: what is sent to the drill's group, an interrupt for example, is not for it.
    const watcher = fork(program, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], detached: true, execArgv: [] });
    const watched = new Watched(watcher);
    await watched.#say({ kind: 'watch', order });
    if (watched.signal.aborted) throw new Fault('DRILL_NOT_ISOLATED', 'The drill was not begun: its watcher could not be started');
    return watched;
  }

  get pid(): number | undefined {
    return this.#watcher.pid;
  }

  /** Waits until the signal is aborted, or not for longer. */
  async saysWhy(patienceMs: number): Promise<void> {
    const until = performance.now() + patienceMs;
    while (!this.signal.aborted && performance.now() < until) await sleep(10);
  }

  room(room: RoomIdentity): Promise<void> {
    return this.#say({ kind: 'room', room });
  }

  /** The drill has recorded its own end: nobody ends it any more. */
  async over(): Promise<void> {
    this.#isOver = true;
    await this.#say({ kind: 'over' });
    if (this.#watcher.connected) this.#watcher.disconnect();
  }

  #say(message: ToWatcher): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#watcher.connected) return resolve();
      this.#noted.push(resolve);
      this.#watcher.send(message, () => {});
    });
  }
}
