// Sizes as policies write them: "64MiB", "10GiB". Powers of 1024, and the unit says so; "10GB" is refused rather than guessed at.

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 };

export const SIZE_PATTERN = '^\\d{1,9}(?:\\.\\d{1,3})?(?:B|KiB|MiB|GiB|TiB)$';

const SIZE = new RegExp(SIZE_PATTERN);

/** Bytes; undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  if (!SIZE.test(text)) return undefined;
  const [, count, unit] = /^([\d.]+)(\w+)$/.exec(text)!;
  return Math.floor(Number(count) * UNITS[unit!]!);
}

/** 10_737_418_240 -> "10GiB"; bytes when no greater unit is exact. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    if (bytes >= UNITS[unit]! && bytes % UNITS[unit]! === 0) return `${bytes / UNITS[unit]!}${unit}`;
  }
  return `${bytes}B`;
}
