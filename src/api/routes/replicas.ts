// Copies of the tenant's repository at other sites.

import { Type } from '../../base/type.ts';
import { Replica, replicasSetting } from '../../model/replica.ts';
import { route } from '../route.ts';

const Replicas = Type.Object({ items: Type.Array(Replica) }, { additionalProperties: false, $id: 'Replicas' });

export const REPLICA_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/replicas',
    name: 'listReplicas',
    tag: 'promises',
    summary: 'Show the copies of the repository at other sites, as they were seen last',
    description:
      'They are looked at every minute, at all sites that the service was told of. Which assets must be there is promised by policies.',
    action: 'promise.read',
    answers: { 200: { description: 'One for each site', schema: Replicas } },
    handle: async ({ catalog, tenant }) => {
      const text = await catalog.settings.get(replicasSetting(tenant.id));
      return { status: 200, body: { items: text === undefined ? [] : (JSON.parse(text) as Replica[]) } };
    },
  }),
];
