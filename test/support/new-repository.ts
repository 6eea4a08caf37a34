import { onTestFinished } from 'vitest';
import type { Repository } from '../../src/repository/repository.ts';
import { openRepository } from './repository.ts';

/** A new repository that is closed when the test ends. */
export async function newRepository(directory: string): Promise<Repository> {
  const repository = await openRepository(directory, { init: true });
  onTestFinished(() => repository.close());
  return repository;
}
