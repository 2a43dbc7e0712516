import type { RowSet } from '../../src/columnar/filesummary.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { dataView } from '../../src/common/bytes.ts'

/** Reads a deletion vector as RoaringFormatSpec and PROTOCOL.md define it, and checks each number in it. It shares no code with what writes one. */
export function decodeBitmap(bytes: Uint8Array): RowSet {
  const view = dataView(bytes)
  let at = 0
  const next = (size: 2 | 4): number => {
    at += size
    return size === 2 ? view.getUint16(at - 2, true) : view.getUint32(at - 4, true)
  }
  const wanted = (isRight: boolean, what: string): void => {
    if (!isRight) throw new Error(`deletion vector: ${what} at byte ${at}`)
  }
  wanted(next(4) === 1681511377, 'magic')
  const buckets = next(4)
  wanted(next(4) === 0, 'number of buckets')
  const runs: { first: number; count: number }[] = []
  let [end, size] = [0, 0]
  const add = (first: number, count = 1): void => {
    wanted(first >= end, `row ${first} behind ${end - 1}`)
    runs.push({ first, count })
    size += count
    end = first + count
  }
  for (let bucket = 0; bucket < buckets; bucket++) {
    const upper = next(4) * 2 ** 32
    const start = at
    const cookie = next(4)
    const withRuns = (cookie & 0xffff) === 12347
    wanted(withRuns || cookie === 12346, 'cookie')
    const count = withRuns ? (cookie >>> 16) + 1 : next(4)
    const flags = Array.from({ length: withRuns ? Math.ceil(count / 8) : 0 }, () => view.getUint8(at++))
    const keys = Array.from({ length: count }, () => ({ key: next(2), rows: next(2) + 1, place: -1 }))
    if (!withRuns || count >= 4) for (const container of keys) container.place = next(4)
    keys.forEach(({ key, rows, place }, i) => {
      wanted(place < 0 || place === at - start, `container ${i}`)
      const base = upper + key * 65536
      const before = size
      if (withRuns && (flags[i >> 3]! >> (i & 7)) & 1) {
        for (let left = next(2); left > 0; left--) add(base + next(2), next(2) + 1)
      } else if (rows <= 4096) {
        for (let left = rows; left > 0; left--) add(base + next(2))
      } else {
        for (let bit = 0; bit < 65536; bit++) if ((view.getUint8(at + (bit >> 3)) >> (bit & 7)) & 1) add(base + bit)
        at += 8192
      }
      wanted(size - before === rows, `${size - before} rows in a container of ${rows}`)
    })
  }
  wanted(at === bytes.length, 'more bytes')
  return BlockSet.ofRuns(runs)
}
