// Events as JSON to a web server.
//
// Headers: holdfast-event (the event's id: the same event may come more than once), holdfast-delivery, and with a secret
// holdfast-signature: "t=<Unix seconds>,v1=<hex HMAC-SHA256 of 't.body' with the secret>". Receivers compare in constant time and refuse an
// old t.

import { createHmac } from 'node:crypto';
import type { WebhookChannel } from './channel.ts';
import { outcomeOfStatus, post } from './http-post.ts';
import type { SendContext, SendOutcome } from './send.ts';

export async function sendWebhook(channel: WebhookChannel, context: SendContext): Promise<SendOutcome> {
  const { event, delivery, now, readSecret, signal } = context;
  const body = JSON.stringify({ event, delivery: { id: delivery.id, attempt: delivery.attempt + 1 } });
  const secret = channel.secret === undefined ? undefined : await readSecret(channel.secret);
  const answer = await post({
    url: channel.url,
    body,
    headers: {
      'holdfast-event': event.id,
      'holdfast-delivery': delivery.id,
      ...(secret === undefined ? {} : { 'holdfast-signature': signatureOf(body, secret, now) }),
    },
    allowPrivate: channel.allowPrivate,
    timeoutMs: channel.timeoutMs,
    signal,
  });
  return answer.kind === 'answered' ? outcomeOfStatus(channel.url, answer.status) : answer;
}

export function signatureOf(body: string, secret: string, now: Date): string {
  const seconds = Math.floor(now.getTime() / 1000);
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
}
