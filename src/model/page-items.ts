// All items of a list that comes in pages.

import { PAGE_ITEMS_MAX, type Page, type PageRequest } from './page.ts';

export async function* eachItem<T>(list: (page: PageRequest) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  let after: string | undefined;
  do {
    const page: Page<T> = await list({ limit: PAGE_ITEMS_MAX, ...(after === undefined ? {} : { after }) });
    yield* page.items;
    after = page.next;
  } while (after !== undefined);
}

/** At most `countMax`. */
export async function firstItems<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  countMax = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const items: T[] = [];
  for await (const item of eachItem(list)) {
    if (items.length >= countMax) break;
    items.push(item);
  }
  return items;
}
