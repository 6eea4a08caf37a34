// Which network addresses are nobody's but ours: loopback, private, link-local (cloud metadata lies there), multicast and reserved ones.
// The check is made on the address that is connected to, after the name was looked up: a name that changes its mind gains nothing.

import { lookup as lookUp } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const PRIVATE: readonly (readonly [address: string, bits: number, family: 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
];
/** All that is not global unicast, and tunnels that carry an IPv4 address inside. */
const PRIVATE6: readonly (readonly [address: string, bits: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

let guard: { readonly v4: BlockList; readonly v6: BlockList; readonly global6: BlockList } | undefined;

function lists(): NonNullable<typeof guard> {
  if (guard !== undefined) return guard;
  const [v4, v6, global6] = [new BlockList(), new BlockList(), new BlockList()];
  for (const [address, bits] of PRIVATE) v4.addSubnet(address, bits, 'ipv4');
  for (const [address, bits] of PRIVATE6) v6.addSubnet(address, bits, 'ipv6');
  global6.addSubnet('2000::', 3, 'ipv6');
  guard = { v4, v6, global6 };
  return guard;
}

/** True for an address that the whole world may have. False for what is no address. */
export function isPublicAddress(address: string): boolean {
  const { v4, v6, global6 } = lists();
  const family = isIP(address);
  if (family === 4) return !v4.check(address, 'ipv4');
  // "::ffff:10.0.0.1" and the like are outside of 2000::/3.
  return family === 6 && global6.check(address, 'ipv6') && !v6.check(address, 'ipv6');
}

export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError';
}

/** A look-up that answers public addresses only. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookUp(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '', 0);
    const allowed = addresses.filter(({ address }) => isPublicAddress(address));
    if (allowed.length === 0) return callback(new PrivateAddressError(`${hostname} is an address of the own network`), '', 0);
    if (options.all === true) return callback(null, allowed);
    callback(null, allowed[0]!.address, allowed[0]!.family);
  });
};
