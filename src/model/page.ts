// A slice of a list that goes on from a cursor.

/** `after`: the cursor that the page before ended with. At most 500 items. */
export type PageRequest = { readonly after?: string; readonly limit: number };
export type Page<T> = { readonly items: readonly T[]; readonly next?: string };
export const PAGE_ITEMS_MAX = 500;
