// Reads server-sent events out of a body.

export type ServerEvent = { readonly id: string | undefined; readonly kind: string; readonly data: string };

const EVENT_CHARS_MAX = 4 * 1024 * 1024;

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const event = eventOf(text.slice(0, end));
      text = text.slice(end + 2);
      if (event !== undefined) yield event;
    }
    if (text.length > EVENT_CHARS_MAX) throw new Error('an event of the stream is too long');
  }
}

/** Undefined: a heartbeat. */
function eventOf(block: string): ServerEvent | undefined {
  let id: string | undefined;
  let kind = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
    if (name === 'id') id = value;
    else if (name === 'event') kind = value;
    else if (name === 'data') data.push(value);
  }
  return data.length === 0 ? undefined : { id, kind, data: data.join('\n') };
}
