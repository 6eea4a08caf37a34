// Events by mail.

import { createTransport } from 'nodemailer';
import type { MailChannel } from './channel.ts';
import { linesOf, subjectOf } from './event-text.ts';
import { failed, messageOf, SENT, type SendContext, type SendOutcome } from './send.ts';

const TIMEOUT_MS = 20_000;

export async function sendMail(channel: MailChannel, context: SendContext): Promise<SendOutcome> {
  const { event, delivery, readSecret } = context;
  const { host, user, security = 'starttls', timeoutMs = TIMEOUT_MS } = channel;
  const password = channel.password === undefined ? undefined : await readSecret(channel.password);
  const transport = createTransport({
    host,
    port: channel.port ?? (security === 'tls' ? 465 : security === 'starttls' ? 587 : 25),
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(user === undefined || password === undefined ? {} : { auth: { user, pass: password } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const close = (): void => transport.close();
  context.signal.addEventListener('abort', close, { once: true });
  try {
    await transport.sendMail({
      from: channel.from,
      to: [...channel.to],
      subject: subjectOf(event),
      text: `${linesOf(event).join('\n')}\n`,
      // The same for each attempt: mail programs show what came twice once.
      messageId: `<${event.id}.${delivery.channel}@holdfast>`,
      headers: { 'Holdfast-Event': event.id, 'Auto-Submitted': 'auto-generated' },
    });
    return SENT;
  } catch (error) {
    const { responseCode, code } = error as { responseCode?: number; code?: string };
    const said = responseCode === undefined ? (code ?? 'no answer') : `status ${responseCode}`;
    // What the server said may repeat what it was told: only its code goes into messages, except for failures to connect.
    const isOfNetwork = responseCode === undefined && code !== 'EAUTH';
    return failed(
      `${host} did not take the mail: ${isOfNetwork ? messageOf(error) : said}`,
      code === 'EENVELOPE' && said.includes('55'),
    );
  } finally {
    context.signal.removeEventListener('abort', close);
    transport.close();
  }
}
