// What a restore run is told: the `parameters` of runs of kind "restore".

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { RecoveryPoint } from './recovery-point.ts';

export const RestoreOrder = Type.Object(
  {
    snapshot: RecoveryPoint.properties.snapshot,
    /** Directory (files) or file or device (volume) on the agent's host. */
    target: Type.String({ pattern: '^/[^\\u0000]*$', maxLength: 4096 }),
    /** Only this part of a snapshot of files. */
    path: Type.Optional(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]*$' })),
    /** Bring what is there up to date instead of restoring into an empty place. */
    delta: Type.Optional(Type.Boolean()),
    /** Read everything again afterwards and compare. */
    verify: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type RestoreOrder = Static<typeof RestoreOrder>;
