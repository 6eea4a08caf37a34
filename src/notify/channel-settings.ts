// The channels as they are kept: one setting of the catalogue, JSON of the closed schema; and the secrets that they name, as files.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { Fault } from '../base/faults.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import { type Channel, ChannelList } from './channel.ts';

export const CHANNELS_SETTING = 'notify.channels';
const SECRET_BYTES_MAX = 64 * 1024;
const SECRET_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

let checker: ReturnType<typeof Compile<typeof ChannelList>> | undefined;

/** CHANNEL_INVALID with what is wrong and where. */
export function parseChannels(value: unknown): ChannelList {
  checker ??= Compile(ChannelList);
  if (!checker.Check(value)) {
    const [first] = checker.Errors(value);
    throw new Fault(
      'CHANNEL_INVALID',
      `The channels are not valid at "${first?.instancePath || '/'}": ${first?.message ?? 'wrong form'}`,
    );
  }
  const names = value.channels.map(({ name }) => name);
  const twice = names.find((name, n) => names.indexOf(name) !== n);
  if (twice !== undefined) throw new Fault('CHANNEL_INVALID', `Two channels have the name "${twice}"`);
  return value;
}

export async function readChannels(tables: Pick<CatalogTables, 'settings'>): Promise<readonly Channel[]> {
  const text = await tables.settings.get(CHANNELS_SETTING);
  return text === undefined ? [] : parseChannels(JSON.parse(text)).channels;
}

/** CHANNEL_INVALID. */
export async function writeChannels(tables: Pick<CatalogTables, 'settings'>, list: unknown): Promise<void> {
  await tables.settings.set(CHANNELS_SETTING, JSON.stringify(parseChannels(list)));
}

/** A reader of the files of a directory by their names. CHANNEL_SECRET_MISSING; the text without its last line break. */
export function secretReader(directory: string): (name: string) => Promise<string> {
  return async (name) => {
    if (!SECRET_NAME.test(name)) throw new Fault('CHANNEL_SECRET_MISSING', 'The name of a secret is none');
    let bytes: Buffer;
    try {
      bytes = await readFile(join(directory, name));
    } catch (cause) {
      throw new Fault('CHANNEL_SECRET_MISSING', `The secret "${name}" cannot be read from the secrets directory`, { cause });
    }
    if (bytes.length > SECRET_BYTES_MAX) throw new Fault('CHANNEL_SECRET_MISSING', `The secret "${name}" is too long to be one`);
    return bytes.toString('utf8').replace(/\r?\n$/, '');
  };
}
