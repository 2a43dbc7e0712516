/** WAL of a stopped server, replayed through TransactionLog; and a server whose counters are far ahead of what it has used. */
import { readdirSync, readFileSync, statSync, writeFileSync, chownSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { readU32 } from '../../src/common/bytes.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { type ControlFile, parseControlFile } from '../../src/catalog/controlfile.ts'
import { WalReader } from '../../src/wal/reader.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import type { StartPoint } from '../../src/xact/transactionstate.ts'

const CHECKPOINT_AT = 40
const HEADER = 24 + 2

export function readControl(dataDir: string, major: number): ControlFile & { start: StartPoint } {
  const control = parseControlFile(new Uint8Array(readFileSync(join(dataDir, 'global/pg_control'))), major as PgMajor)
  return { ...control, start: control }
}

/** Calls `visit` with every record from `start` to the end of the WAL. @returns the end */
export function forEachRecord(dataDir: string, major: number, start: bigint, visit: (record: WalRecord) => void): number {
  const { walSegmentSize, systemIdentifier } = readControl(dataDir, major)
  const perId = 0x100000000 / walSegmentSize
  // Of each segment the newest timeline's file.
  const files = new Map<number, string>()
  let timeline = 1
  for (const name of readdirSync(join(dataDir, 'pg_wal')).filter((file) => /^[0-9A-F]{24}$/.test(file)).sort()) {
    files.set(parseInt(name.slice(8, 16), 16) * perId + parseInt(name.slice(16), 16), name)
    timeline = parseInt(name.slice(0, 8), 16)
  }
  const reader = new WalReader({ major: major as PgMajor, start: Number(start), timeline, segmentSize: walSegmentSize, systemIdentifier, exact: true })
  const page = Number(start) - (Number(start) % 8192)
  for (let segment = Math.floor(page / walSegmentSize); files.has(segment) && reader.end === undefined; segment++) {
    const bytes = new Uint8Array(readFileSync(join(dataDir, 'pg_wal', files.get(segment)!)))
    reader.feed(bytes.subarray(Math.max(0, page - segment * walSegmentSize)))
    for (let record = reader.next(); record !== undefined; record = reader.next()) visit(record)
  }
  return reader.position
}

export interface Counters {
  nextXid: { low: number; epoch: number }
  nextMulti: number
  nextMultiOffset: number
}

/**
 * What pg_resetwal -x -m -O does, and the npm packages have no pg_resetwal: the last checkpoint of a cleanly stopped server says other
 * counters, in its record and in pg_control, and the SLRU pages that they lie on exist. The transaction before the next one committed: no
 * page of a server's CLOG is nothing but zeros for long.
 * @returns false if a page boundary cuts the record: nothing is changed, start and stop the server and try again
 */
export function setCounters(dataDir: string, major: number, counters: Counters): boolean {
  const { checkpoint, walSegmentSize } = readControl(dataDir, major)
  const segment = Number(checkpoint) / walSegmentSize
  const hex = (n: number): string => n.toString(16).toUpperCase().padStart(8, '0')
  const perId = 0x100000000 / walSegmentSize
  const file = join(dataDir, 'pg_wal', hex(1) + hex(Math.floor(segment / perId)) + hex(Math.floor(segment % perId)))
  const wal = new Uint8Array(readFileSync(file))
  const at = Number(checkpoint) % walSegmentSize
  const length = readU32(wal, at)
  if ((at % 8192) + HEADER + 88 > 8192) return false
  if (length !== HEADER + 88) throw new Error(`the last checkpoint has ${length} bytes`)
  const controlPath = join(dataDir, 'global/pg_control')
  const control = new Uint8Array(readFileSync(controlPath))
  patch(control, CHECKPOINT_AT, counters)
  const crcAt = major >= 18 ? 292 : 288
  new DataView(control.buffer).setUint32(crcAt, crc32c(control, 0, crcAt), true)
  writeFileSync(controlPath, control)
  patch(wal, at + HEADER, counters)
  const body = new Uint8Array(length - 4)
  body.set(wal.subarray(at + 24, at + length))
  body.set(wal.subarray(at, at + 20), length - 24)
  new DataView(wal.buffer).setUint32(at + 20, crc32c(body), true)
  writeFileSync(file, wal)
  const { low } = counters.nextXid
  makePage(join(dataDir, 'pg_xact'), Math.floor(low / 32768), (page) => {
    if (low % 32768 !== 0) page[((low - 1) % 32768) >> 2]! |= 1 << (((low - 1) & 3) * 2)
  })
  makePage(join(dataDir, 'pg_multixact/offsets'), Math.floor(counters.nextMulti / 2048))
  makePage(join(dataDir, 'pg_multixact/members'), Math.floor(counters.nextMultiOffset / 1636))
  return true
}

function patch(bytes: Uint8Array, at: number, { nextXid, nextMulti, nextMultiOffset }: Counters): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint32(at + 24, nextXid.low, true)
  view.setUint32(at + 28, nextXid.epoch, true)
  view.setUint32(at + 36, nextMulti, true)
  view.setUint32(at + 40, nextMultiOffset, true)
}

function makePage(dir: string, page: number, fill: (page: Uint8Array) => void = () => {}): void {
  const file = join(dir, Math.floor(page / 32).toString(16).toUpperCase().padStart(4, '0'))
  const old = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
  const bytes = Buffer.concat([old, Buffer.alloc(Math.max(0, ((page % 32) + 1) * 8192 - old.length))])
  fill(bytes.subarray((page % 32) * 8192, ((page % 32) + 1) * 8192))
  writeFileSync(file, bytes)
  const { uid, gid } = statSync(dir)
  chownSync(file, uid, gid)
}
