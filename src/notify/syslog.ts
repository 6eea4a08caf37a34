// Events to a syslog server: RFC 5424 messages, in one datagram (RFC 5426), or over TCP or TLS with octet counting (RFC 6587, RFC 5425).

import { createSocket } from 'node:dgram';
import { isIP, isIPv6, type Socket, connect as tcpConnect } from 'node:net';
import { hostname } from 'node:os';
import { connect as tlsConnect } from 'node:tls';
import type { Event, Severity } from '../model/event.ts';
import type { SyslogChannel } from './channel.ts';
import { onOneLine } from './event-text.ts';
import { failed, messageOf, SENT, type SendContext, type SendOutcome } from './send.ts';

const LOCAL0 = 16;
const TIMEOUT_MS = 10_000;
const CLOSE_WAIT_MS = 1_000;
/** Receivers must take 480 bytes and should take 2,048 (RFC 5424, 6.1). */
const MESSAGE_BYTES_MAX = 2048;
const SEVERITY: Readonly<Record<Severity, number>> = { info: 6, warning: 4, critical: 2 };
const PORTS = { udp: 514, tcp: 514, tls: 6514 } as const;

export async function sendSyslog(channel: SyslogChannel, context: SendContext): Promise<SendOutcome> {
  const { transport, host, timeoutMs = TIMEOUT_MS } = channel;
  const port = channel.port ?? PORTS[transport];
  const message = syslogMessage(context.event, channel.facility ?? LOCAL0, hostname());
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([context.signal, timeout]);
  try {
    if (transport === 'udp') await sendDatagram(message, host, port, signal);
    else await sendStream(message, channel, port, signal);
    return SENT;
  } catch (error) {
    return failed(
      timeout.aborted
        ? `${host}:${port} did not take the message within ${timeoutMs} ms`
        : `${host}:${port} was not reached: ${messageOf(error)}`,
    );
  }
}

/** `<PRI>1 TIME HOST holdfast - KIND [holdfast@32473 event="..." ...] MESSAGE` */
export function syslogMessage(event: Event, facility: number, host: string): Buffer {
  const header = `<${facility * 8 + SEVERITY[event.severity]}>1 ${event.at} ${nameOf(host, 255)} holdfast - ${nameOf(event.kind, 32)}`;
  const parameters = [
    ['event', event.id],
    ['severity', event.severity],
    ['tenant', event.tenantId],
    ['asset', event.assetId],
    ['run', event.runId],
  ].flatMap(([name, value]) => (value === undefined ? [] : [` ${name}="${value.replace(/["\\\]]/g, '\\$&')}"`]));
  // 32473 is the number for examples (RFC 5612): Holdfast has none of its own.
  const text = [event.message, event.cause && `Cause: ${event.cause}`, event.action && `What to do: ${event.action}`]
    .filter(Boolean)
    .map((part) => onOneLine(part as string))
    .join(' ');
  const bytes = Buffer.from(`${header} [holdfast@32473${parameters.join('')}] \ufeff${text}`);
  if (bytes.length <= MESSAGE_BYTES_MAX) return bytes;
  return Buffer.from(
    bytes
      .subarray(0, MESSAGE_BYTES_MAX)
      .toString('utf8')
      .replace(/\ufffd+$/, ''),
  );
}

/** Printable ASCII without spaces; "-" for none. */
function nameOf(text: string, charsMax: number): string {
  return text.replace(/[^\x21-\x7e]/g, '').slice(0, charsMax) || '-';
}

async function sendDatagram(message: Buffer, host: string, port: number, signal: AbortSignal): Promise<void> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', signal });
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.on('error', reject);
      // Connected, so that a refusal by the host itself is heard if it comes in time.
      socket.connect(port, host, () => socket.send(message, (error) => (error === null ? resolve() : reject(error))));
    });
  } finally {
    if (!signal.aborted) socket.close();
  }
}

async function sendStream(message: Buffer, { transport, host }: SyslogChannel, port: number, signal: AbortSignal): Promise<void> {
  const socket: Socket =
    transport === 'tls'
      ? tlsConnect({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}) })
      : tcpConnect({ host, port });
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.on('error', reject);
      socket.on('close', () => resolve());
      socket.on('data', () => {});
      // A server that has read the end closes its side, too. One that does not has had time to refuse.
      socket.on('finish', () => setTimeout(resolve, CLOSE_WAIT_MS).unref());
      socket.end(Buffer.concat([Buffer.from(`${message.length} `), message]));
    });
  } finally {
    socket.destroy();
  }
}
