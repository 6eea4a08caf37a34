// What is said between a drill and the keeper of its room.

export type RoomLayout = {
  /** The one place that can be written to and is seen from outside: made before. */
  readonly work: string;
  /** Stay visible (read-only) although they lie where nothing else is. */
  readonly shown: readonly string[];
  /** What nobody in the room may see beside what is covered always: directories and sockets of production, secrets of who drills.
   *  None lies above `work`. */
  readonly covered: readonly string[];
};

/** Runs as nobody's root: without capabilities, and without a way to get any. */
export type RoomCommand = {
  /** Absolute path of the program first. */
  readonly words: readonly string[];
  /** Undefined: as the user that the room was made by. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly environment: Readonly<Record<string, string>>;
  /** What it prints is added to this file; absent: the end of it comes with the answer. */
  readonly log?: string;
};

export type ToRoom =
  | { readonly kind: 'furnish'; readonly layout: RoomLayout }
  | { readonly kind: 'run'; readonly number: number; readonly command: RoomCommand }
  | { readonly kind: 'signal'; readonly number: number; readonly name: NodeJS.Signals };

export type FromRoom =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'ended'; readonly number: number; readonly status: number | null; readonly text: string };
