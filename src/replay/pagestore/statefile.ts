import * as v from 'valibot'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import { formatWalPosition, parseLsn, walPosition, type WalPosition } from '../../common/ids.ts'
import { PG_MAJORS, type PgMajor } from '../../common/pgversion.ts'
import { byteText, utf8Decode, utf8Encode } from '../../common/utf8.ts'
import {
  count, exactly, flag, integer, lsnText, oneOf, parseJson, type Persisted, systemIdentifierText, unsigned32, validate,
} from '../../common/validate.ts'

/*
 * ltap/state: one line of JSON, then its CRC-32C in hex.
 *
 *   {"format":1,"systemIdentifier":"7425…","major":17,…,"lsn":"0/1A2B3C8",…}
 *   crc32c 0badcafe
 */
const FORMAT = 1
const TRAILER = /^(.*)\ncrc32c ([0-9a-f]{8})\n$/s

export const STATE_FILE = 'ltap/state'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Which cluster a page store belongs to; never changes. */
export interface StoreIdentity {
  systemIdentifier: bigint
  major: PgMajor
  /** Names the directories of tablespaces: PG_<major>_<catalogVersion>. */
  catalogVersion: number
  /** Pages carry checksums: those that are written get theirs. */
  checksums: boolean
}

/** What replay has reached. Pages, SLRUs and files of the store are exactly those of this position. */
export interface ReplayState {
  /** Progress: every record that ends at or before it has been applied, and none that ends later. */
  lsn: WalPosition
  timeline: number
  /** Whatever else the caller wants to find again: state of transactions, of redo, of the job. */
  rest: Json
}

export interface StoreState {
  identity: StoreIdentity
  replay: ReplayState
  /** Length of ltap/events.ndjson in bytes. */
  eventsLength: number
  /** CRC-32C of ltap/indexes. */
  indexesCrc: number
}

export function formatState({ identity, replay, eventsLength, indexesCrc }: StoreState): Uint8Array {
  const { systemIdentifier, major, catalogVersion, checksums } = identity
  const text = JSON.stringify({
    format: FORMAT, systemIdentifier: String(systemIdentifier), major, catalogVersion, checksums,
    lsn: formatWalPosition(replay.lsn), timeline: replay.timeline, eventsLength, indexesCrc, rest: replay.rest,
  })
  return utf8Encode(`${text}\ncrc32c ${crcText(text)}\n`)
}

const STATE = v.strictObject({
  format: exactly(FORMAT), systemIdentifier: systemIdentifierText, major: oneOf(PG_MAJORS), catalogVersion: unsigned32, checksums: flag,
  lsn: lsnText, timeline: unsigned32, eventsLength: count, indexesCrc: unsigned32, rest: v.custom<Json>((rest) => rest !== undefined, 'JSON'),
})
const newer = v.object({ format: integer(FORMAT + 1, Number.MAX_SAFE_INTEGER) })

const PERSISTED: Persisted = { code: 'pagestore.state', name: "the page store's state" }

/**
 * `rest` is for its owner to check.
 * @throws CorruptionError pagestore.state with the member, UnsupportedError pagestore.format, lsn.range
 */
export function parseState(bytes: Uint8Array): StoreState {
  const [, text, crc] = TRAILER.exec(byteText(bytes)) ?? []
  if (text === undefined || crc !== hex(crc32c(bytes, 0, text.length))) throw damaged('wrong CRC')
  const found = parseJson(decoded(bytes.subarray(0, text.length)), PERSISTED)
  if (v.is(newer, found)) throw new UnsupportedError('pagestore.format', `the page store has format ${found.format}, this ltap reads ${FORMAT}`)
  const { systemIdentifier, major, catalogVersion, checksums, lsn, timeline, eventsLength, indexesCrc, rest } = validate(STATE, found, PERSISTED)
  return {
    identity: { systemIdentifier: BigInt(systemIdentifier), major, catalogVersion, checksums },
    replay: { lsn: walPosition(parseLsn(lsn)!), timeline, rest },
    eventsLength, indexesCrc,
  }
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
