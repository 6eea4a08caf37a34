import { availableParallelism } from 'node:os';
import type { OptionValues } from './option.ts';

const THREADS_MAX = 8;

export function threadsOf(options: OptionValues): number {
  return options.count('threads') ?? Math.min(availableParallelism(), THREADS_MAX);
}
