/** Sends a signal to every process of a group; none when it is gone. */
export function killGroup(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name);
  } catch {
    // It is gone.
  }
}
