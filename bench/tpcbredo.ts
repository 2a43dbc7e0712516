/** Redo of the WAL of TPC-B transactions, for benches: the material, a store in memory, and our replay. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseControlFile } from '../src/catalog/controlfile.ts'
import { openWal } from '../src/io/walsource/walsource.ts'
import { Redo } from '../src/redo/redo.ts'
import type { RedoStore } from '../src/redo/store.ts'
import { loadDataDir } from '../test/support/memorystore.ts'
import type { MemoryReplayStore } from '../src/replay/memoryreplaystore.ts'
import { benchSize } from './data.ts'
import { ResultHash } from './hash.ts'
import type { Side } from './measure.ts'
import { tpcbWal } from './tpcb.ts'
import { WALDUMP_MAJOR } from './waldump.ts'

export const size = benchSize()
export const { base, wal, transactions } = await tpcbWal(size, WALDUMP_MAJOR)
export const control = parseControlFile(readFileSync(join(base, 'global/pg_control')), WALDUMP_MAJOR)
export const start = Number(control.redo)
export const table = `tpcb ${transactions}`

/** Segment files, CRC, decoding, redo. @returns bytes of WAL */
export function replay(store: RedoStore, beforeRecord?: (endLsn: number) => void): number {
  const source = openWal(wal, { start, major: WALDUMP_MAJOR, timeline: control.timeline })
  const redo = new Redo(store, { major: WALDUMP_MAJOR, checksums: control.checksums, walLogHints: false })
  redo.reachedConsistency()
  for (let record = source.read(); record !== undefined; record = source.read()) {
    beforeRecord?.(record.endLsn)
    redo.apply(record)
  }
  source.close()
  return source.position - start
}

/** Replay onto pages in memory, which `store` holds afterwards. */
export class MemorySide implements Side {
  readonly name = 'memory'
  store!: MemoryReplayStore
  walBytes = 0

  readonly prepare = (): void => {
    this.store = loadDataDir(base)
  }

  readonly run = (): void => {
    this.walBytes = replay(this.store)
  }

  get hash(): string {
    const result = new ResultHash()
    for (const key of [...this.store.relations.keys()].sort()) {
      for (const page of this.store.relations.get(key)!.forks[0]?.pages ?? []) result.add(page.bytes)
    }
    return result.digest()
  }
}
