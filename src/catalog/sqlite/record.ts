// Records as rows: a field is a column of the same name in snake_case; what is absent is NULL; what is nested is JSON text.

import { Fault } from '../../base/faults.ts';
import type { Row } from './connection.ts';

export type ColumnKind = 'text' | 'integer' | 'flag' | 'json';
export type Shape<T> = { readonly [K in keyof T]-?: ColumnKind };

export type RecordCodec<T> = {
  readonly table: string;
  /** For SELECT and RETURNING. */
  readonly columns: string;
  /** INSERT INTO table (all columns, and `more`) VALUES (parameters by the names of the fields). */
  insert(...more: readonly string[]): string;
  /** Parameters by the names of the fields. */
  encode(value: T): Row;
  decode(row: Row): T;
  decodeOne(row: Row | undefined): T | undefined;
};

export function recordCodec<T extends object>(table: string, shape: Shape<T>): RecordCodec<T> {
  const fields = Object.entries(shape) as [string, ColumnKind][];
  const named = fields.map(([field, kind]) => ({ field, kind, column: snakeCase(field) }));
  const decode = (row: Row): T => {
    const value: Row = {};
    for (const { field, kind, column } of named) if (row[column] !== null) value[field] = decoded(row[column], kind, table, column);
    return value as T;
  };
  return {
    table,
    columns: named.map(({ column }) => quoted(column)).join(', '),
    insert: (...more) => {
      const all = [...fields.map(([field]) => field), ...more];
      const columns = all.map((field) => quoted(snakeCase(field))).join(', ');
      return `INSERT INTO ${table} (${columns}) VALUES (${all.map((field) => `@${field}`).join(', ')})`;
    },
    encode: (value) => {
      const row: Row = {};
      for (const { field, kind } of named) row[field] = encoded((value as Row)[field], kind);
      return row;
    },
    decode,
    decodeOne: (row) => (row === undefined ? undefined : decode(row)),
  };
}

export function encodedJson(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function encoded(value: unknown, kind: ColumnKind): unknown {
  if (value === undefined) return null;
  if (kind === 'flag') return value === true ? 1 : 0;
  return kind === 'json' ? JSON.stringify(value) : value;
}

function decoded(value: unknown, kind: ColumnKind, table: string, column: string): unknown {
  if (kind === 'flag') return value !== 0;
  if (kind !== 'json') return value;
  try {
    return JSON.parse(value as string);
  } catch {
    // Without the cause: its message would quote what is stored.
    throw new Fault('CATALOG_DAMAGED', `The catalogue holds something unreadable in ${table}.${column}.`);
  }
}

function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function quoted(column: string): string {
  return `"${column}"`;
}
