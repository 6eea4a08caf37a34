// A cable between two of three places that is as long and as thin as asked for: what one side sends arrives after `delayMs`, no faster than
// `mbits`, and what does not fit into its buffer is lost. Both ends are network devices of the kernel (TUN); a process of its own carries the
// packets from one to the other. So TCP behaves as it does over such a line. Where the kernel has netem that would do the same.

import { execFileSync, fork } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { type CFunction, cLibrary } from '../../src/base/ffi.ts';
import type { Place, ThreePlaces } from '../../test/support/three-places.ts';

export type LongCableOptions = { readonly delayMs: number; readonly mbits: number };

/** Of what waits to be sent: as much as the line carries in that time, as good routers do. */
const BUFFER_MS = 100;
const MTU = 1_500;
const TICK_MS = 1;
const TUNSETIFF = 0x400454ca;
const IFF_TUN_NO_PI = 0x1001;
const O_RDWR_NONBLOCK = 0o4002;

/** In place of the cable that is there. Answers how to take it away; whatever was sent by then is lost. */
export async function layLongCable(
  places: ThreePlaces,
  one: Place,
  other: Place,
  { delayMs, mbits }: LongCableOptions,
): Promise<() => void> {
  const names = [`hfl${process.pid}a`, `hfl${process.pid}b`] as const;
  const carrier = fork(import.meta.filename, [...names, String(delayMs), String(mbits)]);
  await new Promise<void>((resolve, reject) => {
    carrier.once('message', () => resolve());
    carrier.once('exit', (status) => reject(new Error(`No cable was laid (exit status ${status})`)));
  });
  ip('-n', places.namespaceOf(one), 'link', 'delete', `to-${other}`);
  for (const [i, [place, far]] of (
    [
      [one, other],
      [other, one],
    ] as const
  ).entries()) {
    const within = ['-n', places.namespaceOf(place)];
    ip('link', 'set', names[i]!, 'netns', places.namespaceOf(place));
    ip(...within, 'link', 'set', names[i]!, 'name', `to-${far}`, 'mtu', String(MTU), 'up');
    ip(
      ...within,
      'route',
      'replace',
      `${places.address(far)}/32`,
      'dev',
      `to-${far}`,
      'scope',
      'link',
      'src',
      places.address(place),
    );
  }
  return () => carrier.disconnect();
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' });
}

type System = { readonly read: CFunction; readonly write: CFunction; readonly ioctl: CFunction };

function system(): System {
  const read = cLibrary?.bind('int64_t read(int fd, void *buffer, size_t count)');
  const write = cLibrary?.bind('int64_t write(int fd, void *buffer, size_t count)');
  const ioctl = cLibrary?.bind('int ioctl(int fd, unsigned long request, void *argument)');
  if (read === undefined || write === undefined || ioctl === undefined) throw new Error('It needs koffi, on Linux');
  return { read, write, ioctl };
}

function openDevice(name: string, { ioctl }: System): number {
  const fd = openSync('/dev/net/tun', O_RDWR_NONBLOCK);
  const request = Buffer.alloc(40);
  request.write(name, 'latin1');
  request.writeUInt16LE(IFF_TUN_NO_PI, 16);
  if (ioctl(fd, TUNSETIFF, request) === 0) return fd;
  closeSync(fd);
  throw new Error(`The network device ${name} cannot be made: it needs root and /dev/net/tun`);
}

/** One way. */
class Lane {
  readonly #queue: { readonly atMs: number; readonly packet: Buffer }[] = [];
  readonly #delayMs: number;
  readonly #bytesPerMs: number;
  /** Until when what was accepted keeps the line busy. */
  #busyUntilMs = 0;

  constructor(delayMs: number, mbits: number) {
    this.#delayMs = delayMs;
    this.#bytesPerMs = (mbits * 1e6) / 8 / 1e3;
  }

  accept(packet: Uint8Array, nowMs: number): void {
    const beginMs = Math.max(nowMs, this.#busyUntilMs);
    if (beginMs - nowMs > BUFFER_MS) return;
    this.#busyUntilMs = beginMs + packet.length / this.#bytesPerMs;
    this.#queue.push({ atMs: this.#busyUntilMs + this.#delayMs, packet: Buffer.from(packet) });
  }

  /** What has arrived by now. */
  *arrived(nowMs: number): Generator<Buffer> {
    let n = 0;
    for (; n < this.#queue.length && this.#queue[n]!.atMs <= nowMs; n++) yield this.#queue[n]!.packet;
    this.#queue.splice(0, n);
  }
}

function carry(names: readonly [string, string], delayMs: number, mbits: number): void {
  const calls = system();
  const [near, far] = [openDevice(names[0], calls), openDevice(names[1], calls)];
  const lanes = [
    { from: near, to: far, lane: new Lane(delayMs, mbits) },
    { from: far, to: near, lane: new Lane(delayMs, mbits) },
  ];
  const buffer = Buffer.alloc(MTU + 100);
  setInterval(() => {
    const nowMs = performance.now();
    for (const { from, to, lane } of lanes) {
      for (;;) {
        const length = Number(calls.read(from, buffer, buffer.length));
        if (length <= 0) break;
        lane.accept(buffer.subarray(0, length), nowMs);
      }
      for (const packet of lane.arrived(nowMs)) calls.write(to, packet, packet.length);
    }
  }, TICK_MS);
}

if (process.argv[1] === import.meta.filename) {
  const [one, other, delayMs, mbits] = process.argv.slice(2);
  process.once('disconnect', () => process.exit(0));
  carry([one!, other!], Number(delayMs), Number(mbits));
  process.send!('ready');
}
