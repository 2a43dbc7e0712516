import fc from 'fast-check'
import { expect } from 'vitest'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import { canonicalOf, joined, table } from '../support/arbitrarypages.ts'
import { Random } from '../support/random.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'

const TABLES = table({ columns: 8, rows: 10, pages: 3 })
const PER_FILE = 50
const SECONDS_MAX = 2

export interface LakeFuzzReport {
  files: number
  /** By error code. */
  refused: Map<string, number>
  /** Damage that no page depends on. */
  equal: number
}

/** Damages `count` lake files; each must be refused as damaged or rebuild to the very pages it was made of. */
export function fuzzLake(count: number, seed: number): LakeFuzzReport {
  const report: LakeFuzzReport = { files: 0, refused: new Map(), equal: 0 }
  for (let n = 0; report.files < count; n++) {
    const t = fc.sample(TABLES, { seed: seed + n, numRuns: 1 })[0]!
    const dice = new Random(seed + n)
    const pages = joined(t.pages)
    const compression = dice.pick(['none', 'none', 'snappy', 'zstd'] as const)
    const { parquet } = transcodePages(relationOf(t.desc, t.pages.length), pages, transcodeOptions({ toast: t.toast, compression }))
    const wanted = Buffer.concat(t.pages.map(({ bytes }) => canonicalOf(bytes)))
    for (let i = 0; i < PER_FILE; i++, report.files++) check(damageFile(parquet, dice), wanted, `seed ${seed + n}, file ${i}`, report)
  }
  return report
}

function check(file: Uint8Array, wanted: Uint8Array, name: string, report: LakeFuzzReport): void {
  const start = process.cpuUsage()
  try {
    const found = rebuildPages(file)
    expect(Buffer.compare(found, wanted), `${name}: other pages`).toBe(0)
    report.equal++
  } catch (error) {
    const isRefused = error instanceof CorruptionError || error instanceof UnsupportedError
    if (!isRefused) throw new Error(`${name}: ${String(error)}`, { cause: error })
    report.refused.set(error.code, (report.refused.get(error.code) ?? 0) + 1)
  }
  const { user, system } = process.cpuUsage(start)
  expect((user + system) / 1e6, name).toBeLessThan(SECONDS_MAX)
}

/** Flipped bits, overwritten and moved bytes, other digits and letters, cut files; the footer more often than the rest. */
function damageFile(parquet: Uint8Array, dice: Random): Uint8Array {
  const file = parquet.slice()
  const metadata = new DataView(file.buffer).getUint32(file.length - 8, true)
  const json = Buffer.from(file.buffer).indexOf('{"format"')
  for (let left = dice.pick([1, 1, 1, 2, 4]); left > 0; left--) {
    const footer = file.length - metadata - 8
    const [from, size] = dice.pick([[0, file.length], [0, footer], [footer, metadata + 8], [json, 3000]] as const)
    const at = from + dice.int(Math.min(size, file.length - from))
    switch (dice.int(5)) {
      case 0:
        file[at]! ^= 1 << dice.int(8)
        break
      case 1:
        file[at] = dice.next()
        break
      case 2:
        file.fill(dice.pick([0, 0xff, dice.next()]), at, at + dice.int(40))
        break
      case 3:
        // Of the same kind, so that JSON stays JSON.
        if (file[at]! >= 0x30 && file[at]! <= 0x39) file[at] = 0x30 + dice.int(10)
        else if (file[at]! >= 0x61 && file[at]! <= 0x7a) file[at] = 0x61 + dice.int(26)
        else file[at] = dice.pick([0, 1, 0x20, 0x7f, 0xff])
        break
      default:
        file.copyWithin(at, dice.int(file.length), dice.int(file.length))
    }
  }
  return dice.int(30) === 0 ? file.subarray(0, dice.int(file.length)) : file
}
