import { constants } from 'node:fs';

/** To open a file for reading. Somebody may have put a FIFO in its place, on which an open would wait for ever. */
export const READ_AT_ONCE = constants.O_RDONLY | constants.O_NONBLOCK;
