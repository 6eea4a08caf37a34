// Bytes of a socket, cut into what the caller asks for. What nobody has asked for yet is bounded: the socket is paused above it.

import type { Socket } from 'node:net';

/** So much that the server goes on sending while a piece is being handed over. */
const QUEUED_BYTES_MAX = 8 * 1024 * 1024;
/** Little comes when it is less than this. In one pause it must fit into the least that a kernel keeps for a connection, or what could come faster
 *  would be taken for little for ever. */
const LITTLE_BYTES_PER_MS = 4 * 1024;
const LOOK_MS = 100;

export class MessageReader {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #isFull = false;
  #gatherMs = 0;
  #gathering: NodeJS.Immediate | NodeJS.Timeout | undefined;
  #isLittle = false;
  #lookedAt = 0;
  #bytesSince = 0;

  constructor(socket: Socket, onEnd: () => Error) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes > QUEUED_BYTES_MAX && !this.#isFull) {
        this.#isFull = true;
        socket.pause();
      }
      if (this.#gatherMs > 0) this.#look(chunk.length);
      this.#wake?.();
    });
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(onEnd()));
  }

  /** From now on little that comes is left to the kernel for so long: each read costs as much as some hundred KiB, and a server that sends a
   *  few bytes for each of its commits would have thousands a second. What comes fast is read as it comes. */
  gather(ms: number): void {
    this.#gatherMs = ms;
    this.#lookedAt = performance.now();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  /** True when `length` bytes can be taken without waiting. */
  has(length: number): boolean {
    return this.#bytes >= length;
  }

  /** Waits for the bytes; what was received before a failure is still given. */
  async read(length: number): Promise<Buffer> {
    await this.wait(length);
    return this.take(length);
  }

  /** Until `length` bytes can be taken. Fails as the connection did. */
  async wait(length: number): Promise<void> {
    while (this.#bytes < length) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isFull) this.#drained();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** Stops listening; the socket is handed on (to TLS). */
  release(): void {
    for (const event of ['data', 'error', 'close']) this.#socket.removeAllListeners(event);
  }

  /** `length` bytes that are there. */
  take(length: number): Buffer {
    this.#bytes -= length;
    if (this.#isFull && this.#bytes < QUEUED_BYTES_MAX / 2) this.#drained();
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= length) {
      if (first.length === length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const whole = Buffer.allocUnsafe(length);
    let at = 0;
    let used = 0;
    while (at < length) {
      const chunk = this.#chunks[used]!;
      const n = Math.min(chunk.length, length - at);
      chunk.copy(whole, at, 0, n);
      at += n;
      if (n === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(n);
    }
    this.#chunks.splice(0, used);
    return whole;
  }

  /** After all that has come at once: an encrypted connection hands it over in many pieces. */
  #look(came: number): void {
    this.#bytesSince += came;
    const now = performance.now();
    const passed = now - this.#lookedAt;
    if (passed >= LOOK_MS) {
      this.#isLittle = this.#bytesSince < passed * LITTLE_BYTES_PER_MS;
      this.#bytesSince = 0;
      this.#lookedAt = now;
    }
    if (!this.#isLittle || this.#gathering !== undefined) return;
    this.#gathering = setImmediate(() => {
      this.#socket.pause();
      this.#gathering = setTimeout(() => this.#gathered(), this.#gatherMs);
    });
  }

  #drained(): void {
    this.#isFull = false;
    if (this.#gathering === undefined) this.#socket.resume();
  }

  #gathered(): void {
    this.#gathering = undefined;
    if (!this.#isFull) this.#socket.resume();
  }
}
