// One text for one value: JSON with the keys of objects in order, without white space. What is hashed and signed is this text.
//
// A value counts as it will be read again out of a database or a file: what JSON leaves out (undefined) is left out, a date is its
// text, and half of a surrogate pair, which no UTF-8 can hold, is U+FFFD.

export function canonicalJson(value: unknown): string {
  return canonical(JSON.parse(JSON.stringify(value)));
}

function canonical(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed());
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key.toWellFormed())}:${canonical(field)}`).join(',')}}`;
}
