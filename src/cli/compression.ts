import { usage } from './option.ts';

const LEVELS: Readonly<Record<string, number>> = { fast: -3, better: 6 };
const LEVEL_MIN = -7;
const LEVEL_MAX = 19;

/** A zstd level from a word or a number; undefined: what the engine finds right. */
export function levelOf(text = 'default'): number | undefined {
  if (text === 'default') return undefined;
  const level = LEVELS[text] ?? (/^-?\d{1,2}$/.test(text) ? Number(text) : Number.NaN);
  if (level >= LEVEL_MIN && level <= LEVEL_MAX) return level;
  throw usage(`--compression must be fast, default, better, or a level from ${LEVEL_MIN} to ${LEVEL_MAX}; "${text}" is not`);
}
