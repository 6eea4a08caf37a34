import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import type { MailChannel } from '../../src/notify/channel.ts';
import { writeChannels } from '../../src/notify/channel-settings.ts';
import { Deliverer } from '../../src/notify/deliverer.ts';
import { sendMail } from '../../src/notify/mail.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { contextOf, EVENT, NOW } from './scene.ts';

type Mailbox = { readonly port: number; readonly mails: { readonly to: string[]; readonly text: string }[] };

async function startMailbox(
  options: { readonly password?: string; readonly refuse?: number; readonly refused?: string } = {},
): Promise<Mailbox> {
  const mails: { to: string[]; text: string }[] = [];
  const { password, refuse, refused } = options;
  const server = new SMTPServer({
    authOptional: password === undefined,
    allowInsecureAuth: true,
    disabledCommands: password === undefined ? ['AUTH', 'STARTTLS'] : ['STARTTLS'],
    onAuth: (auth, _session, done) =>
      auth.password === password ? done(null, { user: auth.username ?? '' }) : done(new Error(`no: ${auth.password}`)),
    onRcptTo: ({ address }, _session, done) =>
      done(
        refuse === undefined || (refused ?? address) !== address ? null : Object.assign(new Error('no'), { responseCode: refuse }),
      ),
    onData: (stream, session, done) => {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(pieces).toString() });
        done();
      });
    },
  });
  server.on('error', () => {});
  const listener = server.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (listener.address() as AddressInfo).port, mails };
}

const channel = (port: number, more: Partial<MailChannel> = {}): MailChannel => ({
  kind: 'mail',
  name: 'ops',
  host: '127.0.0.1',
  port,
  security: 'none',
  from: 'holdfast@example.org',
  to: ['ops@example.org', 'chief@example.org'],
  ...more,
});

/** A server that keeps whoever comes waiting: with lines of a greeting that never ends, or without a word. */
async function startTarpit(greet?: string): Promise<{ readonly port: number; readonly guests: Socket[] }> {
  const guests: Socket[] = [];
  const server = createServer((guest) => {
    guests.push(guest);
    guest.on('error', () => {});
    const dripping = greet === undefined ? undefined : setInterval(() => guest.write(greet), 10);
    guest.on('close', () => clearInterval(dripping));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    for (const guest of guests) guest.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, guests };
}

describe('a mail', () => {
  it('arrives at all addresses with what happened, why, and what to do', async () => {
    const { port, mails } = await startMailbox();
    expect(await sendMail(channel(port), contextOf())).toEqual({ kind: 'sent' });
    const [mail] = mails;
    expect(mail!.to).toEqual(['ops@example.org', 'chief@example.org']);
    const text = mail!.text.replace(/=\r\n/g, '').replace(/\r\n /g, ' ');
    expect(text).toContain('Subject: [Holdfast critical] objective.broken');
    expect(text).toContain(`Holdfast-Event: ${EVENT.id}`);
    expect(text).toContain('What to do: Start the agent on web1');
  });

  it('has the same message id at each attempt', async () => {
    const { port, mails } = await startMailbox();
    for (let n = 0; n < 2; n++) await sendMail(channel(port), contextOf());
    const ids = mails.map(({ text }) => /^Message-ID: (.+?)\r$/im.exec(text)?.[1]);
    expect(ids[0]).toContain(EVENT.id);
    expect(ids[1]).toBe(ids[0]);
  });

  it('cannot carry headers that a name brought along', async () => {
    const { port, mails } = await startMailbox();
    await sendMail(channel(port), contextOf({}, { ...EVENT, message: 'a\r\nBcc: other@example.org\r\n\r\nb' }));
    const [head] = mails[0]!.text.split('\r\n\r\n');
    expect(head).not.toMatch(/^Bcc:/im);
    expect(mails[0]!.to).toHaveLength(2);
  });

  it('logs in with its secret, and a wrong one is in no message', async () => {
    const { port, mails } = await startMailbox({ password: 'right' });
    const login = { user: 'holdfast', password: 'smtp' };
    expect(await sendMail(channel(port, login), contextOf({ smtp: 'right' }))).toEqual({ kind: 'sent' });
    const refused = await sendMail(channel(port, login), contextOf({ smtp: 'wrong-secret' }));
    expect(refused).toMatchObject({ kind: 'failed', message: expect.not.stringContaining('wrong-secret') });
    expect(mails).toHaveLength(1);
  });

  it('is not sent in the open when the channel says STARTTLS', async () => {
    const { port, mails } = await startMailbox();
    expect(await sendMail(channel(port, { security: 'starttls' }), contextOf())).toMatchObject({ kind: 'failed' });
    expect(mails).toEqual([]);
  });

  it('that one of its addresses does not take has reached the others, and says which it has not', async () => {
    const { port, mails } = await startMailbox({ refuse: 550, refused: 'chief@example.org' });
    expect(await sendMail(channel(port), contextOf())).toEqual({ kind: 'sent', refused: ['chief@example.org'] });
    expect(mails[0]!.to).toEqual(['ops@example.org']);
    const catalog = await openSqliteCatalog({ path: `${scratchDirectory()}/catalog.sqlite`, now: () => NOW, random: randomBytes });
    onTestFinished(() => catalog.close());
    await writeChannels(catalog, { channels: [channel(port)] });
    const log = { info: () => {}, warn: () => {} } as never;
    const deliverer = new Deliverer(
      { catalog, now: () => NOW, random: randomBytes, log, readSecret: async () => '' },
      new AbortController().signal,
    );
    for (let n = 0; n < 3; n++) {
      await catalog.events.add({ kind: 'run.failed', severity: 'critical', message: 'It failed' }, NOW.toISOString());
      await deliverer.tell();
      await deliverer.idle();
    }
    const told = (await catalog.events.after(0, undefined, 100)).filter(({ kind }) => kind === 'delivery.recipients');
    expect(told).toMatchObject([{ severity: 'warning', cause: expect.stringContaining('chief@example.org') }]);
  });

  it('that no address takes, for good or for now, is not delivered', async () => {
    const never = await startMailbox({ refuse: 550 });
    const later = await startMailbox({ refuse: 450 });
    expect(await sendMail(channel(never.port), contextOf())).toMatchObject({ kind: 'failed' });
    expect(await sendMail(channel(later.port), contextOf())).toMatchObject({ kind: 'failed' });
  });

  it.each(['220-wait\r\n', '220 hello\r\n250-wait\r\n', 'x'])(
    'to a server that says %j without end fails in its time',
    async (greet) => {
      const { port, guests } = await startTarpit(greet);
      const outcome = await sendMail(channel(port, { timeoutMs: 300 }), contextOf());
      expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('within 300 ms') });
      await expect.poll(() => guests.every(({ closed }) => closed)).toBe(true);
    },
  );

  it('that waits for its server does not keep the service from stopping', async () => {
    const { port, guests } = await startTarpit();
    const stop = new AbortController();
    const sending = sendMail(channel(port, { timeoutMs: 600_000 }), { ...contextOf(), signal: stop.signal });
    await expect.poll(() => guests.length).toBe(1);
    stop.abort();
    expect(await sending).toMatchObject({ kind: 'failed' });
    await expect.poll(() => guests[0]!.closed).toBe(true);
  });

  it('to a server that is not there fails and is tried again', async () => {
    expect(await sendMail(channel(1, { timeoutMs: 2000 }), contextOf())).toMatchObject({ kind: 'failed' });
  });
});
