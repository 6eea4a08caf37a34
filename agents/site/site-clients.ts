// From a site's configuration to who it speaks with: the registry, and one client for each site, its own included. Daemons and orchestrators
// use the same, with the key of the site that they run at.

import type { SigningPair } from '../../src/codec/signature.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { openEtcd } from '../../src/registry/etcd.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { bootMs } from '../gate/boot-clock.ts';
import { SiteClient } from './site-client.ts';
import type { SiteConfig } from './site-config.ts';
import { decodeKey } from './site-message.ts';

export function openSiteRegistry({ registry }: SiteConfig): Registry {
  return registry.etcd === undefined ? openEmbeddedRegistry(registry.embedded!) : openEtcd({ endpoints: registry.etcd });
}

/** By site. Whoever gets them closes them. */
export function siteClients(
  config: SiteConfig,
  pair: SigningPair,
  random: (bytes: number) => Uint8Array,
): ReadonlyMap<string, SiteClient> {
  const { host, port } = listenAddress(config.listen);
  const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const own = { site: config.site, url: `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`, key: pair.verifyKey };
  const peers = (config.peers ?? []).map(({ site, url, key }) => ({ site, url, key: decodeKey(key) }));
  const clients = [own, ...peers].map((peer) => new SiteClient({ ...peer, from: config.site, pair, random, nowMs: bootMs }));
  return new Map(clients.map((client) => [client.site, client]));
}

/** "[::1]:7410", ":7410" (every address). */
export function listenAddress(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':');
  const host = text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? '0.0.0.0' : host, port: Number(text.slice(at + 1)) };
}
