// A read-only NBD server: serves any block of a content on demand, without restoring it. A read that meets damage is an i/o error at the
// client, never wrong bytes. Memory: a bounded number of requests per client are under way, the next one waits in the socket.

import type { Socket } from 'node:net';
import type { ContentReader } from '../engine/content-reader.ts';
import {
  ALLOCATION_CONTEXT,
  ALLOCATION_ID,
  blockSizeInfo,
  CHUNK,
  COMMAND,
  COMMAND_FLAG_ONE,
  chunkHead,
  dataChunkHead,
  ERROR,
  EXPORT_FLAGS,
  errorChunk,
  exportInfo,
  HANDSHAKE,
  NBD_MAGIC,
  type NbdRequest,
  OPTION,
  OPTION_MAGIC,
  optionReply,
  REPLY,
  REQUEST_MAGIC,
  STATE_HOLE_ZERO,
  simpleReply,
} from './nbd-protocol.ts';

const READ_BYTES_MAX = 32 * 1024 * 1024;
const PREFERRED_BYTES = 256 * 1024;
const OPTION_BYTES_MAX = 64 * 1024;
const REQUESTS_MAX = 8;
/** Extents in one answer about what is allocated. */
const EXTENTS_MAX = 1024;
const EXTENT_LENGTH_MAX = 0xffff_f000;

export type NbdExport = { readonly name: string; readonly content: ContentReader; readonly onFault: (error: unknown) => void };

/** Serves one client until it leaves or breaks the protocol. */
export async function serveNbdClient(socket: Socket, exported: NbdExport): Promise<void> {
  const client = new NbdClient(socket, exported);
  try {
    if (await client.negotiate()) await client.transmit();
  } catch (error) {
    if (!(error instanceof Disconnected)) exported.onFault(error);
  } finally {
    socket.destroy();
  }
}

class Disconnected extends Error {
  override readonly name = 'Disconnected';
}

class NbdClient {
  readonly #socket: Socket;
  readonly #export: NbdExport;
  readonly #input: AsyncIterator<Buffer>;
  #buffered: Buffer = Buffer.alloc(0);
  #isStructured = false;
  #hasAllocation = false;
  readonly #running = new Set<Promise<void>>();

  constructor(socket: Socket, exported: NbdExport) {
    this.#socket = socket;
    this.#export = exported;
    socket.on('error', () => socket.destroy());
    this.#input = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** True when the client goes on to reading. */
  async negotiate(): Promise<boolean> {
    const greeting = Buffer.alloc(2);
    greeting.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes);
    await this.#write(Buffer.concat([NBD_MAGIC, OPTION_MAGIC, greeting]));
    const flags = (await this.#take(4)).readUInt32BE();
    if ((flags & HANDSHAKE.fixedNewstyle) === 0) return false;
    for (;;) {
      const head = await this.#take(16);
      if (!head.subarray(0, 8).equals(OPTION_MAGIC)) return false;
      const option = head.readUInt32BE(8);
      const length = head.readUInt32BE(12);
      if (length > OPTION_BYTES_MAX) return false;
      const data = await this.#take(length);
      const next = await this.#answerOption(option, data, (flags & HANDSHAKE.noZeroes) !== 0);
      if (next !== 'more') return next === 'transmit';
    }
  }

  async #answerOption(option: number, data: Buffer, noZeroes: boolean): Promise<'more' | 'transmit' | 'end'> {
    const { content, name } = this.#export;
    if (option === OPTION.exportName) {
      const reply = Buffer.alloc(noZeroes ? 10 : 134);
      if (!this.#isKnown(data.toString())) return 'end';
      reply.writeBigUInt64BE(BigInt(content.sizeBytes));
      reply.writeUInt16BE(EXPORT_FLAGS, 8);
      await this.#write(reply);
      return 'transmit';
    }
    if (option === OPTION.abort) {
      await this.#write(optionReply(option, REPLY.ack));
      return 'end';
    }
    if (option === OPTION.list) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(name));
      await this.#write(
        Buffer.concat([
          optionReply(option, REPLY.server, Buffer.concat([length, Buffer.from(name)])),
          optionReply(option, REPLY.ack),
        ]),
      );
    } else if (option === OPTION.structuredReply) {
      this.#isStructured = true;
      await this.#write(optionReply(option, REPLY.ack));
    } else if (option === OPTION.info || option === OPTION.go) {
      const asked = textAt(data, 0);
      if (asked === undefined) await this.#write(optionReply(option, REPLY.errorInvalid));
      else if (!this.#isKnown(asked.text)) await this.#write(optionReply(option, REPLY.errorUnknown));
      else {
        const infos = [exportInfo(content.sizeBytes), blockSizeInfo(PREFERRED_BYTES, READ_BYTES_MAX)].map((info) =>
          optionReply(option, REPLY.info, info),
        );
        await this.#write(Buffer.concat([...infos, optionReply(option, REPLY.ack)]));
        if (option === OPTION.go) return 'transmit';
      }
    } else if (option === OPTION.listMetaContext || option === OPTION.setMetaContext) {
      await this.#write(this.#answerContexts(option, data));
    } else await this.#write(optionReply(option, REPLY.errorUnsupported));
    return 'more';
  }

  #isKnown(name: string): boolean {
    return name === '' || name === this.#export.name;
  }

  #answerContexts(option: number, data: Buffer): Buffer {
    const asked = textAt(data, 0);
    if (asked === undefined || asked.end + 4 > data.length || !this.#isStructured) return optionReply(option, REPLY.errorInvalid);
    const queries: string[] = [];
    let at = asked.end + 4;
    for (let n = data.readUInt32BE(asked.end); n > 0; n--) {
      const query = textAt(data, at);
      if (query === undefined) return optionReply(option, REPLY.errorInvalid);
      queries.push(query.text);
      at = query.end;
    }
    const isWanted =
      queries.some((query) => query === ALLOCATION_CONTEXT || (option === OPTION.listMetaContext && query === 'base:')) ||
      (option === OPTION.listMetaContext && queries.length === 0);
    if (option === OPTION.setMetaContext) this.#hasAllocation = isWanted;
    if (!isWanted) return optionReply(option, REPLY.ack);
    const context = Buffer.alloc(4);
    context.writeUInt32BE(option === OPTION.setMetaContext ? ALLOCATION_ID : 0);
    return Buffer.concat([
      optionReply(option, REPLY.metaContext, Buffer.concat([context, Buffer.from(ALLOCATION_CONTEXT)])),
      optionReply(option, REPLY.ack),
    ]);
  }

  async transmit(): Promise<void> {
    try {
      for (;;) {
        const head = await this.#take(28);
        if (head.readUInt32BE(0) !== REQUEST_MAGIC) return;
        const request: NbdRequest = {
          flags: head.readUInt16BE(4),
          command: head.readUInt16BE(6),
          handle: Buffer.from(head.subarray(8, 16)),
          offset: Number(head.readBigUInt64BE(16)),
          length: head.readUInt32BE(24),
        };
        if (request.command === COMMAND.disconnect) return;
        // What a client sends to be written must be taken off the line before its next request.
        if (request.command === COMMAND.write) await this.#skip(request.length);
        while (this.#running.size >= REQUESTS_MAX) await Promise.race(this.#running);
        const work: Promise<void> = this.#serve(request)
          .catch(() => void this.#socket.destroy())
          .finally(() => this.#running.delete(work));
        this.#running.add(work);
      }
    } finally {
      await Promise.all(this.#running);
    }
  }

  async #serve(request: NbdRequest): Promise<void> {
    const { command, offset, length, handle } = request;
    if (command === COMMAND.flush) return this.#write(this.#plain(handle, ERROR.none));
    if (command === COMMAND.write || command === COMMAND.trim || command === COMMAND.writeZeroes)
      return this.#write(this.#plain(handle, ERROR.permission));
    const isInside = Number.isSafeInteger(offset) && offset + length <= this.#export.content.sizeBytes;
    if (!isInside || length === 0) return this.#write(this.#plain(handle, ERROR.invalid));
    if (command === COMMAND.read && length <= READ_BYTES_MAX) return this.#read(request);
    if (command === COMMAND.blockStatus && this.#hasAllocation) return this.#blockStatus(request);
    return this.#write(this.#plain(handle, command === COMMAND.cache ? ERROR.unsupported : ERROR.invalid));
  }

  async #read({ handle, offset, length }: NbdRequest): Promise<void> {
    const bytes = Buffer.alloc(length);
    try {
      await this.#export.content.read(bytes, offset);
    } catch (error) {
      this.#export.onFault(error);
      return this.#write(this.#plain(handle, ERROR.io));
    }
    const head = this.#isStructured ? dataChunkHead(handle, offset, length) : simpleReply(handle, ERROR.none);
    return this.#write(Buffer.concat([head, bytes]));
  }

  async #blockStatus({ handle, offset, length, flags }: NbdRequest): Promise<void> {
    const extents: { length: number; state: number }[] = [];
    const most = (flags & COMMAND_FLAG_ONE) !== 0 ? 1 : EXTENTS_MAX;
    try {
      for await (const piece of this.#export.content.pieces(offset, length)) {
        const state = piece.reference === undefined ? STATE_HOLE_ZERO : 0;
        const last = extents.at(-1);
        if (last !== undefined && last.state === state && last.length + piece.length <= EXTENT_LENGTH_MAX)
          last.length += piece.length;
        else if (extents.length === most) break;
        else extents.push({ length: piece.length, state });
      }
    } catch (error) {
      this.#export.onFault(error);
      return this.#write(this.#plain(handle, ERROR.io));
    }
    const body = Buffer.alloc(4 + extents.length * 8);
    body.writeUInt32BE(ALLOCATION_ID, 0);
    extents.forEach((extent, i) => {
      body.writeUInt32BE(extent.length, 4 + i * 8);
      body.writeUInt32BE(extent.state, 8 + i * 8);
    });
    return this.#write(Buffer.concat([chunkHead(handle, CHUNK.blockStatus, body.length), body]));
  }

  /** An answer without data. */
  #plain(handle: Buffer, error: number): Buffer {
    if (!this.#isStructured) return simpleReply(handle, error);
    return error === ERROR.none ? chunkHead(handle, CHUNK.none, 0) : errorChunk(handle, error);
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) reject(new Disconnected());
      else this.#socket.write(bytes, (error) => (error ? reject(new Disconnected()) : resolve()));
    });
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#buffered.length < length) await this.#fill();
    const taken = this.#buffered.subarray(0, length);
    this.#buffered = this.#buffered.subarray(length);
    return taken;
  }

  async #skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      if (this.#buffered.length === 0) await this.#fill();
      const n = Math.min(left, this.#buffered.length);
      this.#buffered = this.#buffered.subarray(n);
      left -= n;
    }
  }

  async #fill(): Promise<void> {
    let next: IteratorResult<Buffer>;
    try {
      next = await this.#input.next();
    } catch {
      throw new Disconnected();
    }
    if (next.done === true) throw new Disconnected();
    this.#buffered = this.#buffered.length === 0 ? next.value : Buffer.concat([this.#buffered, next.value]);
  }
}

/** A text with its length before it. */
function textAt(data: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  if (at + 4 > data.length) return undefined;
  const end = at + 4 + data.readUInt32BE(at);
  return end > data.length ? undefined : { text: data.toString('utf8', at + 4, end), end };
}
