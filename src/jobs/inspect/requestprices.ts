import type { StoreUse } from '../../lake/state/madeby.ts'

/** Prices of an object store, in US dollars. */
export interface StorePrices {
  /** Dollars for 1,000 PUT, COPY, POST or LIST. */
  readonly put: number
  /** Dollars for 1,000 GET or HEAD. */
  readonly get: number
  /** Dollars for a GB (10^9 bytes) in a month. */
  readonly storage: number
}

/** AWS's list for S3 Standard in us-east-1, the first 50 TB of a month. DELETE costs nothing; transfer is not counted. */
export const S3_STANDARD: StorePrices = { put: 0.005, get: 0.0004, storage: 0.023 }

/** Dollars for the requests of a commit, with the write of HEAD, which is one PUT. */
export function commitPrice({ requests: { put = 0, upload = 0, list = 0, get = 0, head = 0 } }: StoreUse, prices: StorePrices): number {
  return ((put + upload + list + 1) * prices.put + (get + head) * prices.get) / 1000
}

/** Dollars for a month. */
export function storagePrice(bytes: number, { storage }: StorePrices): number {
  return (bytes / 1e9) * storage
}
