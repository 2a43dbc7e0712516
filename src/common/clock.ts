/** Time, as a service gives it: nothing below `io` reads a clock by itself. A port. */
export interface Clock {
  /** Milliseconds since 1970: for waiting and for reports, never for what is correct. */
  now(): number
  /** Waits so many milliseconds, other work done meanwhile; 0 is a turn of the event loop. Ends early, by the signal's reason, when that is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
