import { stat } from 'node:fs'

const PULSE_MS = 500

/**
 * Asks Node's thread pool for something small again and again: a thread that waits for work may miss its wake-up (glibc before 2.41, bug 25847), and
 * then a request lies there until the next one comes, which may be never. Seen: a close of a synced file, 11 minutes, until another request came.
 * @returns ends it
 */
export function keepThreadPoolAwake(): () => void {
  const timer = setInterval(() => stat('/', () => {}), PULSE_MS)
  timer.unref()
  return () => clearInterval(timer)
}
