import * as v from 'valibot'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { formatWalPosition, parseLsn, walPosition } from '../../common/ids.ts'
import { PG_MAJORS, type PgMajor } from '../../common/pgversion.ts'
import { byteText, utf8Decode, utf8Encode } from '../../common/utf8.ts'
import {
  count, exactly, faulty, flag, integer, lsnText, oneOf, parseJson, type Persisted, systemIdentifierText, unsigned32, validate,
} from '../../common/validate.ts'
import { progressOf, restOf } from '../progress.ts'
import type { ReplayProgress } from '../replay.ts'

/*
 * ltap/state: one line of JSON, then its CRC-32C in hex.
 *
 *   {"format":1,"systemIdentifier":"7425…","major":17,…,"lsn":"0/1A2B3C8",…,"rest":{"previous":27441048,…}}
 *   crc32c 0badcafe
 *
 * `rest` is the rest of the ReplayProgress at `lsn`.
 */
const FORMAT = 1
const TRAILER = /^(.*)\ncrc32c ([0-9a-f]{8})\n$/s

export const STATE_FILE = 'ltap/state'

/** Which cluster a page store belongs to; never changes. */
export interface StoreIdentity {
  systemIdentifier: bigint
  major: PgMajor
  /** Names the directories of tablespaces: PG_<major>_<catalogVersion>. */
  catalogVersion: number
  /** Pages carry checksums: those that are written get theirs. */
  checksums: boolean
}

export interface StoreState {
  identity: StoreIdentity
  /** What replay has reached. Pages, SLRUs and files of the store are exactly those of this position. */
  replay: ReplayProgress
  /** Length of ltap/events.ndjson in bytes. */
  eventsLength: number
  /** CRC-32C of ltap/indexes. */
  indexesCrc: number
}

export function formatState({ identity, replay, eventsLength, indexesCrc }: StoreState): Uint8Array {
  const { systemIdentifier, major, catalogVersion, checksums } = identity
  const text = JSON.stringify({
    format: FORMAT, systemIdentifier: String(systemIdentifier), major, catalogVersion, checksums,
    lsn: formatWalPosition(replay.lsn), timeline: replay.transactions.timeline, eventsLength, indexesCrc, rest: restOf(replay),
  })
  return utf8Encode(`${text}\ncrc32c ${crcText(text)}\n`)
}

const STATE = v.strictObject({
  format: exactly(FORMAT), systemIdentifier: systemIdentifierText, major: oneOf(PG_MAJORS), catalogVersion: unsigned32, checksums: flag,
  lsn: lsnText, timeline: unsigned32, eventsLength: count, indexesCrc: unsigned32, rest: v.unknown(),
})
const newer = v.object({ format: integer(FORMAT + 1, Number.MAX_SAFE_INTEGER) })

const PERSISTED: Persisted = { code: 'pagestore.state', name: "the page store's state" }

/**
 * @throws CorruptionError pagestore.state, replay.state with the member, UnsupportedError pagestore.format, lsn.range
 * @throws EnvironmentError replay.state for a store whose state is not that of a replay
 */
export function parseState(bytes: Uint8Array): StoreState {
  const [, text, crc] = TRAILER.exec(byteText(bytes)) ?? []
  if (text === undefined || crc !== hex(crc32c(bytes, 0, text.length))) throw damaged('wrong CRC')
  const found = parseJson(decoded(bytes.subarray(0, text.length)), PERSISTED)
  if (v.is(newer, found)) {
    throw new UnsupportedError('pagestore.format',
      `the page store has format ${found.format}, this ltap reads ${FORMAT}: use a newer ltap, or replay into a new folder`)
  }
  const { systemIdentifier, major, catalogVersion, checksums, lsn, timeline, eventsLength, indexesCrc, rest } = validate(STATE, found, PERSISTED)
  if (!isOfReplay(rest)) throw new EnvironmentError('replay.state', 'ltap replay did not make this page store; replay into another folder')
  const replay = progressOf(walPosition(parseLsn(lsn)!), rest)
  if (timeline !== replay.transactions.timeline) throw faulty(PERSISTED, 'timeline', `is ${timeline}, but that of rest is ${replay.transactions.timeline}`)
  return { identity: { systemIdentifier: BigInt(systemIdentifier), major, catalogVersion, checksums }, replay, eventsLength, indexesCrc }
}

/** Another program's page store may keep what it likes there. */
function isOfReplay(rest: unknown): boolean {
  return rest !== null && typeof rest === 'object' && ('consistency' in rest || 'transactions' in rest || 'redo' in rest)
}

function decoded(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes)
  } catch {
    throw damaged('it is not UTF-8')
  }
}

function damaged(reason: string): CorruptionError {
  return new CorruptionError('pagestore.state', `the page store's state is damaged: ${reason}; seed the page store again`)
}

function crcText(text: string): string {
  return hex(crc32c(utf8Encode(text)))
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}
