// Bytes of a socket, cut into what the caller asks for. What nobody has asked for yet is bounded: the socket is paused above it.

import type { Socket } from 'node:net';

/** So much that the server goes on sending while a piece is being handed over. */
const QUEUED_BYTES_MAX = 8 * 1024 * 1024;
/** Who gathers waits after a read of less than this: as much as one read brings at the most. */
const GATHERED_BYTES = 64 * 1024;

export class MessageReader {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #isFull = false;
  #gatherMs = 0;
  #gathering: NodeJS.Timeout | undefined;

  constructor(socket: Socket, onEnd: () => Error) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes > QUEUED_BYTES_MAX) this.#isFull = true;
      if (this.#gatherMs > 0 && chunk.length < GATHERED_BYTES) this.#gathering = setTimeout(() => this.#gathered(), this.#gatherMs);
      if (this.#isFull || this.#gathering !== undefined) socket.pause();
      this.#wake?.();
    });
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(onEnd()));
  }

  /** From now on little that comes is left to the kernel for so long: each read costs as much as some hundred KiB, and a server that sends a
   *  few bytes for each of its commits would have thousands a second. What comes fast is read as it comes. */
  gather(ms: number): void {
    this.#gatherMs = ms;
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

  #drained(): void {
    this.#isFull = false;
    if (this.#gathering === undefined) this.#socket.resume();
  }

  #gathered(): void {
    this.#gathering = undefined;
    if (!this.#isFull) this.#socket.resume();
  }
}
