// Verifying logs: every object that the catalogues of logs promise is there, opens, and says of itself what its name says; sampled or whole
// also that its bytes are those that were written. What is damaged is named with the time that it costs.
//
// Captures and trims may go on meanwhile: what looks damaged is looked at once more, in a log that is opened anew.

import { forEachBounded } from '../base/bounded.ts';
import { Fault, isFault } from '../base/faults.ts';
import { textOfMicros } from '../model/instant-text.ts';
import type { LogMark } from '../model/log-mark.ts';
import { formatLsn } from '../model/lsn.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hex, unhex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import type { CallOptions } from '../store/object-store.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import { readLogIndex, readLogObject } from './log-objects.ts';
import type { EpochReader } from './log-reader.ts';
import { LogView } from './log-view.ts';

const READS_IN_FLIGHT_MAX = 4;
const ASSET_KEY = /^log\/([0-9a-f]{32})\//;

/** Faults that mean damage of the object at hand; all others end the verification. */
const isDamage = (error: unknown): error is Error =>
  isFault(error, 'FORMAT_DAMAGED', 'FORMAT_TOO_NEW', 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER', 'KEY_NOT_FOUND', 'LOG_GAP');

export type DamagedLog = {
  readonly assetId: Uint8Array;
  /** Its name; '' when it has no snapshot. */
  readonly asset: string;
  readonly key: string;
  readonly epoch: string;
  /** Last part of the key. */
  readonly object: string;
  readonly timeline: number;
  readonly from: number;
  readonly to: number;
  /** The last transaction before it and the first one behind it, Unix microseconds; 0: none is known. */
  readonly after: number;
  readonly before: number;
  /** Another epoch has the same log: nothing is missing from the window. */
  readonly isElsewhere: boolean;
  readonly cause: string;
};

export type VerifiedLogs = {
  readonly objects: number;
  readonly objectsRead: number;
  readonly bytesRead: number;
  readonly damaged: readonly DamagedLog[];
  /** Recorded as lost, and whole again: read just now. */
  readonly mended: readonly Pick<DamagedLog, 'assetId' | 'epoch' | 'object'>[];
};

export type VerifyLogsOptions = {
  readonly snapshots: readonly Snapshot[];
  /** Whether the bytes of an object are to be read. */
  readonly isRead: (key: string) => boolean;
};

type Sums = { objects: number; objectsRead: number; bytesRead: number; mended: VerifiedLogs['mended'][number][] };

export async function verifyLogs(
  repository: Repository,
  { snapshots, isRead }: VerifyLogsOptions,
  options: CallOptions,
): Promise<VerifiedLogs> {
  const names = new Map(snapshots.map(({ asset }) => [hex(repository.keyring.assetId(asset)), asset]));
  const found = new Set<string>();
  for await (const page of repository.store.list('log/', options)) {
    for (const { key } of page) {
      const id = ASSET_KEY.exec(key)?.[1];
      if (id !== undefined) found.add(id);
    }
  }
  const sums: Sums = { objects: 0, objectsRead: 0, bytesRead: 0, mended: [] };
  const damaged: DamagedLog[] = [];
  for (const id of new Set([...names.keys(), ...found])) {
    const asset = { id: unhex(id), name: names.get(id) ?? '', hasObjects: found.has(id) };
    damaged.push(...(await verifyAsset(repository, asset, isRead, sums, options)));
  }
  return { ...sums, damaged };
}

type Asset = { readonly id: Uint8Array; readonly name: string; readonly hasObjects: boolean };

/** An epoch is in it before its first object is stored. */
function lostCatalogue({ id, name }: Asset, key: string): DamagedLog {
  const nothing = { epoch: '', object: '', timeline: 0, from: 0, to: 0, after: 0, before: 0, isElsewhere: false };
  return { assetId: id, asset: name, key, ...nothing, cause: 'the catalogue of the log is not there' };
}

async function verifyAsset(
  repository: Repository,
  asset: Asset,
  isRead: (key: string) => boolean,
  sums: Sums,
  options: CallOptions,
): Promise<DamagedLog[]> {
  const register = `logs/${hex(asset.id)}`;
  if ((await repository.store.read(register, options)) === undefined)
    return asset.hasObjects ? [lostCatalogue(asset, register)] : [];
  const { epochs } = await new LogCatalogueKeeper(repository, asset.id).read(options);
  const damaged: DamagedLog[] = [];
  for (const incarnation of new Set(epochs.map((epoch) => epoch.incarnation))) {
    const view = (await LogView.open(repository, asset.id, incarnation, options))!;
    const suspects = await lookAt(repository, view, isRead, sums, options);
    if (suspects.size === 0) continue;
    const again = (await LogView.open(repository, asset.id, incarnation, options))!;
    const none = { objects: 0, objectsRead: 0, bytesRead: 0, mended: [] };
    const causes = await lookAt(repository, again, (key) => suspects.has(key) && isRead(key), none, options);
    damaged.push(...(await describe(asset, again, causes)));
  }
  return damaged;
}

/** Key -> what is wrong with it. */
async function lookAt(
  repository: Repository,
  view: LogView,
  isRead: (key: string) => boolean,
  sums: Sums,
  options: CallOptions,
): Promise<Map<string, string>> {
  const causes = new Map<string, string>();
  for (const { reader, lost } of view.epochs) {
    const keys = {
      metadata: repository.keys.metadataKey(unhex(reader.epoch.epoch), view.assetId),
      data: await repository.keys.dataKey(unhex(reader.epoch.epoch), options).catch((error: unknown) => {
        if (!isDamage(error)) throw error;
        return error.message;
      }),
    };
    const sizes = new Map([...reader.listed.sections, ...reader.listed.ranges].map(({ key, sizeBytes }) => [key, sizeBytes]));
    const check = async (n: number): Promise<void> => {
      const key = reader.keyOf(n);
      try {
        if (typeof keys.data === 'string') throw new Error(keys.data);
        sums.objects++;
        await checkIndex(repository, { reader, n, metadata: keys.metadata }, sizes.get(key), options);
        if (!isRead(key)) return;
        const { bytes } = await readLogObject(repository, { ...keys, data: keys.data }, key, options);
        sums.objectsRead++;
        sums.bytesRead += bytes.length;
      } catch (error) {
        if (!isDamage(error) && typeof keys.data !== 'string') throw error;
        causes.set(key, (error as Error).message);
      }
    };
    const numbers = reader.runs.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, i) => first + i));
    await forEachBounded(numbers, READS_IN_FLIGHT_MAX, check);
    for (const { object, cause } of lost) {
      const key = `${reader.prefix}/${object}`;
      if (!causes.has(key)) causes.set(key, cause);
      if (typeof keys.data === 'string' || !isRead(key)) continue;
      const isWhole = await readLogObject(repository, { ...keys, data: keys.data }, key, options).then(
        () => true,
        (error: unknown) => {
          if (!isDamage(error)) throw error;
          return false;
        },
      );
      if (!isWhole) continue;
      causes.delete(key);
      sums.mended.push({ assetId: view.assetId, epoch: reader.epoch.epoch, object });
    }
  }
  return causes;
}

/** That the object opens, and has the length and the place that it must have. */
async function checkIndex(
  repository: Repository,
  { reader, n, metadata }: { readonly reader: EpochReader; readonly n: number; readonly metadata: Uint8Array },
  sizeBytes: number | undefined,
  options: CallOptions,
): Promise<void> {
  const key = reader.keyOf(n);
  const index = await readLogIndex(repository, { metadata, data: undefined }, key, options);
  if (index === undefined) throw new Fault('STORE_NOT_FOUND', 'it is not there any more');
  if (n < reader.sections && (index.from !== reader.startOf(n) || index.to !== reader.endOf(n)))
    throw new Fault('FORMAT_DAMAGED', 'it holds another part of the log than its name says');
  if (sizeBytes !== undefined && sizeBytes !== index.objectBytes)
    throw new Fault('FORMAT_DAMAGED', `it has ${sizeBytes} bytes instead of ${index.objectBytes}`);
}

async function describe(asset: Asset, view: LogView, causes: ReadonlyMap<string, string>): Promise<DamagedLog[]> {
  const damaged: DamagedLog[] = [];
  for (const { reader, lost } of view.epochs) {
    const { epoch, timeline } = reader.epoch;
    const places = new Map(lost.map(({ object, from, to }) => [`${reader.prefix}/${object}`, { from, to }]));
    for (let n = 0; n < reader.count; n++) places.set(reader.keyOf(n), { from: reader.startOf(n), to: reader.endOf(n) });
    for (const [key, { from, to }] of places) {
      const cause = causes.get(key);
      if (cause === undefined) continue;
      damaged.push({
        assetId: asset.id,
        asset: asset.name,
        key,
        epoch,
        object: key.slice(key.lastIndexOf('/') + 1),
        timeline,
        from,
        to,
        ...(await timesAround(view, timeline, from, to)),
        isElsewhere: view.storedTo(timeline, from, (stretch) => stretch.reader !== reader) >= to,
        cause,
      });
    }
  }
  return damaged.sort((a, b) => a.timeline - b.timeline || a.from - b.from);
}

/** The last transaction before a part of the log and the first one behind it; 0 where it cannot be said. */
export async function timesAround(
  view: LogView,
  timeline: number,
  from: number,
  to: number,
): Promise<Pick<DamagedLog, 'after' | 'before'>> {
  const timeOf = async (mark: Promise<LogMark | undefined>): Promise<number> => {
    try {
      return (await mark)?.time ?? 0;
    } catch (error) {
      // What lies beside it is damaged, too.
      if (isDamage(error)) return 0;
      throw error;
    }
  };
  const isTransaction = ({ kind }: LogMark): boolean => kind === 'commit' || kind === 'abort';
  return {
    after: await timeOf(view.last(timeline, 0, from)),
    before: await timeOf(view.find(timeline, to, Number.POSITIVE_INFINITY, isTransaction)),
  };
}

/** For people. */
export function damageText({ asset, timeline, from, to, after, before, isElsewhere, cause }: DamagedLog): string {
  const time = (micros: number, otherwise: string): string => (micros === 0 ? otherwise : textOfMicros(micros));
  const cost = isElsewhere
    ? 'the same log is stored once more, so the window is whole'
    : `the window has lost what came after ${time(after, 'its beginning')} and up to ${time(before, 'its end')}`;
  return `${cause}; log of ${asset === '' ? 'an asset without snapshots' : asset}, timeline ${timeline}, ${formatLsn(from)} to ${formatLsn(to)}: ${cost}`;
}

/** Writes down what was found, so that no window and no restore leads over it. */
export async function recordDamage(
  repository: Repository,
  { damaged, mended }: Pick<VerifiedLogs, 'damaged' | 'mended'>,
  now: Date,
  options: CallOptions,
): Promise<void> {
  for (const { assetId, epoch, object, from, to, cause } of damaged) {
    const lost = { object, from, to, at: now.toISOString(), cause };
    if (epoch !== '') await new LogCatalogueKeeper(repository, assetId).addLost(epoch, [lost], options);
  }
  for (const { assetId, epoch, object } of mended)
    await new LogCatalogueKeeper(repository, assetId).dropLost(epoch, new Set([object]), options);
}
