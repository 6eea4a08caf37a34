// A program that is somebody's child must not outlive them: standard input is a pipe that nobody writes to, and its end says that they are gone,
// however they went.

/** Calls `onLost` once when standard input ends. Does not keep the process alive. Answers how to stop listening. */
export function holdLifeline(onLost: () => void): () => void {
  const { stdin } = process;
  stdin.on('end', onLost).on('error', onLost).resume();
  (stdin as { unref?: () => void }).unref?.();
  return () => {
    stdin.off('end', onLost).off('error', onLost).pause();
  };
}
