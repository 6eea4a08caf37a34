// Events by mail.

import { Socket } from 'node:net';
import { createTransport } from 'nodemailer';
import type { MailChannel } from './channel.ts';
import { linesOf, subjectOf } from './event-text.ts';
import { failed, messageOf, SENT, type SendContext, type SendOutcome } from './send.ts';

/** All of it: a server that says a little now and then, and never comes to an end, is as one that says nothing. */
const TIMEOUT_MS = 60_000;

export async function sendMail(channel: MailChannel, context: SendContext): Promise<SendOutcome> {
  const { event, delivery, readSecret } = context;
  const { host, user, security = 'starttls', timeoutMs = TIMEOUT_MS } = channel;
  const password = channel.password === undefined ? undefined : await readSecret(channel.password);
  const socket = new Socket();
  const transport = createTransport({
    socket,
    host,
    port: channel.port ?? (security === 'tls' ? 465 : security === 'starttls' ? 587 : 25),
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(user === undefined || password === undefined ? {} : { auth: { user, pass: password } }),
    // Ours ends it.
    connectionTimeout: 2 * timeoutMs,
    greetingTimeout: 2 * timeoutMs,
    socketTimeout: 2 * timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([context.signal, timeout]);
  try {
    const sending = transport.sendMail({
      from: channel.from,
      to: [...channel.to],
      subject: subjectOf(event),
      text: `${linesOf(event).join('\n')}\n`,
      // The same for each attempt: mail programs show what came twice once.
      messageId: `<${event.id}.${delivery.channel}@holdfast>`,
      headers: { 'Holdfast-Event': event.id, 'Auto-Submitted': 'auto-generated' },
    });
    const { rejected } = await Promise.race([sending, endOf(signal)]);
    return rejected.length === 0 ? SENT : { kind: 'sent', refused: channel.to.filter((one) => rejected.includes(one)) };
  } catch (error) {
    if (timeout.aborted) return failed(`${host} did not take the mail within ${timeoutMs} ms`);
    const { responseCode, code } = error as { responseCode?: number; code?: string };
    const said = responseCode === undefined ? (code ?? 'no answer') : `status ${responseCode}`;
    // What the server said may repeat what it was told: only its code goes into messages, except for failures to connect.
    const isOfNetwork = responseCode === undefined && code !== 'EAUTH';
    return failed(`${host} did not take the mail: ${isOfNetwork ? messageOf(error) : said}`);
  } finally {
    transport.close();
    // What a transport closes of itself is a connection that nothing is done on.
    socket.destroy();
  }
}

/** Rejects when it is aborted, or has been. */
function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
