// Text of others (names of assets, hosts and tags, messages about files) must not drive the terminal of who reads it.

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through.
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Control characters, but not line breaks and tabs, become escapes. */
export function printable(text: string): string {
  return text.replace(CONTROL, escaped);
}

/** As `printable`, for what stands within a line. */
export function inLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, escaped);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}
