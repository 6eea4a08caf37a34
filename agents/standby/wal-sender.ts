// The sender's side of streaming replication, over a socket in a private directory: what a standby's receiver asks of a primary, answered
// from stored log. So the standby replays a record as soon as it is stored here, and never a byte more than it is to have.
//
// Only the timeline that the standby is pinned to is streamed; what lies on its ancestors comes by restore_command, in whole segments.

import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { isFault } from '../../src/base/faults.ts';
import { parseLsn, pgMicros } from '../../src/model/lsn.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import { MessageReader } from '../postgres/message-reader.ts';
import { historyName } from '../postgres/timeline-history.ts';

export const SENDER_PORT = 5432;
const PROTOCOL = 196_608;
const START_BYTES_MAX = 10_000;
const MESSAGE_BYTES_MAX = 1024 * 1024;
const PIECE_BYTES = 128 * 1024;
const KEEPALIVE_MS = 1_000;
const TEXT_OID = 25;
const INT8_OID = 20;

/** Bytes that follow each other; `next` answers undefined when there are none now. */
export interface LogTail {
  readonly position: number;
  next(): Promise<{ readonly from: number; readonly bytes: Uint8Array } | undefined>;
  /** Until it is time to ask again. */
  more(): Promise<void>;
}

export type SentLog = {
  readonly systemId: string;
  readonly timeline: number;
  readonly serverVersion: string;
  /** Nothing from here on is sent. */
  readonly until: number;
  /** The file; undefined when none is stored. */
  readonly history: (timeline: number) => Promise<Uint8Array | undefined>;
  readonly tail: (position: number) => LogTail;
  readonly now: () => Date;
  readonly onTrouble: (error: unknown) => void;
};

/** What the standby says that it has. */
export type Received = { readonly written: number; readonly applied: number };

export class WalSender {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Asked anew for each thing that is sent. */
  readonly #log: () => SentLog;
  received: Received | undefined;

  private constructor(log: () => SentLog) {
    this.#log = log;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.#serve(socket).catch((error: unknown) => {
        if (!socket.destroyed) this.#log().onTrouble(error);
        socket.destroy();
      });
    });
  }

  static async listen(directory: string, owner: FileOwner | undefined, log: () => SentLog): Promise<WalSender> {
    const path = join(directory, `.s.PGSQL.${SENDER_PORT}`);
    rmSync(path, { force: true });
    const sender = new WalSender(log);
    await new Promise<void>((resolve, reject) => {
      sender.#server.once('error', reject);
      sender.#server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
    return sender;
  }

  /** Standbys that are connected. */
  get connections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.disconnect();
    await closed;
  }

  /** Whoever is connected asks anew. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(socket: Socket): Promise<void> {
    const reader = new MessageReader(socket, () => new Error('The standby has closed the connection'));
    await readStartup(reader, socket);
    socket.write(message('R', int32(0)));
    socket.write(message('S', text(`server_version`), text(this.#log().serverVersion)));
    socket.write(message('S', text('integer_datetimes'), text('on')));
    socket.write(READY);
    for (;;) {
      const { type, body } = await readMessage(reader);
      if (type === 'X') return void socket.end();
      if (type === 'Q') await this.#answer(body.toString('utf8', 0, body.length - 1).trim(), socket, reader);
      else socket.write(refusal(`A message of the type "${type}" is not known here`));
    }
  }

  async #answer(command: string, socket: Socket, reader: MessageReader): Promise<void> {
    const { systemId, timeline, history } = this.#log();
    if (/^IDENTIFY_SYSTEM/i.test(command)) {
      // A receiver asks for what follows what it has, wherever that ends.
      const columns = { systemid: systemId, timeline: String(timeline), xlogpos: '0/0', dbname: null };
      return void socket.write(resultOf(columns, 'IDENTIFY_SYSTEM'));
    }
    const wanted = /^TIMELINE_HISTORY (\d+)/i.exec(command);
    if (wanted !== null) {
      const file = await history(Number(wanted[1]));
      if (file === undefined) return void socket.write(refusal(`The history of timeline ${wanted[1]} is not stored`));
      const columns = { filename: historyName(Number(wanted[1])), content: Buffer.from(file) };
      return void socket.write(resultOf(columns, 'TIMELINE_HISTORY'));
    }
    const start = /^START_REPLICATION (?:SLOT "[^"]*" )?(?:PHYSICAL )?([0-9A-F]+\/[0-9A-F]+)(?: TIMELINE (\d+))?/i.exec(command);
    const position = parseLsn(start?.[1] ?? '');
    if (start === null || position === undefined) return void socket.write(refusal(`"${command}" is not known here`));
    if (start[2] !== undefined && Number(start[2]) !== timeline)
      return void socket.write(refusal(`Only timeline ${timeline} is streamed; others come by restore_command`));
    await this.#stream(position, timeline, socket, reader);
  }

  /** Until the standby ends it, or is to have another timeline. */
  async #stream(position: number, timeline: number, socket: Socket, reader: MessageReader): Promise<void> {
    socket.write(message('W', Buffer.from([0, 0, 0])));
    const end = { isOver: false };
    const listening = this.#listen(reader).finally(() => {
      end.isOver = true;
    });
    listening.catch(() => {});
    const tail = this.#log().tail(position);
    let saidAt = 0;
    while (!end.isOver && this.#log().timeline === timeline) {
      const { until, onTrouble, now } = this.#log();
      let piece: Awaited<ReturnType<LogTail['next']>>;
      try {
        piece = tail.position >= until ? undefined : await tail.next();
      } catch (error) {
        if (!isFault(error)) throw error;
        onTrouble(error);
      }
      if (piece !== undefined) await this.#send(piece, socket);
      else await Promise.race([tail.more(), listening.catch(() => {})]);
      if (performance.now() - saidAt < KEEPALIVE_MS) continue;
      saidAt = performance.now();
      socket.write(message('d', Buffer.from('k'), int64(Math.min(tail.position, until)), clock(now()), Buffer.from([0])));
    }
    // To be asked for another timeline: by a receiver that begins anew.
    if (!end.isOver) return void socket.destroy();
    await listening;
    socket.write(Buffer.concat([message('c'), message('C', text('START_REPLICATION')), READY]));
  }

  async #send({ from, bytes }: { readonly from: number; readonly bytes: Uint8Array }, socket: Socket): Promise<void> {
    const { until, now } = this.#log();
    const wanted = bytes.subarray(0, Math.max(0, until - from));
    for (let at = 0, length = 0; at < wanted.length && !socket.destroyed; at += length) {
      // To where a page ends, as a server does: where a record goes on in the next page, a standby reads its first page to the end, come or not.
      length = Math.min(PIECE_BYTES - ((from + at) % PIECE_BYTES), wanted.length - at);
      const piece = wanted.subarray(at, at + length);
      const head = Buffer.concat([Buffer.from('w'), int64(from + at), int64(from + at + length), clock(now())]);
      // Not copied once more: this is most of what passes here.
      socket.write(Buffer.concat([Buffer.from('d'), int32(4 + head.length + length), head]));
      const sent = socket.write(piece);
      if (!sent) await new Promise<void>((resolve) => wake(socket, resolve));
    }
  }

  /** Until the standby says that it wants no more. */
  async #listen(reader: MessageReader): Promise<void> {
    for (;;) {
      const { type, body } = await readMessage(reader);
      if (type === 'c') return;
      if (type === 'X') throw new Error('The standby has closed the connection');
      if (type === 'd' && body[0] === 0x72)
        this.received = { written: Number(body.readBigInt64BE(1)), applied: Number(body.readBigInt64BE(17)) };
    }
  }
}

function wake(socket: Socket, resolve: () => void): void {
  const done = (): void => {
    socket.off('drain', done);
    socket.off('close', done);
    resolve();
  };
  socket.on('drain', done);
  socket.on('close', done);
}

/** Requests for encryption are declined: who may enter the directory may read. */
async function readStartup(reader: MessageReader, socket: Socket): Promise<void> {
  for (;;) {
    const length = (await reader.read(4)).readInt32BE(0);
    if (length < 8 || length > START_BYTES_MAX) throw new Error('This is no start of a connection to a server');
    const body = await reader.read(length - 4);
    if (body.readInt32BE(0) === PROTOCOL) return;
    socket.write('N');
  }
}

async function readMessage(reader: MessageReader): Promise<{ readonly type: string; readonly body: Buffer }> {
  const head = await reader.read(5);
  const length = head.readInt32BE(1);
  if (length < 4 || length > MESSAGE_BYTES_MAX) throw new Error(`A message of ${length} bytes`);
  return { type: String.fromCharCode(head[0]!), body: await reader.read(length - 4) };
}

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function resultOf(columns: Readonly<Record<string, string | Buffer | null>>, tag: string): Buffer {
  const names = Object.entries(columns);
  const fields = names.map(([name]) =>
    Buffer.concat([
      text(name),
      int32(0),
      int16(0),
      int32(name === 'timeline' ? INT8_OID : TEXT_OID),
      int16(-1),
      int32(-1),
      int16(0),
    ]),
  );
  const values = names.map(([, value]) => {
    if (value === null) return int32(-1);
    const bytes = Buffer.from(value);
    return Buffer.concat([int32(bytes.length), bytes]);
  });
  const count = int16(names.length);
  return Buffer.concat([message('T', count, ...fields), message('D', count, ...values), message('C', text(tag)), READY]);
}

function refusal(what: string): Buffer {
  const fields = ['SERROR', 'VERROR', 'C0A000', `M${what}`].map(text);
  return Buffer.concat([message('E', ...fields, Buffer.from([0])), READY]);
}

function clock(now: Date): Buffer {
  return int64(Number(pgMicros(now.getTime() * 1000)));
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

const READY = message('Z', Buffer.from('I'));
