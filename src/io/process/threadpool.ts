import { stat } from 'node:fs'

const PULSE_MS = 500

/**
 * Gives Node's thread pool a small task at intervals: a thread that waits for work may miss its wake-up (glibc before 2.41, bug 25847), and its
 * request then waits for the next request, which may never come. Seen once: the close of a synced file took 11 minutes, until another request came.
 * @returns a function that ends the tasks
 */
export function keepThreadPoolAwake(): () => void {
  const timer = setInterval(() => stat('/', () => {}), PULSE_MS)
  timer.unref()
  return () => clearInterval(timer)
}
