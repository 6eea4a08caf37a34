// A JSON schema as the text of a file, for editors: completion, descriptions and red lines while one types.

const LINE_CHARS_MAX = 132;

/** As the formatter of this project leaves it. */
export function schemaText(title: string, document: object): string {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', title, ...document };
  return `${JSON.stringify(schema, null, 2).replace(/^(.*)\[\n((?: *"[^"\n]*",?\n)+) *\](,?)$/gm, oneLine)}\n`;
}

/** Short lists of texts stand on one line. */
function oneLine(lines: string, before: string, items: string, after: string): string {
  const line = `${before}[${items.trim().replace(/\n\s*/g, ' ')}]${after}`;
  return line.length <= LINE_CHARS_MAX ? line : lines;
}
