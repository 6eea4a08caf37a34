// The posture: what is promised of each asset, and whether it is kept, as last judged.

import { Type } from '../../base/type.ts';
import { Id } from '../../model/identifier.ts';
import { Instant } from '../../model/instant.ts';
import { PAGE_ITEMS_MAX } from '../../model/page.ts';
import { route } from '../route.ts';

const Objective = Type.Union([Type.Literal('rpo'), Type.Literal('window'), Type.Literal('proof'), Type.Literal('copies')]);
const PromiseState = Type.Object(
  {
    assetId: Id,
    tenantId: Id,
    objective: Objective,
    isKept: Type.Boolean(),
    measured: Type.Optional(Type.Number({ description: 'seconds' })),
    promised: Type.Number({ description: 'seconds' }),
    since: Instant,
    judgedAt: Instant,
  },
  { additionalProperties: false, $id: 'PromiseState' },
);
const Posture = Type.Object(
  {
    assets: Type.Integer({ description: 'active ones' }),
    kept: Type.Integer({ description: 'objectives' }),
    broken: Type.Integer({ description: 'objectives' }),
    unpromised: Type.Array(Id, { description: 'active assets of which nothing is promised' }),
    items: Type.Array(PromiseState, { description: 'the broken ones first' }),
  },
  { additionalProperties: false, $id: 'Posture' },
);

export const PROMISE_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/promises',
    name: 'getPosture',
    tag: 'promises',
    summary: 'What is promised, and whether it is kept',
    action: 'promise.read',
    query: { isKept: Type.Optional(Type.Boolean({ description: 'only those that are kept, or only those that are broken' })) },
    answers: { 200: { description: 'All objectives of all assets', schema: Posture } },
    handle: async ({ catalog, tenant, query }) => {
      const states = await catalog.promises.list(tenant.id);
      const active: string[] = [];
      let after: string | undefined;
      do {
        const page = await catalog.assets.list(tenant.id, { limit: PAGE_ITEMS_MAX, ...(after === undefined ? {} : { after }) });
        active.push(...page.items.filter(({ state }) => state === 'active').map(({ id }) => id));
        after = page.next;
      } while (after !== undefined);
      const promised = new Set(states.map(({ assetId }) => assetId));
      const kept = states.filter(({ isKept }) => isKept).length;
      return {
        status: 200,
        body: {
          assets: active.length,
          kept,
          broken: states.length - kept,
          unpromised: active.filter((id) => !promised.has(id)),
          items: states
            .filter(({ isKept }) => query.isKept === undefined || query.isKept === isKept)
            .sort((a, b) => Number(a.isKept) - Number(b.isKept)),
        },
      };
    },
  }),
];
