import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RobotChannel } from '../../src/notify/channel.ts';
import { sendToRobot } from '../../src/notify/robot.ts';
import { startReceiver } from './receiver.ts';
import { contextOf, EVENT, NOW } from './scene.ts';

const robot = (kind: RobotChannel['kind'], url: string, more: Partial<RobotChannel> = {}): RobotChannel => ({
  kind,
  name: 'ops',
  url,
  token: 'robot-token',
  allowPrivate: true,
  ...more,
});

describe('a robot', () => {
  it('of DingTalk gets Markdown, with its token and signature in the query', async () => {
    const receiver = await startReceiver((response) => response.end('{"errcode":0,"errmsg":"ok"}'));
    const secrets = { 'robot-token': 'tok', sign: 'SEC123' };
    const outcome = await sendToRobot(robot('dingtalk', `${receiver.url}/robot/send`, { secret: 'sign' }), contextOf(secrets));
    expect(outcome).toEqual({ kind: 'sent' });
    const [{ url, body }] = receiver.received as [(typeof receiver.received)[0]];
    const timestamp = String(NOW.getTime());
    expect(Object.fromEntries(new URL(url, receiver.url).searchParams)).toEqual({
      access_token: 'tok',
      timestamp,
      sign: createHmac('sha256', 'SEC123').update(`${timestamp}\nSEC123`).digest('base64'),
    });
    const { msgtype, markdown } = JSON.parse(body) as { msgtype: string; markdown: { title: string; text: string } };
    expect(msgtype).toBe('markdown');
    expect(markdown.title).toContain('objective.broken');
    expect(markdown.text).toContain('What to do: Start the agent on web1');
  });

  it('of WeCom gets Markdown of at most 4,096 bytes, whatever the event says', async () => {
    const receiver = await startReceiver((response) => response.end('{"errcode":0}'));
    const event = { ...EVENT, message: '备份失败 <@all> '.repeat(300) };
    expect(await sendToRobot(robot('wecom', receiver.url), contextOf({ 'robot-token': 'k' }, event))).toEqual({ kind: 'sent' });
    const [{ url, body }] = receiver.received as [(typeof receiver.received)[0]];
    expect(url).toBe('/?key=k');
    const { markdown } = JSON.parse(body) as { markdown: { content: string } };
    expect(Buffer.byteLength(markdown.content)).toBeLessThanOrEqual(4096);
    expect(markdown.content).not.toContain('<@all>');
    expect(markdown.content).not.toContain('\ufffd');
  });

  it('that refuses with a code in a good answer has refused, and its token is in no message', async () => {
    const receiver = await startReceiver((response) => response.end('{"errcode":310000,"errmsg":"bad tok"}'));
    const outcome = await sendToRobot(robot('dingtalk', receiver.url), contextOf({ 'robot-token': 'tok' }));
    expect(outcome).toEqual({ kind: 'failed', message: 'The dingtalk robot refused with code 310000' });
  });

  it('that answers with something else than JSON has not taken it', async () => {
    const receiver = await startReceiver((response) => response.end('<html>'));
    expect(await sendToRobot(robot('wecom', receiver.url), contextOf({ 'robot-token': 'k' }))).toMatchObject({ kind: 'failed' });
  });
});
