import * as v from 'valibot'
import { utf8Encode } from '../../common/utf8.ts'
import { integer, matching, oneOf, type Persisted, systemIdentifierText, validate } from '../../common/validate.ts'
import { NONCE } from './names.ts'
import { parseText, refuseNewer, STATE_FORMAT } from './page.ts'

/** How HEAD is replaced in this store: by If-Match, or under names that are created if absent (If-None-Match). */
export type CasKind = 'if-match' | 'if-none-match'
export const CAS_KINDS: readonly CasKind[] = ['if-match', 'if-none-match']

/** What a lake is, for all its life. */
export interface LakeFormat {
  /** Decimal text of the cluster's 64-bit system identifier. */
  readonly systemIdentifier: string
  readonly profile: 'portable' | 'iceberg'
  readonly cas: CasKind
  /** Id of the branch `main`. */
  readonly main: string
}

const FORMAT = v.strictObject({
  format: integer(STATE_FORMAT, STATE_FORMAT), systemIdentifier: systemIdentifierText, profile: oneOf(['portable', 'iceberg'] as const), cas: oneOf(CAS_KINDS),
  main: matching(NONCE, 'a nonce of 20 characters [0-9a-z]'),
})
const PERSISTED: Persisted = { code: 'lake.format', name: 'ltap/format.json' }

export function encodeFormat(format: LakeFormat): Uint8Array {
  return utf8Encode(JSON.stringify({ format: STATE_FORMAT, ...format }))
}

/** @throws CorruptionError lake.format with the member; UnsupportedError lake.format for a newer lake */
export function decodeFormat(bytes: Uint8Array): LakeFormat {
  const { format: _, ...rest } = validate(FORMAT, refuseNewer(parseText(bytes, PERSISTED), PERSISTED.name), PERSISTED)
  return rest
}
