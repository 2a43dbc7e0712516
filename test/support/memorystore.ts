/** A store in memory of what a data directory holds: for tests and benches of redo. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { BLOCK_SIZE, DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../../src/common/rel.ts'
import { FSM_FORK, INIT_FORK, MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'

export const FORK_SUFFIXES: Readonly<Record<number, string>> = { [MAIN_FORK]: '', [FSM_FORK]: '_fsm', [VISIBILITYMAP_FORK]: '_vm', [INIT_FORK]: '_init' }

export interface RelationFile extends RelFileLocator {
  fork: number
  /** Segment files in order, absolute paths. */
  paths: string[]
}

/** All relation files of a data directory, of all tablespaces; temporary ones left out. */
export function relationFiles(dataDir: string): RelationFile[] {
  const files = new Map<string, RelationFile>()
  const scan = (dir: string, spcOid: number, dbOid: number): void => {
    const names = readdirSync(dir)
    for (const name of names) {
      const match = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/.exec(name)
      if (match === null) continue
      const fork = { '': MAIN_FORK, fsm: FSM_FORK, vm: VISIBILITYMAP_FORK, init: INIT_FORK }[match[2] ?? '']!
      const key = `${spcOid}/${dbOid}/${match[1]}/${fork}`
      const file = files.get(key) ?? { spcOid, dbOid, relNumber: Number(match[1]), fork, paths: [] }
      file.paths[Number(match[3] ?? 0)] = join(dir, name)
      files.set(key, file)
    }
  }
  for (const { dir, spcOid, dbOid } of databaseDirectories(dataDir)) scan(dir, spcOid, dbOid)
  return [...files.values()]
}

/** Directories of databases, and `global` as database 0. */
export function databaseDirectories(dataDir: string): { dir: string; spcOid: number; dbOid: number }[] {
  const found = [{ dir: join(dataDir, 'global'), spcOid: GLOBAL_TABLESPACE, dbOid: 0 }]
  const scan = (dir: string, spcOid: number): void => {
    for (const name of readdirSync(dir)) if (/^\d+$/.test(name)) found.push({ dir: join(dir, name), spcOid, dbOid: Number(name) })
  }
  scan(join(dataDir, 'base'), DEFAULT_TABLESPACE)
  for (const name of readdirSync(join(dataDir, 'pg_tblspc'))) {
    const link = join(dataDir, 'pg_tblspc', name)
    if (!existsSync(link) || !statSync(link).isDirectory()) continue
    for (const version of readdirSync(link)) if (version.startsWith('PG_')) scan(join(link, version), Number(name))
  }
  return found
}

/** True for a page that heaps and sequences do not have. */
export function isIndexFilePage(page: Uint8Array, block: number): boolean {
  const view = new DataView(page.buffer, page.byteOffset, BLOCK_SIZE)
  const special = view.getUint16(16, true)
  if (view.getUint16(14, true) === 0 || special === BLOCK_SIZE) return false
  return !(special === BLOCK_SIZE - 8 && block === 0 && view.getUint32(special, true) === 0x1717)
}

/** Every relation of a data directory that redo keeps: indexes are disowned, free space maps left out. */
export function loadDataDir(dataDir: string): MemoryReplayStore {
  const store = new MemoryReplayStore(majorOf(dataDir))
  for (const { dir, spcOid, dbOid } of databaseDirectories(dataDir)) {
    store.createDatabase({ spcOid, dbOid })
    const map = join(dir, 'pg_filenode.map')
    if (existsSync(map)) store.writeRelationMap({ spcOid, dbOid }, new Uint8Array(readFileSync(map)))
  }
  for (const file of relationFiles(dataDir)) {
    if (file.fork === FSM_FORK) continue
    const bytes = new Uint8Array(Buffer.concat(file.paths.map((path) => readFileSync(path))))
    const pages = Math.floor(bytes.length / BLOCK_SIZE)
    const isIndex = file.fork === MAIN_FORK && pages > 0 &&
      Array.from({ length: pages }, (_, block) => isIndexFilePage(bytes.subarray(block * BLOCK_SIZE), block)).some((index) => index)
    if (isIndex) store.disown(file)
    const fork = store.fork(file.spcOid, file.dbOid, file.relNumber, file.fork)
    for (let block = 0; fork !== undefined && block < pages; block++) {
      fork.append(bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE))
    }
  }
  return store
}

function majorOf(dataDir: string): PgMajor {
  return Number(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8')) as PgMajor
}
