// Where events go: channels, as a closed schema. A channel names its secrets; what they are lies in files of the service's secrets directory,
// so that no setting, log, catalogue or backup of it holds one.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { SEVERITIES, type Severity } from '../model/event.ts';
import { Id, Name } from '../model/identifier.ts';

const SecretName = Type.String({
  pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 63,
  description: 'name of a file in the secrets directory of the service',
});
const Host = Type.String({ pattern: '^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252})$', maxLength: 253 });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const Url = Type.String({ pattern: '^https?://[^\\s@]+$', maxLength: 2000 });
const Address = Type.String({ pattern: '^[^\\s@<>,;"]{1,64}@[^\\s@<>,;"]{1,253}$', maxLength: 320 });

const common = {
  name: Name,
  /** Events of this severity and above; absent: all. */
  severityMin: Type.Optional(Type.Unsafe<Severity>(Type.Union(SEVERITIES.map((one) => Type.Literal(one))))),
  /** Only events of these tenants; absent: of all, and those of none. */
  tenants: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 1000 })),
  /** Only these kinds of events; "objective.*" is every one that begins so. */
  kinds: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z.-]{1,58}\\*?$' }), { minItems: 1, maxItems: 100 })),
  isPaused: Type.Optional(Type.Boolean()),
};
const http = {
  /** Addresses of the own network are refused otherwise: whoever may name a channel may not reach what only the service reaches. */
  allowPrivate: Type.Optional(Type.Boolean()),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 60_000 })),
};

export const WebhookChannel = Type.Object(
  {
    ...common,
    ...http,
    kind: Type.Literal('webhook'),
    url: Url,
    /** Signs each request: see src/notify/webhook.ts. */
    secret: Type.Optional(SecretName),
  },
  { additionalProperties: false },
);
export type WebhookChannel = Static<typeof WebhookChannel>;

export const RobotChannel = Type.Object(
  {
    ...common,
    ...http,
    kind: Type.Union([Type.Literal('dingtalk'), Type.Literal('wecom')]),
    /** The access token (DingTalk) or key (WeCom) of the robot's address. */
    token: SecretName,
    /** DingTalk: what signs each request, when the robot asks for it. */
    secret: Type.Optional(SecretName),
    /** Instead of the public service: its address up to and without "?". */
    url: Type.Optional(Url),
  },
  { additionalProperties: false },
);
export type RobotChannel = Static<typeof RobotChannel>;

export const MailChannel = Type.Object(
  {
    ...common,
    kind: Type.Literal('mail'),
    host: Host,
    port: Type.Optional(Port),
    /** starttls (required, default), tls from the first byte, or none. */
    security: Type.Optional(Type.Union([Type.Literal('starttls'), Type.Literal('tls'), Type.Literal('none')])),
    user: Type.Optional(Type.String({ maxLength: 320 })),
    password: Type.Optional(SecretName),
    from: Address,
    to: Type.Array(Address, { minItems: 1, maxItems: 100 }),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 120_000 })),
  },
  { additionalProperties: false },
);
export type MailChannel = Static<typeof MailChannel>;

export const SyslogChannel = Type.Object(
  {
    ...common,
    kind: Type.Literal('syslog'),
    host: Host,
    port: Type.Optional(Port),
    /** UDP tells nobody whether it arrived. */
    transport: Type.Union([Type.Literal('udp'), Type.Literal('tcp'), Type.Literal('tls')]),
    /** 0 to 23, default 16 (local0). */
    facility: Type.Optional(Type.Integer({ minimum: 0, maximum: 23 })),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 60_000 })),
  },
  { additionalProperties: false },
);
export type SyslogChannel = Static<typeof SyslogChannel>;

export const Channel = Type.Union([WebhookChannel, RobotChannel, MailChannel, SyslogChannel]);
export type Channel = Static<typeof Channel>;

export const ChannelList = Type.Object(
  { channels: Type.Array(Channel, { maxItems: 100 }) },
  { additionalProperties: false, $id: 'ChannelList' },
);
export type ChannelList = Static<typeof ChannelList>;
