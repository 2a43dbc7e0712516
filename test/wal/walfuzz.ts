import { expect } from 'vitest'
import type { WalPosition } from '../../src/common/ids.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { connect, withCluster } from '../support/oracle.ts'
import { Random } from '../support/random.ts'
import { readAll, readerOf, type SeenRecord, SEGMENT_SIZE, type Wal, WAL_CLUSTER, walNow, writeWal } from '../support/walfiles.ts'

/** Damage of one kind somewhere in `bytes`. @returns first byte that changed */
type Damage = (bytes: Uint8Array, dice: Random, whole: Uint8Array) => number

const DAMAGES: readonly Damage[] = [
  // A bit.
  (bytes, dice) => { const at = dice.int(bytes.length); bytes[at] = bytes[at]! ^ (1 << dice.int(8)); return at },
  // A byte of a page header.
  (bytes, dice) => { const at = dice.int(bytes.length / WAL_PAGE_SIZE) * WAL_PAGE_SIZE + dice.int(40); bytes[at] = dice.int(256); return at },
  // A word of any value, aligned: a length, a CRC, half a link.
  (bytes, dice) => { const at = dice.int(bytes.length / 4) * 4; new DataView(bytes.buffer).setUint32(at, dice.int(2) ? dice.int(0x100000000) : dice.int(10_000), true); return at },
  // A lost sector, a lost page.
  (bytes, dice) => { const at = dice.int(bytes.length / 512) * 512; bytes.fill(0, at, at + (dice.int(2) ? 512 : WAL_PAGE_SIZE)); return at },
  // A sector or a page of another place.
  (bytes, dice, whole) => {
    const size = dice.int(2) ? 512 : WAL_PAGE_SIZE
    const at = dice.int(bytes.length / size) * size
    bytes.set(whole.subarray(dice.int(whole.length / size - 1) * size).subarray(0, size), at)
    return at
  },
  // Bytes that come twice, or are missing, with everything after them moved.
  (bytes, dice) => { const at = dice.int(bytes.length); bytes.copyWithin(at, Math.max(0, at - dice.int(2000))); return at },
  (bytes, dice) => { const at = dice.int(bytes.length); bytes.copyWithin(at, Math.min(bytes.length, at + dice.int(2000))); return at },
]

/**
 * Damages WAL of a real server in every way above: what comes out are true records up to the damage, then an end or an error with an LSN.
 * @returns how many cases there were
 */
export async function fuzzWal(major: number, seed: number, cases: number): Promise<number> {
  let wal: Wal | undefined
  await withCluster(major, WAL_CLUSTER, async (cluster) => {
    const sql = await connect(cluster)
    await writeWal(sql)
    wal = await walNow(cluster, sql)
  })
  const dice = new Random(seed)
  const known = readAll(readerOf(wal!), wal!.bytes).records
  const pages = Math.floor((wal!.end - wal!.start) / WAL_PAGE_SIZE)
  for (let i = 0; i < cases; i++) {
    const first = dice.int(pages - 1) * WAL_PAGE_SIZE
    const part = wal!.bytes.slice(first, first + (1 + dice.int(6)) * WAL_PAGE_SIZE)
    check(wal!, known, wal!.start + first, part, dice, `major ${major}, seed ${seed}, case ${i}`)
  }
  return cases
}

function check(wal: Wal, known: readonly SeenRecord[], start: WalPosition, part: Uint8Array, dice: Random, name: string): void {
  const sound = readAll(readerOf(wal, start), part).records
  let changed = part.length
  const damaged = part.slice()
  for (let n = 0; n <= dice.int(3); n++) changed = Math.min(changed, DAMAGES[dice.int(DAMAGES.length)]!(damaged, dice, wal.bytes))
  for (let at = 0; at < part.length && damaged[at] === part[at]; at++) changed = at + 1
  const sizes = dice.int(2) ? undefined : pieces(dice)
  const found = readOrError(wal, start, damaged, sizes, name)
  // Pages that begin with the rest of a record say where the first one begins, for Postgres as well: with other headers it is a later one.
  const searched = start + changed < (sound[0]?.startLsn ?? start + part.length)
  const from = searched ? sound.findIndex(record => record.startLsn === found[0]?.startLsn) : 0
  for (const [i, record] of found.entries()) {
    const written = from < 0 ? undefined : sound[from + i]
    if (record.crc === written?.crc && record.startLsn === written.startLsn) continue
    // No record before the first one vouches for its link: one that the server wrote at another place is whole here, too, for Postgres as well.
    if (i === 0 && known.some(({ crc, prev, length }) => crc === record.crc && prev === record.prev && length === record.length)) continue
    expect(record, name).toEqual(written)
  }
  const before = sound.filter(({ endLsn }) => endLsn <= start + changed).length
  if (found.length < before) throw new Error(`${name}: ${found.length} of ${before} records before the damage at ${changed}`)
  expect(known.length).toBeGreaterThan(0)
}

function readOrError(wal: Wal, start: WalPosition, bytes: Uint8Array, sizes: Iterator<number> | undefined, name: string): SeenRecord[] {
  const reader = readerOf(wal, start)
  try {
    const { records, end } = readAll(reader, bytes, sizes)
    if (end !== undefined && (end.lsn < start || end.lsn > start + bytes.length + SEGMENT_SIZE)) throw new Error(`${name}: an end at ${end.lsn}`)
    return records
  } catch (error) {
    if (!(error instanceof CorruptionError) || error.position.lsn === undefined) throw new Error(`${name}: ${String(error)}`, { cause: error })
    return []
  }
}

function* pieces(dice: Random): Generator<number, number> {
  for (;;) yield 1 + dice.int(3000)
}
