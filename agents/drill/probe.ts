// Tries to get out of the room it is started in: a program, run by the room's keeper as the user that clones and steps run as. What it is to try
// comes as JSON in its argument, what became of it is JSON on its output. Before, it reaches something that can be reached: who could not do
// that would find nothing anywhere.

import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, isIPv6 } from 'node:net';
import { join } from 'node:path';

export const PROBE_TIMEOUT_MS = 3_000;
const SOME_PORT = 9;

export type ProbeWish =
  /** Whether the kernel knows a way to the address; no packet is sent. */
  | { readonly method: 'route'; readonly address: string }
  /** Whether a server answers for the name. */
  | { readonly method: 'dns'; readonly name: string }
  | { readonly method: 'tcp'; readonly host: string; readonly port: number }
  | { readonly method: 'unix'; readonly path: string }
  /** Whether a file can be made in the directory. */
  | { readonly method: 'write'; readonly directory: string };

export type ProbeResult = { readonly isReached: boolean; readonly text: string };
export type ProbeAnswer = { readonly control: ProbeResult; readonly results: readonly ProbeResult[] };

async function main(text: string): Promise<void> {
  const wishes = JSON.parse(text) as readonly ProbeWish[];
  const answer: ProbeAnswer = { control: await control(), results: await Promise.all(wishes.map(tried)) };
  process.stdout.write(JSON.stringify(answer));
}

async function control(): Promise<ProbeResult> {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const result = await tried({ method: 'tcp', host: '127.0.0.1', port });
  server.close();
  return result;
}

async function tried(wish: ProbeWish): Promise<ProbeResult> {
  try {
    return { isReached: true, text: await reach(wish) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { isReached: false, text: code ?? message };
  }
}

async function reach(wish: ProbeWish): Promise<string> {
  if (wish.method === 'route') return routeTo(wish.address);
  if (wish.method === 'tcp') return opened({ host: wish.host, port: wish.port });
  if (wish.method === 'unix') return opened({ path: wish.path });
  if (wish.method === 'dns') {
    const found = await new Resolver({ timeout: PROBE_TIMEOUT_MS / 2, tries: 1 }).resolve4(wish.name);
    return found.join(', ');
  }
  const path = join(wish.directory, `.holdfast-drill-${process.pid}`);
  closeSync(openSync(path, 'wx'));
  unlinkSync(path);
  return `wrote ${path}`;
}

function opened(to: { readonly host: string; readonly port: number } | { readonly path: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...to, timeout: PROBE_TIMEOUT_MS } as Parameters<typeof connect>[0] & object);
    socket.once('connect', () => {
      socket.destroy();
      resolve('connected');
    });
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`)));
    socket.once('error', reject);
  });
}

function routeTo(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.once('connect', () => {
      const from = socket.address().address;
      socket.close();
      resolve(`from ${from}`);
    });
    socket.connect(SOME_PORT, address);
  });
}

if (process.argv[1] === import.meta.filename) await main(process.argv[2]!);
