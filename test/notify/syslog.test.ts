import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { SyslogChannel } from '../../src/notify/channel.ts';
import { sendSyslog, syslogMessage } from '../../src/notify/syslog.ts';
import { contextOf, EVENT } from './scene.ts';

/** RFC 5424: PRI, version, time, host, program, process, kind, structured data, text. */
const MESSAGE = /^<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (\[(?:[^\]\\]|\\.)*\]) \ufeff(.*)$/s;

const channel = (transport: 'udp' | 'tcp', port: number): SyslogChannel => ({
  kind: 'syslog',
  name: 'ops',
  host: '127.0.0.1',
  port,
  transport,
  timeoutMs: 3000,
});

describe('a syslog message', () => {
  it('is one of RFC 5424: facility and severity, time, kind, ids as structured data, and the text', () => {
    const [, priority, time, host, program, process, kind, data, text] = MESSAGE.exec(
      syslogMessage(EVENT, 16, 'host 1').toString(),
    )!;
    expect({ priority, time, host, program, process, kind }).toEqual({
      priority: String(16 * 8 + 2),
      time: EVENT.at,
      host: 'host1',
      program: 'holdfast',
      process: '-',
      kind: 'objective.broken',
    });
    expect(data).toContain(`event="${EVENT.id}"`);
    expect(text).toContain('What to do: Start the agent on web1');
  });

  it('stays one message of bounded length, whatever the event says', () => {
    const bytes = syslogMessage({ ...EVENT, message: `first\n<13>1 second ${'长'.repeat(3000)}` }, 16, 'host');
    expect(bytes.length).toBeLessThanOrEqual(2048);
    expect(bytes.toString()).not.toMatch(/[\n\ufffd]/);
  });

  it('arrives over UDP as one datagram', async () => {
    const socket = createSocket('udp4');
    onTestFinished(() => void socket.close());
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const arrived = once(socket, 'message') as Promise<[Buffer]>;
    expect(await sendSyslog(channel('udp', socket.address().port), contextOf())).toEqual({ kind: 'sent' });
    expect((await arrived)[0].toString()).toMatch(MESSAGE);
  });

  it('arrives over TCP with its length before it, whether or not the server closes', async () => {
    for (const closes of [true, false]) {
      const server = createServer({ allowHalfOpen: !closes });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const arrived = new Promise<string>((resolve) =>
        server.on('connection', (socket) => {
          let text = '';
          socket.on('data', (piece) => (text += piece));
          socket.on('error', () => {});
          socket.on('end', () => resolve(text));
        }),
      );
      onTestFinished(() => void server.close());
      const { port } = server.address() as AddressInfo;
      expect(await sendSyslog(channel('tcp', port), contextOf())).toEqual({ kind: 'sent' });
      const [, length, message] = /^(\d+) (.*)$/s.exec(await arrived)!;
      expect(Buffer.byteLength(message!)).toBe(Number(length));
      expect(message).toMatch(MESSAGE);
    }
  });

  it('that nobody takes over TCP has failed and is tried again', async () => {
    expect(await sendSyslog(channel('tcp', 1), contextOf())).toMatchObject({ kind: 'failed' });
  });
});
