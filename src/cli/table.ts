// Columns for people.

import { inLine } from './printable.ts';

export type Column = { readonly title: string; readonly align?: 'right' };

/** Lines without blanks at their ends. */
export function tableLines(columns: readonly Column[], texts: readonly (readonly string[])[]): string[] {
  const rows = texts.map((row) => row.map(inLine));
  const widths = columns.map(({ title }, c) =>
    rows.reduce((most, row) => Math.max(most, displayWidth(row[c] ?? '')), displayWidth(title)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, c) => {
        const cell = cells[c] ?? '';
        const blanks = ' '.repeat(widths[c]! - displayWidth(cell));
        return align === 'right' ? blanks + cell : cell + blanks;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...rows.map(line)];
}

/** Cells of a terminal: East Asian characters take two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text)
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  return width;
}

/** Local time, "2026-01-31 23:59:59". */
export function formatTime(moment: string | Date): string {
  const date = new Date(moment);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
