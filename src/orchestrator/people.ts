// People as they are named at a command line: the same name in other letters, or with a blank more, is the same person.

/** Each of them once, as they were named first; who has no name is nobody. */
export function differentPeople(names: readonly string[]): string[] {
  const known = new Map<string, string>();
  for (const name of names) if (personOf(name) !== '' && !known.has(personOf(name))) known.set(personOf(name), name.trim());
  return [...known.values()];
}

export function personOf(name: string): string {
  return name.normalize('NFKC').replace(/\s+/g, ' ').trim().toLowerCase();
}
