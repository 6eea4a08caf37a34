// Where everything that is printed goes through: lines for people or one JSON object a line, results on standard output, the rest on
// standard error, and the status line of a terminal, which is taken away before anything else is written there.

import type { Fault } from '../base/faults.ts';
import type { Sink } from './descriptor.ts';
import { inLine, printable } from './printable.ts';

export type OutputOptions = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly progress: boolean;
};

const BUFFERED_CHARS_MAX = 64 * 1024;

export class Output {
  readonly options: OutputOptions;
  readonly #out: Sink;
  readonly #err: Sink;
  #buffered = '';
  #status = '';
  #isClosed = false;
  #resultsToErr = false;
  #willFlush = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: OutputOptions, out: Sink, err: Sink) {
    this.options = options;
    this.#out = out;
    this.#err = err;
  }

  get isJson(): boolean {
    return this.options.json;
  }

  /** True when nobody reads any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isTerminal(): boolean {
    return this.#err.isTTY;
  }

  /** Data goes to standard output: everything else must not. */
  keepStandardOutputForData(): void {
    this.#resultsToErr = true;
  }

  /** A result for people; nothing with --json. */
  line(text: string): void {
    if (!this.options.json) this.#result(printable(text));
  }

  /** A result for programs; nothing without --json. `fields` may not hold secrets. */
  record(kind: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.options.json) this.#result(JSON.stringify({ kind, ...fields }));
  }

  /** The last record of a run that did not fail. */
  summary(verb: string, fields: Readonly<Record<string, unknown>>): void {
    this.record('summary', { verb, ...fields });
  }

  /** For people who watch; not with --quiet or --json. */
  notice(text: string): void {
    if (!this.options.quiet && !this.options.json) this.#toErr(text);
  }

  detail(text: string): void {
    if (this.options.verbose && !this.options.json) this.#toErr(text);
  }

  /** Something that is not fatal, and must be seen. */
  warning(text: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.options.json) this.record('warning', { message: text, ...fields });
    else this.#toErr(`warning: ${inLine(text)}`);
  }

  fault(fault: Fault): void {
    const { code, message, hint, exit, retry } = fault;
    if (this.options.json && this.#failure === undefined) this.record('error', { code, message, hint, exit, retry });
    else this.#toErr(`holdfast: ${printable(message)}\n  ${hint} [${code}]`);
  }

  /** Replaces the status line of the terminal; '' takes it away. */
  status(text: string): void {
    if (text === this.#status || !this.isTerminal) return;
    const width = this.#err.columns - 1;
    this.#tell(`\r\x1b[2K${text.length > width ? text.slice(0, width) : text}`);
    this.#status = text;
  }

  flush(): void {
    if (this.#buffered === '') return;
    const text = this.#buffered;
    this.#buffered = '';
    if (this.#resultsToErr) this.#tell(text);
    else if (!this.#isClosed) this.#write(text);
  }

  #result(text: string): void {
    this.status('');
    this.#buffered += `${text}\n`;
    if (this.#buffered.length > BUFFERED_CHARS_MAX || this.#out.isTTY) this.flush();
    else if (!this.#willFlush) {
      // Many lines at once are written at once, and none waits for more to come.
      this.#willFlush = true;
      setImmediate(() => {
        this.#willFlush = false;
        this.flush();
      });
    }
  }

  #toErr(text: string): void {
    this.flush();
    this.status('');
    this.#tell(`${text}\n`);
  }

  /** Throws what writing has failed with: a run whose results were lost has failed, but it is not stopped for that. */
  end(): void {
    this.flush();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #write(text: string): void {
    try {
      // A reader that has seen enough ("| head") is no failure.
      this.#isClosed = !this.#out.write(text);
    } catch (error) {
      this.#isClosed = true;
      this.#failure = { error };
    }
  }

  /** What cannot be told is not worth failing for. */
  #tell(text: string): void {
    try {
      this.#err.write(text);
    } catch {
      // Nobody is there.
    }
  }
}
