// A number from a text, always the same one: spreads assets over time without randomness. Not for secrets.

/** 0 <= answer < `below`, evenly spread; `below` is a whole number up to 2^52. */
export function stableNumber(text: string, below: number): number {
  const high = mixed(text, 0x811c9dc5);
  const low = mixed(text, 0x01000193);
  // 52 bits as a fraction: a remainder would prefer small numbers.
  return Math.floor(((high * 2 ** 20 + (low >>> 12)) / 2 ** 52) * below);
}

/** FNV-1a over UTF-16 units, and a finish that makes neighbours ("ast_1", "ast_2") differ in all bits. */
function mixed(text: string, start: number): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
