// Pages by cursor: one row more than asked for tells whether there is a next page.

import { PAGE_ITEMS_MAX, type Page, type PageRequest } from '../../model/page.ts';

/** Rows to ask for. */
export function rowsFor(page: PageRequest): number {
  return limitOf(page) + 1;
}

export function pageOf<T>(items: readonly T[], page: PageRequest, cursorOf: (item: T) => string): Page<T> {
  const limit = limitOf(page);
  if (items.length <= limit) return { items };
  return { items: items.slice(0, limit), next: cursorOf(items[limit - 1]!) };
}

function limitOf(page: PageRequest): number {
  return Math.max(1, Math.min(PAGE_ITEMS_MAX, Math.floor(page.limit)));
}
