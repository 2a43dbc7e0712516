/** Time, as a service gives it. */
export interface Clock {
  /** Milliseconds since 1970: for waiting and for reports, never for what is correct. */
  now(): number
  /** Waits so many milliseconds; ends early, by the signal's reason, when that is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
