import type { RequestKind, StoreUse } from '../lake/state/madeby.ts'
import type { StoreCounters } from './objectstore.ts'

/** {@link StoreCounters} for the store that counts. */
export class RequestCounters implements StoreCounters {
  readonly requests: Record<RequestKind, number> = { get: 0, head: 0, put: 0, upload: 0, delete: 0, list: 0 }
  bytesUp = 0
  bytesDown = 0
  retries = 0

  sent(kind: RequestKind, bytes = 0): void {
    this.requests[kind]++
    this.bytesUp += bytes
  }

  received(bytes: number): void {
    this.bytesDown += bytes
  }

  add({ requests, bytesUp, bytesDown }: StoreUse): void {
    for (const [kind, count] of Object.entries(requests)) this.requests[kind as RequestKind] += count
    this.bytesUp += bytesUp
    this.bytesDown += bytesDown
  }
}

/** No request. */
export const NO_USE: StoreUse = { requests: {}, bytesUp: 0, bytesDown: 0 }

/** Counters as they are now. */
export function useUntilNow({ requests, bytesUp, bytesDown }: StoreCounters): StoreUse {
  return { requests: { ...requests }, bytesUp, bytesDown }
}

/** What was asked since; kinds without a request are left out. */
export function useSince(counters: StoreCounters, before: StoreUse): StoreUse {
  const requests = Object.entries(counters.requests).map(([kind, count]) => [kind, difference(count, before.requests[kind as RequestKind] ?? 0)] as const)
  return {
    requests: Object.fromEntries(requests.filter(([, count]) => count > 0)), bytesUp: difference(counters.bytesUp, before.bytesUp),
    bytesDown: difference(counters.bytesDown, before.bytesDown),
  }
}

/** A number that a state may have, whatever other processes said that they asked. */
function difference(now: number, before: number): number {
  return Math.min(now - before, Number.MAX_SAFE_INTEGER)
}
