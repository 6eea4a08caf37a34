// "HOST:PORT" as an option.

import { usage } from './option.ts';

export type ListenAddress = { readonly host: string; readonly port: number };

/** "127.0.0.1:8480", "[::1]:8480", ":8480" (every address). Throws USAGE. */
export function readListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw usage(`"${text}" is no address to listen at`, 'Give HOST:PORT, e.g. 127.0.0.1:8480.');
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}
