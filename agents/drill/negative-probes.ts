// What a drill tries to reach, and must not: every address that the plan names, the store, sockets of services on this host. Names are looked up
// outside of the room, so that a name that only could not be resolved does not pass for an address that could not be reached.

import { lookup } from 'node:dns/promises';
import { readFileSync, readlinkSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import { runningServers } from '../postgres/running-servers.ts';
import type { ProbeAnswer, ProbeWish } from './probe.ts';
import { ROOM_ENVIRONMENT, type Room } from './room.ts';

const PROGRAM = join(import.meta.dirname, 'probe.ts');
const LOOPBACK = /^(?:127\.|::1$)/;
const LISTENS = 0x1_0000;
const SOCKETS_MAX = 200;
const ADDRESSES_MAX = 4;

export type Probe = { readonly of: string; readonly wish: ProbeWish };
export type Probed = Probe & { readonly isReached: boolean; readonly text: string };

/** Of where a store is. One on this host's loopback: the room has a loopback of its own, so there is always a way, but nobody at its end. */
export async function probesOfStore(address: string): Promise<Probe[]> {
  return (await probesOf(address)).filter(({ wish }) => wish.method !== 'route' || !LOOPBACK.test(wish.address));
}

/** Of an address of a plan, "host" or "host:port". */
export async function probesOf(address: string): Promise<Probe[]> {
  const { host, port } = hostAndPort(address);
  const addresses = isIP(host) !== 0 ? [host] : await addressesOf(host);
  const wishes: ProbeWish[] = addresses.map((one) => ({ method: 'route', address: one }));
  if (port !== undefined) for (const one of addresses) wishes.push({ method: 'tcp', host: one, port });
  if (isIP(host) === 0) {
    wishes.push({ method: 'dns', name: host });
    if (port !== undefined) wishes.push({ method: 'tcp', host, port });
  }
  return wishes.map((wish) => ({ of: address, wish }));
}

/** Of every socket with a path that somebody on this host listens at now; but the drill's own. */
export function socketProbes(work: string): Probe[] {
  return listeningSockets(work).map((path) => ({ of: path, wish: { method: 'unix', path } }));
}

/** What the room has to cover: sockets with a path ignore namespaces of the network. */
export function placesOfProduction(work: string): string[] {
  const directories = runningServers().flatMap(({ directory, isSandbox }) => {
    try {
      return isSandbox ? [] : [readlinkSync(directory)];
    } catch {
      return [];
    }
  });
  return [...new Set([...directories, ...listeningSockets(work)])].filter((path) => path !== work && !work.startsWith(`${path}/`));
}

/** DRILL_NOT_ISOLATED when the probes themselves do not work: then they prove nothing. */
export async function probe(room: Room, probes: readonly Probe[], owner: FileOwner | undefined): Promise<Probed[]> {
  const words = [process.execPath, PROGRAM, JSON.stringify(probes.map(({ wish }) => wish))];
  const { status, text } = await room.run({
    words,
    environment: ROOM_ENVIRONMENT,
    ...(owner === undefined ? {} : { owner }),
  });
  if (status !== 0) throw new Fault('DRILL_NOT_ISOLATED', `The negative probes could not be made: ${text}`);
  const { control, results } = JSON.parse(text) as ProbeAnswer;
  if (!control.isReached)
    throw new Fault('DRILL_NOT_ISOLATED', `The negative probes prove nothing: not even the loopback was reached (${control.text})`);
  return probes.map((one, i) => ({ ...one, ...results[i]! }));
}

export function howProbed({ wish }: Probe): string {
  if (wish.method === 'route') return `route to ${wish.address}`;
  if (wish.method === 'dns') return `DNS query for ${wish.name}`;
  if (wish.method === 'tcp') return `TCP to ${wish.host} port ${wish.port}`;
  return wish.method === 'unix' ? 'connection to the socket' : 'making a file';
}

function hostAndPort(address: string): { readonly host: string; readonly port: number | undefined } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(address)!;
  return { host: (bracketed ?? plain)!, port: port === undefined ? undefined : Number(port) };
}

/** None when nobody knows the name: then only the name itself can be tried. */
async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).slice(0, ADDRESSES_MAX).map(({ address }) => address);
  } catch {
    return [];
  }
}

function listeningSockets(work: string): string[] {
  const paths = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, , , flags, , , , ...path] = line.split(' ').filter((word) => word !== '');
      return path.length > 0 && path[0]!.startsWith('/') && Number.parseInt(flags!, 16) & LISTENS ? [path.join(' ')] : [];
    });
  return [...new Set(paths)].filter((path) => !path.startsWith(`${work}/`)).slice(0, SOCKETS_MAX);
}
