import type { Clock } from '../../common/clock.ts'
import type { Random } from '../../engine/random.ts'

export interface RetryPolicy {
  /** Number of attempts, the first one included. */
  readonly attempts: number
  /** The longest wait before the second attempt. It doubles before each further attempt, up to `longestMs`. */
  readonly firstMs: number
  readonly longestMs: number
}

export const DEFAULT_RETRIES: RetryPolicy = { attempts: 8, firstMs: 100, longestMs: 10_000 }

/**
 * Tries again as long as `passes` says that the failure may pass, and waits a random part of a time that doubles ("full jitter"), so that many clients do
 * not come back at once.
 * @throws the last error
 */
export async function retrying<T>(
  body: () => Promise<T>, passes: (error: unknown) => boolean, policy: RetryPolicy,
  ports: { clock: Pick<Clock, 'sleep'>, random: Pick<Random, 'fraction'>, onRetry: () => void },
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await body()
    } catch (error) {
      if (attempt >= policy.attempts || !passes(error)) throw error
      ports.onRetry()
      await ports.clock.sleep(ports.random.fraction() * Math.min(policy.longestMs, policy.firstMs * 2 ** (attempt - 1)))
    }
  }
}
