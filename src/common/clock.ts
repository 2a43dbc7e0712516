/** Time, as a service gives it: nothing below `io` reads a clock by itself. A port. */
export interface Clock {
  /** Milliseconds since 1970: for waiting and for reports, never for what is correct. */
  now(): number
  /**
   * Waits for this many milliseconds while other tasks run; 0 is one turn of the event loop. Rejects early if the signal is aborted.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
