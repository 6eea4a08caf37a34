// The object `repository`: what a store must hold to be one. See README.md.

import { Fault } from '../base/faults.ts';
import { isMoment } from './closed-record.ts';
import { type JsonLimits, parseJson } from './json.ts';

export const FORMAT_VERSION = 1;
/** What the object is at the most. */
export const REPOSITORY_OBJECT_BYTES_MAX = 64 * 1024;
const LIMITS: JsonLimits = { bytesMax: REPOSITORY_OBJECT_BYTES_MAX, itemsMax: 1000 };
export const SUITE = 'aes-256-gcm+blake3';

export type ContentChunking = { readonly minBytes: number; readonly averageBytes: number; readonly maxBytes: number };
export type PagedChunking = {
  readonly unitBytes: number;
  readonly groupUnits: number;
  readonly fileBytesMin: number;
  readonly pageBytes: number;
};

export type RepositoryParameters = {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly createdAt: string;
  readonly packBytes: number;
  readonly blockBytes: number;
  readonly content: ContentChunking;
  readonly paged: PagedChunking;
};

export const DEFAULT_PARAMETERS = {
  packBytes: 8 * 1024 * 1024,
  blockBytes: 1024 * 1024,
  content: { minBytes: 64 * 1024, averageBytes: 256 * 1024, maxBytes: 1024 * 1024 },
  paged: { unitBytes: 16 * 1024, groupUnits: 16, fileBytesMin: 128 * 1024, pageBytes: 4096 },
} as const;

export function encodeRepositoryObject(parameters: RepositoryParameters): Uint8Array {
  const { id, createdAt, packBytes, blockBytes, content, paged } = parameters;
  const value = {
    holdfast: FORMAT_VERSION,
    id: Buffer.from(id).toString('hex'),
    suite: SUITE,
    createdAt,
    packBytes,
    blockBytes,
    chunking: { content, paged },
  };
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

export function decodeRepositoryObject(bytes: Uint8Array, location: string): RepositoryParameters {
  const value = parse(bytes, location);
  const { holdfast, suite } = value;
  if (!Number.isSafeInteger(holdfast) || (holdfast as number) < 1) throw notARepository(location);
  if ((holdfast as number) > FORMAT_VERSION) {
    throw new Fault(
      'FORMAT_TOO_NEW',
      `The repository at ${location} has format ${holdfast}; this program reads up to ${FORMAT_VERSION}`,
    );
  }
  if (suite !== SUITE)
    throw new Fault('FORMAT_TOO_NEW', `The repository at ${location} uses the crypto suite ${JSON.stringify(suite)}, unknown here`);
  if (!isMoment(value['createdAt'])) throw notARepository(location);
  const chunking = (value['chunking'] ?? {}) as Record<string, Record<string, unknown>>;
  const number = (from: Record<string, unknown> | undefined, key: string, min: number, max: number): number => {
    const n = from?.[key];
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < min || n > max) throw notARepository(location);
    return n;
  };
  const { content, paged } = chunking;
  const unitBytes = number(paged, 'unitBytes', 4096, 1 << 20);
  const parameters: RepositoryParameters = {
    id: hexBytes(value['id'], 16, location),
    createdAt: value['createdAt'],
    packBytes: number(value, 'packBytes', 1 << 20, 128 << 20),
    blockBytes: number(value, 'blockBytes', 64 << 10, 4 << 20),
    content: {
      minBytes: number(content, 'minBytes', 1024, 1 << 20),
      averageBytes: number(content, 'averageBytes', 1024, 4 << 20),
      maxBytes: number(content, 'maxBytes', 1024, 4 << 20),
    },
    paged: {
      unitBytes,
      groupUnits: number(paged, 'groupUnits', 1, 256),
      fileBytesMin: number(paged, 'fileBytesMin', 1, Number.MAX_SAFE_INTEGER),
      pageBytes: number(paged, 'pageBytes', 512, 1 << 20),
    },
  };
  if (!areConsistent(parameters)) throw notARepository(location);
  return parameters;
}

/** Chunks and groups fit into blocks. */
function areConsistent({ content, paged, blockBytes }: RepositoryParameters): boolean {
  const { minBytes, averageBytes, maxBytes } = content;
  return (
    minBytes <= averageBytes &&
    averageBytes <= maxBytes &&
    maxBytes <= blockBytes &&
    paged.unitBytes * paged.groupUnits <= blockBytes
  );
}

function parse(bytes: Uint8Array, location: string): Record<string, unknown> {
  try {
    const value = parseJson(bytes, 'The object "repository"', LIMITS);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw notARepository(location, cause);
  }
  throw notARepository(location);
}

function hexBytes(value: unknown, length: number, location: string): Uint8Array {
  if (typeof value !== 'string' || !/^[0-9a-f]*$/.test(value) || value.length !== 2 * length) throw notARepository(location);
  return Buffer.from(value, 'hex');
}

function notARepository(location: string, cause?: unknown): Fault {
  return new Fault('FORMAT_NOT_A_REPOSITORY', `The object "repository" at ${location} is not one that Holdfast wrote`, { cause });
}
