import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WalPosition } from 'ltap/common'
import { segmentName } from 'ltap/wal'

/** The WAL from `start` on, as a server sends it. */
export function streamOf(folder: string, start: WalPosition, segmentSize: number): Buffer {
  const first = segmentName(1, Math.floor(start / segmentSize), segmentSize)
  const names = readdirSync(folder).filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= first).sort()
  return Buffer.concat(names.map((name) => readFileSync(join(folder, name)))).subarray(start % segmentSize)
}
