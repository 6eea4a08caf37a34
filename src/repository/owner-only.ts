import { Fault } from '../base/faults.ts';
import type { Repository } from './repository.ts';

/** For what must see every asset's maps: KEY_CANNOT_READ with a writer's key. */
export function mustBeOwner(repository: Repository): void {
  if (repository.keyring.role === 'owner') return;
  throw new Fault('KEY_CANNOT_READ', 'This key is for writing backups of one asset: it cannot see what the others need');
}
