// What an erasure cannot reach, and says so on its certificate.

import type { Remaining } from '../model/erasure.ts';

export type RemainsOf = {
  readonly location: string;
  readonly sites: readonly string[];
  readonly hasObjectLock: boolean;
  readonly lockedUntil?: string | undefined;
};

export function remainsOf({ location, sites, hasObjectLock, lockedUntil }: RemainsOf): readonly Remaining[] {
  const replicas =
    sites.length === 0
      ? 'wherever one was made'
      : `at the sites that policies name (${sites.join(', ')}), and wherever else one was made`;
  return [
    ...(hasObjectLock ? locked(location, lockedUntil) : []),
    {
      what: 'replicas',
      where: replicas,
      means:
        'A replica of the repository is ciphertext without its key. A replica of the repository of the service itself may hold the passphrase, sealed with that of the service, until its replication has followed, or for ever when it keeps all.',
    },
    {
      what: 'copies-of-keys',
      where: 'with whoever made them',
      means:
        'Passphrases and keys that people have exported or written down, and data that was restored, are not known to the service.',
    },
    {
      what: 'records',
      where: 'the catalogue of the service, its backups and its audit',
      means:
        'Names of the tenant, its people, agents and assets, its runs and events as long as history is kept, its usage and its audit for good. No content, and no key.',
    },
    {
      what: 'media',
      where: 'disks of the store and of the host of the service',
      means:
        'What was deleted may lie there until it is written over. The passphrase was written over in its file before it was deleted.',
    },
  ];
}

function locked(location: string, until: string | undefined): readonly Remaining[] {
  return [
    {
      what: 'locked-ciphertext',
      where: location,
      means: `The store keeps versions of deleted objects ${
        until === undefined
          ? 'until a rule of it drops them; none was locked'
          : `to the end of their locks, the last of which ends on ${until}`
      }. They are ciphertext, and its key is destroyed.`,
    },
    {
      what: 'locked-backups',
      where: 'the repository of the service itself, in the same store',
      means:
        'Older backups of the service hold the passphrase, sealed with that of the service, to the end of their lock: until then whoever may read old versions there and has the passphrase of the service could open the ciphertext.',
    },
  ];
}
