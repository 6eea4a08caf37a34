// The group robots of DingTalk and WeCom: both take Markdown in JSON and answer {"errcode": 0} with status 200, or another code.
//
// DingTalk may ask for a signature: base64 of HMAC-SHA256 over "timestamp\nsecret" with the secret, in the query beside the timestamp in ms.

import { createHmac } from 'node:crypto';
import type { Event } from '../model/event.ts';
import type { RobotChannel } from './channel.ts';
import { linesOf, subjectOf } from './event-text.ts';
import { outcomeOfStatus, post } from './http-post.ts';
import { failed, SENT, type SendContext, type SendOutcome } from './send.ts';

const DINGTALK_URL = 'https://oapi.dingtalk.com/robot/send';
const WECOM_URL = 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send';
/** Of the text: WeCom takes 4,096 bytes of Markdown, DingTalk 20,000 of the whole request. */
const TEXT_BYTES_MAX = 4000;

export async function sendToRobot(channel: RobotChannel, context: SendContext): Promise<SendOutcome> {
  const { event, now, readSecret, signal } = context;
  const token = await readSecret(channel.token);
  const secret = channel.secret === undefined ? undefined : await readSecret(channel.secret);
  const url = channel.kind === 'dingtalk' ? dingTalkUrl(channel, token, secret, now) : weComUrl(channel, token);
  const answer = await post({
    url,
    body: JSON.stringify(channel.kind === 'dingtalk' ? dingTalkBody(event) : weComBody(event)),
    headers: {},
    allowPrivate: channel.allowPrivate,
    timeoutMs: channel.timeoutMs,
    signal,
  });
  if (answer.kind !== 'answered') return answer;
  const outcome = outcomeOfStatus(url, answer.status);
  return outcome.kind === 'sent' ? outcomeOfAnswer(channel.kind, answer.body) : outcome;
}

function dingTalkUrl(channel: RobotChannel, token: string, secret: string | undefined, now: Date): string {
  const query = new URLSearchParams({ access_token: token });
  if (secret !== undefined) {
    const timestamp = String(now.getTime());
    query.set('timestamp', timestamp);
    query.set('sign', createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64'));
  }
  return `${channel.url ?? DINGTALK_URL}?${query}`;
}

function weComUrl(channel: RobotChannel, token: string): string {
  return `${channel.url ?? WECOM_URL}?${new URLSearchParams({ key: token })}`;
}

function dingTalkBody(event: Event): unknown {
  return { msgtype: 'markdown', markdown: { title: subjectOf(event), text: markdownOf(event) } };
}

function weComBody(event: Event): unknown {
  return { msgtype: 'markdown', markdown: { content: markdownOf(event) } };
}

function markdownOf(event: Event): string {
  const text = [`### ${escaped(subjectOf(event))}`, '', ...linesOf(event).map(escaped)].join('\n');
  const bytes = Buffer.from(text);
  if (bytes.length <= TEXT_BYTES_MAX) return text;
  // A cut character becomes a replacement mark, which is dropped.
  return `${bytes
    .subarray(0, TEXT_BYTES_MAX)
    .toString('utf8')
    .replace(/\ufffd+$/, '')}...`;
}

/** Names of files and hosts are text, not links and mentions. */
function escaped(text: string): string {
  return text.replace(/[\\`*_[\]<>@]/g, '\\$&');
}

function outcomeOfAnswer(kind: RobotChannel['kind'], body: string): SendOutcome {
  let code: unknown;
  try {
    code = (JSON.parse(body) as { errcode?: unknown }).errcode;
  } catch {
    return failed(`The ${kind} robot answered with something that is no JSON`);
  }
  // Wrong tokens and busy robots have codes of their own, and both can be mended meanwhile.
  return code === 0 ? SENT : failed(`The ${kind} robot refused with code ${typeof code === 'number' ? code : 'unknown'}`);
}
