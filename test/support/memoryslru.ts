/** Transaction state of a data directory in memory: what replay of transactions is tested on. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import type { MemorySlru } from '../../src/replay/memoryslru.ts'

const PAGE = 8192
const PAGES_PER_SEGMENT = 32

/** Reads the transaction status of a stopped or crashed server. */
export function readTransactionStore(dataDir: string, major: number): MemoryReplayStore {
  const store = new MemoryReplayStore(major as PgMajor)
  readSlru(store.clog, join(dataDir, 'pg_xact'))
  readSlru(store.multiOffsets, join(dataDir, 'pg_multixact/offsets'))
  readSlru(store.multiMembers, join(dataDir, 'pg_multixact/members'))
  const dir = join(dataDir, 'pg_twophase')
  if (existsSync(dir)) for (const name of readdirSync(dir)) store.prepared.set(name, new Uint8Array(readFileSync(join(dir, name))))
  return store
}

/** All pages of a folder of segment files. */
function readSlru(slru: MemorySlru, dir: string): void {
  for (const name of readdirSync(dir).filter((file) => /^[0-9A-F]{4,6}$/.test(file))) {
    const bytes = readFileSync(join(dir, name))
    if (bytes.length % PAGE !== 0) throw new Error(`${dir}/${name} has ${bytes.length} bytes`)
    for (let at = 0; at < bytes.length; at += PAGE) {
      slru.pages.set(parseInt(name, 16) * PAGES_PER_SEGMENT + at / PAGE, new Uint8Array(bytes.subarray(at, at + PAGE)))
    }
  }
}
