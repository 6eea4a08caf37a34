// One page of a list of the catalogue, as an answer.

import type { Page, PageRequest } from '../model/page.ts';
import type { Answer, Call } from './route.ts';
import { limitOf, type PageQuery } from './schema.ts';

/** `list`: what names the list, so that its cursors are its own. */
export async function answerPage<T>(
  call: Call<PageQuery>,
  list: string,
  read: (page: PageRequest) => Promise<Page<T>>,
  show: (item: T) => unknown = (item) => item,
): Promise<Answer> {
  const { cursors, query, tenant } = call;
  const name = `${list} ${tenant?.id ?? ''}`;
  const after = query.after === undefined ? undefined : await cursors.open(name, query.after);
  const page = await read({ ...(after === undefined ? {} : { after }), limit: limitOf(query) });
  const next = page.next === undefined ? {} : { next: await cursors.sign(name, page.next) };
  return { status: 200, body: { items: page.items.map(show), ...next } };
}
