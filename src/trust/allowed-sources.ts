// From where somebody may come: CIDR blocks of a tenant, for people, tokens, agents, and the agents that are restored to. No block: from
// everywhere. An address that cannot be read is in no block. An IPv4 address inside of IPv6 (::ffff:a.b.c.d) is the IPv4 address.

import { BlockList, isIP } from 'node:net';

export type Block = { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' };

/** "10.0.0.0/8", "2001:db8::/32", or one address. Undefined when it is none. */
export function parseBlock(text: string): Block | undefined {
  const match = /^([0-9A-Fa-f.:]{2,45})(?:\/(\d{1,3}))?$/.exec(text);
  const version = match === null ? 0 : isIP(match[1]!);
  if (match === null || version === 0) return undefined;
  const most = version === 4 ? 32 : 128;
  const bits = match[2] === undefined ? most : Number(match[2]);
  return bits > most ? undefined : { address: match[1]!, bits, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** The entries of a list that are no blocks. */
export function wrongBlocks(list: readonly string[]): string[] {
  return list.filter((text) => parseBlock(text) === undefined);
}

export function isSourceAllowed(list: readonly string[], address: string | undefined): boolean {
  if (list.length === 0) return true;
  const plain = plainAddress(address);
  const version = isIP(plain);
  if (version === 0) return false;
  const blocks = new BlockList();
  for (const text of list) {
    const block = parseBlock(text);
    if (block !== undefined) blocks.addSubnet(block.address, block.bits, block.family);
  }
  return blocks.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}

/** Without what maps IPv4 into IPv6, and without a zone. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}
