// A policy as people write it (YAML): what is promised of an asset, and how. Closed: a key that is not here is an error.
//
// The schema is the only description of the form: the type, `policies/policy.schema.json` (for editors) and the messages of
// read-policy.ts are made from it. Whoever adds a key writes its `description`: it is what people are told was expected.
// What a document means, with durations in milliseconds and everything inherited, is an `EffectivePolicy` (effective-policy.ts).

import type { Static, TSchema } from 'typebox';
import { Type } from '../base/type.ts';
import { Label, Name } from '../model/identifier.ts';
import { DURATION_PATTERN } from './duration.ts';
import { SIZE_PATTERN } from './size.ts';

const closed = <P extends Record<string, TSchema>>(properties: P, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });
const may = <T extends TSchema>(schema: T) => Type.Optional(schema);

const duration = (what: string) =>
  Type.String({ pattern: DURATION_PATTERN, description: `${what}: a time such as 15m, 36h or 30d` });
const size = (what: string) => Type.String({ pattern: SIZE_PATTERN, description: `${what}: a size such as 512KiB or 10GiB` });
const count = (what: string) =>
  Type.Integer({ minimum: 0, maximum: 100_000, description: `${what}: a whole number from 0 to 100000` });
const clock = (what: string) =>
  Type.String({ pattern: '^(?:[01]\\d|2[0-3]):[0-5]\\d$', description: `${what}: a time of day from "00:00" to "23:59"` });
const timeZone = (what: string) =>
  Type.String({
    pattern: '^[A-Za-z][A-Za-z0-9_+/-]{0,63}$',
    description: `${what}: an IANA time zone such as Asia/Shanghai or UTC`,
  });

const Window = closed(
  { from: clock('when it opens'), to: clock('when it closes (may be on the next day)') },
  'the hours in which runs may begin: from and to',
);

const ScheduleEntry = closed(
  {
    cron: Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        'when: minute, hour, day of the month, month and day of the week, or @hourly, @daily, @weekly, @monthly, @yearly',
    }),
    timeZone: may(timeZone('whose clock cron and window mean')),
    window: may(Window),
    jitter: may(duration('spreads assets over this time after the moment')),
    startWithin: may(duration('a run that did not begin so long after its moment is given up, and said to have been missed')),
    afterLog: may(size('begin earlier when so much log (or change) has gathered')),
    continuousLog: may(Type.Boolean({ description: 'archive the log of a database as it is written: true or false' })),
  },
  'an entry of the schedule, with cron and more',
);

const Retention = closed(
  {
    keepLast: may(count('how many of the newest to keep')),
    hourly: may(count('of how many hours to keep the newest')),
    daily: may(count('of how many days')),
    weekly: may(count('of how many ISO weeks')),
    monthly: may(count('of how many months')),
    yearly: may(count('of how many years')),
    within: may(duration('keep whatever is at most so much older than the newest')),
    keepTags: may(
      Type.Array(
        Type.Array(Type.String({ minLength: 1, maxLength: 200, description: 'a tag' }), {
          minItems: 1,
          maxItems: 20,
          description: 'a list of tags that a snapshot must all have',
        }),
        { maxItems: 50, description: 'lists of tags; a snapshot with all tags of one list is kept' },
      ),
    ),
    legalHold: may(Type.Boolean({ description: 'nothing at all is forgotten while this is true: true or false' })),
  },
  'what to keep; the rules add up',
);

const Copy = closed(
  {
    site: Type.String({ ...Name, description: 'name of the site that holds the copy: lower-case letters, digits and "-"' }),
    immutability: may(duration('for how long nobody can delete it there')),
    maxLag: may(duration('how far the copy may be behind')),
  },
  'a copy at a site',
);

const Period = (what: string) => closed({ every: duration(what), window: may(Window) }, `${what}, as "every"`);

const Verify = closed(
  {
    scrub: may(Period('how often stored objects are read and compared with their names, without any key')),
    sampled: may(
      closed(
        {
          every: duration('how often a share of the packs is read and proved'),
          share: Type.String({
            pattern: '^(?:100|[1-9]?\\d(?:\\.\\d{1,3})?)%$',
            description: 'which share of the packs: a percentage such as 5%',
          }),
          window: may(Window),
        },
        'proving a random share of the packs',
      ),
    ),
    full: may(Period('how often every byte is read and proved')),
    restoreTest: may(
      closed(
        {
          every: duration('how often the newest snapshot is really restored and compared'),
          target: may(
            Type.String({
              pattern: '^(?:scratch|/[^\\u0000]*)$',
              maxLength: 4096,
              description: 'where to: "scratch" (a directory of the agent that is removed afterwards), or an absolute path',
            }),
          ),
          window: may(Window),
        },
        'a rehearsal of a restore',
      ),
    ),
  },
  'how often what is stored is proved: scrub, sampled, full, restoreTest',
);

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type WeekDay = (typeof DAYS)[number];

const BandwidthRule = closed(
  {
    from: may(clock('when it begins')),
    to: may(clock('when it ends')),
    days: may(
      Type.Array(
        Type.Unsafe<WeekDay>(Type.String({ enum: [...DAYS], description: 'a day: mon, tue, wed, thu, fri, sat or sun' })),
        { minItems: 1, maxItems: 7, description: 'on which days it begins: a list of mon, tue, wed, thu, fri, sat, sun' },
      ),
    ),
    upload: may(size('bytes a second to the store at the most')),
    download: may(size('bytes a second from the store at the most')),
  },
  'a limit of bandwidth; without from and to: all day. The smallest of all that apply counts',
);

const Limits = closed(
  {
    bandwidth: may(Type.Array(BandwidthRule, { maxItems: 50, description: 'a list of limits by hour' })),
    concurrency: may(
      closed(
        {
          perHost: may(
            Type.Integer({ minimum: 1, maximum: 1000, description: 'runs at once on a host: a whole number from 1 to 1000' }),
          ),
          perSite: may(
            Type.Integer({
              minimum: 1,
              maximum: 100_000,
              description: 'runs at once at the site of a host ("holdfast agents place"): a whole number from 1 to 100000',
            }),
          ),
        },
        'how many runs at once: perHost, perSite',
      ),
    ),
    priority: may(Type.Integer({ minimum: 0, maximum: 100, description: 'greater goes first: a whole number from 0 to 100' })),
  },
  'what runs may use: bandwidth, concurrency, priority',
);

const Hook = closed(
  {
    command: Type.Array(Type.String({ minLength: 1, maxLength: 4096, description: 'a word of the command' }), {
      minItems: 1,
      maxItems: 100,
      description: 'the command as a list of words, the program by its absolute path first; no shell looks at it',
    }),
    timeout: duration('after which it is ended and has failed'),
    onFailure: may(
      Type.Unsafe<'fail' | 'warn'>(
        Type.String({
          enum: ['fail', 'warn'],
          description: 'what its failure makes of the run: fail or warn (absent: fail before, warn after)',
        }),
      ),
    ),
  },
  'a command and its timeout',
);
const hooks = (when: string) => Type.Array(Hook, { maxItems: 20, description: `commands that run on the host ${when}` });

export const PolicyDocument = closed(
  {
    name: Type.String({ ...Name, description: 'the name of the policy: lower-case letters, digits and "-", 63 at the most' }),
    label: may(Type.String({ ...Label, description: 'what people see: one line' })),
    extends: may(Type.String({ ...Name, description: 'the name of a policy that this one tightens' })),
    timeZone: may(timeZone('whose clock everything means that names none')),
    objectives: may(
      closed(
        {
          rpo: may(duration('how much work may be lost at the most')),
          rto: may(duration('how long a recovery may take at the most')),
          proofAge: may(duration('how old the last proof of recovery may be at the most')),
        },
        'what is promised: rpo, rto, proofAge',
      ),
    ),
    recoveryWindow: may(duration('how far back one can return at least')),
    schedule: may(Type.Array(ScheduleEntry, { minItems: 1, maxItems: 20, description: 'a list of entries with cron' })),
    retention: may(Retention),
    copies: may(Type.Array(Copy, { maxItems: 20, description: 'a list of copies at sites' })),
    verify: may(Verify),
    limits: may(Limits),
    hooks: may(closed({ before: may(hooks('before a backup')), after: may(hooks('after a backup')) }, 'commands before and after')),
    prune: may(Period('how often what nobody needs any more is freed')),
  },
  'a policy',
);
export type PolicyDocument = Static<typeof PolicyDocument>;
