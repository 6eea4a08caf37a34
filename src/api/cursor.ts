// Cursors of lists are the catalogue's, signed for one list of one tenant: a made-up or foreign one is refused before it reaches a query.

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Catalog } from '../catalog/catalog.ts';
import { fieldFault } from './problem.ts';

const KEY_SETTING = 'api:cursor-key';
const MAC_CHARS = 22;
export const CURSOR_PATTERN = '^[A-Za-z0-9_-]{1,600}\\.[A-Za-z0-9_-]{22}$';

export class CursorSigner {
  readonly #catalog: Catalog;
  readonly #random: (bytes: number) => Uint8Array;
  #key: Promise<Buffer> | undefined;

  constructor(catalog: Catalog, random: (bytes: number) => Uint8Array) {
    this.#catalog = catalog;
    this.#random = random;
  }

  async sign(list: string, after: string): Promise<string> {
    return `${Buffer.from(after).toString('base64url')}.${await this.#mac(list, after)}`;
  }

  async open(list: string, cursor: string): Promise<string> {
    const [encoded = '', mac = ''] = cursor.split('.');
    const after = Buffer.from(encoded, 'base64url').toString();
    const [given, right] = [Buffer.from(mac), Buffer.from(await this.#mac(list, after))];
    if (given.length !== right.length || !timingSafeEqual(given, right))
      throw fieldFault('query/after', 'is not a cursor of this list');
    return after;
  }

  async #mac(list: string, after: string): Promise<string> {
    this.#key ??= this.#load();
    return createHmac('sha256', await this.#key)
      .update(`${list}\n${after}`)
      .digest('base64url')
      .slice(0, MAC_CHARS);
  }

  /** The same for all processes on one catalogue. */
  async #load(): Promise<Buffer> {
    try {
      const text = await this.#catalog.transaction(async ({ settings }) => {
        const known = await settings.get(KEY_SETTING);
        if (known !== undefined) return known;
        const made = Buffer.from(this.#random(32)).toString('base64url');
        await settings.set(KEY_SETTING, made);
        return made;
      });
      return Buffer.from(text, 'base64url');
    } catch (error) {
      this.#key = undefined;
      throw error;
    }
  }
}
