// A plan of disaster recovery as people write it (YAML): what moves together to the other site, in which order, who decides, within which
// limits of time, and how it is proven that it works there. Closed: a key that is not here is an error.
//
// The schema is the only description of the form, as that of a policy is: the type, `policies/plan.schema.json` and the messages of
// read-plan.ts are made from it. What is executed and what is printed as a runbook are both made of `planRun` (plan-run.ts).

import type { Static, TSchema } from 'typebox';
import { Type } from '../base/type.ts';
import { PLAN_RUN_KINDS } from '../model/failover-kind.ts';
import { Label, Name } from '../model/identifier.ts';
import { DURATION_PATTERN } from '../policy/duration.ts';

const closed = <P extends Record<string, TSchema>>(properties: P, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });
const may = <T extends TSchema>(schema: T) => Type.Optional(schema);
const list = <T extends TSchema>(items: T, description: string, { minItems = 0, maxItems = 100 } = {}) =>
  Type.Array(items, { minItems, maxItems, description });
const duration = (what: string) =>
  Type.String({ pattern: DURATION_PATTERN, description: `${what}: a time such as 30s, 15m or 1h30m` });
const name = (what: string) => Type.String({ ...Name, description: `${what}: lower-case letters, digits and "-"` });
const label = (what: string) => Type.String({ ...Label, description: `${what}: one line` });
const choice = <const T extends readonly string[]>(what: string, choices: T) =>
  Type.Unsafe<T[number]>(Type.String({ enum: [...choices], description: `${what}: ${choices.join(', ')}` }));
const count = (what: string, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description: `${what}: a whole number from ${minimum} to ${maximum}` });
const path = (what: string) =>
  Type.String({ pattern: '^/[^\\u0000-\\u001f]*$', maxLength: 4096, description: `${what}: an absolute path` });
const address = (what: string) =>
  Type.String({
    pattern: '^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|\\[[0-9a-fA-F:]{2,45}\\])(?::[0-9]{1,5})?$',
    maxLength: 260,
    description: `${what}: a host, or host:port`,
  });
const command = (what: string) =>
  list(
    Type.String({ minLength: 1, maxLength: 4096, description: 'a word of the command' }),
    `${what}: the command as a list of words, the program by its absolute path first; no shell looks at it`,
    { minItems: 1 },
  );

const Step = closed(
  {
    name: name('the name of the step'),
    label: may(label('what people read')),
    labelZh: may(label('the same in Chinese')),
    command: may(command('what is run')),
    gate: may(label('a question that people answer before it goes on; instead of a command')),
    gateZh: may(label('the same in Chinese')),
    approvers: may(count('how many people must say yes at a gate', 1, 5)),
    at: may(choice('where the command runs (absent: target)', ['target', 'source'])),
    limit: duration('how long it may take; then it has failed'),
    onFailure: may(choice('what its failure means (absent: stop)', ['stop', 'continue'])),
    only: may(list(choice('a kind of run', PLAN_RUN_KINDS), 'in which runs (absent: in all)', { minItems: 1, maxItems: 4 })),
  },
  'a step, with name, limit, and a command or a gate',
);

const steps = (when: string) => list(Step, `steps ${when}`, { maxItems: 50 });

const Member = closed(
  {
    asset: label('the asset, as it is called in its policy'),
    kind: choice('what it is', ['postgres', 'files', 'volume']),
    replayLimit: duration('how long catching up with the sealed log may take'),
    startLimit: duration('how long starting it may take'),
  },
  'an asset that moves, with asset, kind, replayLimit, startLimit',
);

const Group = closed(
  {
    name: name('the name of the group'),
    label: may(label('what people read')),
    labelZh: may(label('the same in Chinese')),
    after: may(list(name('a group'), 'groups that must be up before this one begins')),
    consistency: may(choice('what holds between its members (absent: none)', ['barrier', 'epsilon', 'none'])),
    epsilon: may(duration('how far apart in time its members may be, when consistency is epsilon')),
    members: list(Member, 'a list of assets', { minItems: 1 }),
    drain: may(steps('at the source before it is fenced, while it still runs (not in unplanned runs)')),
    before: may(steps('before its members are promoted')),
    afterwards: may(steps('after its members were promoted, before routes change')),
  },
  'a group of assets that move together',
);

const Route = closed(
  {
    name: name('the name of the route'),
    label: may(label('what people read')),
    labelZh: may(label('the same in Chinese')),
    group: name('the group whose clients it leads'),
    kind: choice('what it is', ['haproxy', 'pgbouncer', 'hook']),
    source: may(address('where it leads to at the source')),
    target: may(address('where it leads to at the target')),
    listen: may(address('where clients connect to')),
    file: may(path('of the configuration that is written')),
    command: command('what puts it into force; HOLDFAST_SITE and HOLDFAST_EPOCH tell it where clients are led to'),
    limit: duration('how long that may take'),
  },
  'a route of clients, with name, group, kind, command, limit',
);

const Proof = choice('a proof of fencing', ['demotion', 'power-off', 'expiry']);

export const PlanDocument = closed(
  {
    name: name('the name of the plan'),
    label: may(label('what people read')),
    labelZh: may(label('the same in Chinese')),
    version: count('raised with every change', 1, 1_000_000),
    sites: closed(
      { source: name('where it runs'), target: name('where it goes'), witness: may(name('the third place, which breaks ties')) },
      'source, target and witness',
    ),
    objectives: closed(
      {
        rpo: duration('how much work may be lost at the most'),
        rto: duration('how long until clients can write again at the most'),
      },
      'what is promised: rpo and rto',
    ),
    approvals: closed(
      {
        planned: count('people who approve a planned switch', 1, 5),
        unplanned: count('people who approve an unplanned one', 1, 5),
        breakGlass: count('people who may go on without proof of fencing', 2, 5),
      },
      'how many people must agree: planned, unplanned, breakGlass',
    ),
    lease: closed(
      {
        ttl: duration('how long the source may write without renewing its lease'),
        margin: duration('how much longer the target waits'),
        onLeaseLoss: choice('what the source does when it cannot renew', ['stop', 'continue']),
      },
      'the right to write: ttl, margin, onLeaseLoss',
    ),
    fencing: closed(
      {
        proofs: list(Proof, 'which proofs are accepted; at least one', { minItems: 1, maxItems: 3 }),
        powerOff: may(command('what cuts the site that HOLDFAST_SITE names off from power or network')),
        readBack: may(command('what sees independently that this has happened')),
        limit: duration('how long fencing may take'),
      },
      'how the source is kept from writing: proofs, limit, powerOff, readBack',
    ),
    groups: list(Group, 'groups of assets', { minItems: 1 }),
    routes: may(list(Route, 'routes of clients')),
    smokeTests: list(Step, 'what proves that the application works at the target', { minItems: 1, maxItems: 50 }),
    drill: may(
      closed(
        {
          every: may(duration('how often it is rehearsed')),
          limit: duration('after which a drill is taken down, whatever it does'),
          probes: list(address('something that a drill must not reach'), 'addresses of production', { minItems: 1 }),
        },
        'the rehearsal: every, limit, probes',
      ),
    ),
  },
  'a plan',
);
export type PlanDocument = Static<typeof PlanDocument>;
export type PlanGroup = PlanDocument['groups'][number];
export type PlanStep = Static<typeof Step>;
export type PlanRoute = Static<typeof Route>;
export type FencingProof = Static<typeof Proof>;
