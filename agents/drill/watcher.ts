// Ends a drill whose time is over, whose process is gone, which eats up the disk, or which a real failover has to pre-empt: from a process of its
// own, which outlives the drill's. It needs no answer of the drill to destroy it. What it had to end by itself it records beside the evidence.
//
// A view says whether a failover is declared. It is handed in: this room knows neither registry nor journal. Who cannot say it for a while is
// taken for a yes: a drill may always be held again.

import { freeBytes } from '../../src/base/free-bytes.ts';
import { isAlive } from '../../src/base/process-identity.ts';
import { bootMs } from './boot-clock.ts';
import { type Destruction, destroy } from './destroy.ts';
import { writeRecord } from './drill-record.ts';
import type { RoomIdentity } from './room.ts';
import type { EndedWhy, FromWatcher, ToWatcher, WatchOrder } from './watcher-messages.ts';

const LOOK_MS = 100;
const VIEW_EVERY_MS = 1_000;
const VIEW_SILENCE_MS = 4_000;
/** For the drill to sign what it has measured so far, when it was ended; then it is killed. A failover has all of the host 10 s after it was
 *  declared. */
const LAST_WORDS_MS = 30_000;
const LAST_WORDS_PREEMPTED_MS = 8_000;

/** Answers which failover is declared, in words; undefined: none. */
export type FailoverView = (signal: AbortSignal) => Promise<string | undefined>;

class Watcher {
  readonly #order: WatchOrder;
  readonly #view: FailoverView;
  readonly #stop = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  #room: RoomIdentity | undefined;
  #isOver = false;
  #isEnding = false;
  #seenMs = bootMs();

  constructor(order: WatchOrder, view: FailoverView) {
    this.#order = order;
    const { directory, drill, plan } = order;
    writeRecord(directory, { drill, plan, state: 'running', at: new Date().toISOString() });
    this.#view = view;
    const timer = setInterval(() => this.#look(), LOOK_MS);
    this.#stop.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    void this.#watchFailovers();
  }

  room(identity: RoomIdentity): void {
    this.#room = identity;
  }

  /** The drill has recorded its own end. */
  over(): void {
    this.#isOver = true;
    this.#stop.abort();
    this.#gone.resolve();
  }

  drillGone(): void {
    if (this.#isOver) process.exit(0);
    this.#gone.resolve();
    void this.#end('killed', 'the process of the drill is gone');
  }

  #look(): void {
    if (bootMs() >= this.#order.untilMs) void this.#end('time limit', 'its time was over');
    else if (bootMs() - this.#seenMs > VIEW_SILENCE_MS)
      void this.#end('pre-empted', 'nobody could say whether a failover is declared');
    else if (freeBytes(this.#order.work) < this.#order.freeBytesMin)
      void this.#end('no room', `less than ${this.#order.freeBytesMin} bytes are free`);
  }

  async #watchFailovers(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const declared = await this.#view(AbortSignal.any([signal, AbortSignal.timeout(VIEW_SILENCE_MS)]));
        this.#seenMs = bootMs();
        if (declared !== undefined) return await this.#end('pre-empted', declared);
      } catch {
        // How long it has been silent is what counts.
      }
      await new Promise((resolve) => setTimeout(resolve, VIEW_EVERY_MS));
    }
  }

  async #end(why: EndedWhy, text: string): Promise<void> {
    if (this.#isEnding || this.#isOver) return;
    this.#isEnding = true;
    const { work, process: drill } = this.#order;
    // Told before, so that it knows why its room is over; ended whatever it makes of it.
    tell({ kind: 'ended', why, text });
    let destruction = await destroy(work, this.#room);
    const patience = setTimeout(() => this.#gone.resolve(), why === 'pre-empted' ? LAST_WORDS_PREEMPTED_MS : LAST_WORDS_MS);
    await this.#gone.promise;
    clearTimeout(patience);
    if (!this.#isOver) {
      if (isAlive(drill)) process.kill(drill.id, 'SIGKILL');
      destruction = await destroy(work, this.#room);
      this.#record(why, text, destruction);
    }
    process.exit(0);
  }

  #record(why: EndedWhy, text: string, { isGone, text: left }: Destruction): void {
    const { directory, drill, plan } = this.#order;
    const at = new Date().toISOString();
    writeRecord(directory, { drill, plan, state: 'not finished', why, text, at, isDestroyed: isGone, destruction: left });
  }
}

function tell(message: FromWatcher): void {
  if (process.connected) process.send?.(message, () => {});
}

/** The whole of a watcher's program. `viewOf`: from what the drill was given for it. */
export function watchDrill(viewOf: (wish: unknown) => FailoverView): void {
  let watcher: Watcher | undefined;
  process.on('message', (message: ToWatcher) => {
    if (message.kind === 'watch') watcher = new Watcher(message.order, viewOf(message.order.view));
    else if (message.kind === 'room') watcher?.room(message.room);
    else watcher?.over();
    tell({ kind: 'noted' });
  });
  process.on('disconnect', () => {
    if (watcher === undefined) process.exit(0);
    watcher.drillGone();
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});
}
