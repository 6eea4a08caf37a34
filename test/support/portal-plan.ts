// A plan of one database: the one of protected-cluster.ts.

// biome-ignore lint/suspicious/noExplicitAny: parts of a plan, as a person would write them.
export type Loose = any;

export function portalPlan(smokeTest: object): Loose {
  return {
    name: 'portal',
    version: 1,
    sites: { source: 'site-a', target: 'site-b', witness: 'site-c' },
    objectives: { rpo: '1m', rto: '5m' },
    approvals: { planned: 1, unplanned: 2, breakGlass: 2 },
    lease: { ttl: '10s', margin: '2s', onLeaseLoss: 'stop' },
    fencing: { proofs: ['demotion', 'expiry'], limit: '1m' },
    groups: [{ name: 'database', members: [{ asset: 'pg/test', kind: 'postgres', replayLimit: '5m', startLimit: '2m' }] }],
    smokeTests: [smokeTest],
    drill: { every: '30d', limit: '5m', probes: ['192.0.2.1:5432', '203.0.113.7', '[2001:db8::1]:443'] },
  };
}
