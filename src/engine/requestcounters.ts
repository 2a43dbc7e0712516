import type { RequestKind, StoreCounters } from './objectstore.ts'

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
}
