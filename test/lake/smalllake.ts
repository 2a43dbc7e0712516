import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { FORMAT_VERSION } from '../../src/columnar/filedescriptor.ts'
import { newLaneCounts } from '../../src/columnar/lanes.ts'
import { type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, relationFolder } from '../../src/lake/manifest.ts'

/** One file: a SELECT of user columns with a column `n` counted from 0, and the positions that nobody may see. */
export interface SmallFile {
  select: string
  hidden?: readonly number[]
  /** SQL of `_ltap.lp`; default NULL. `n` is the position. */
  lp?: string
}

export interface SmallRelation extends Partial<Omit<LakeRelation, 'files' | 'name' | 'columns'>> {
  name: string
  columns: readonly string[]
  files?: readonly SmallFile[]
}

let nextOid = 16384

/** Writes a lake with these relations; each of the columns must be a column of every file's SELECT. */
export async function writeLake(lake: string, relations: readonly SmallRelation[], databases = ['shop']): Promise<Manifest> {
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  const written: LakeRelation[] = []
  for (const { files = [], ...small } of relations) {
    const oid = small.oid ?? nextOid++
    const relation: LakeRelation = {
      database: databases[0]!, schema: 'public', oid, relkind: 'r', persistence: 'p', path: `base/5/${oid}`, forks: {}, visible: true,
      parents: [], toastRelId: 0, overflow: false, lanes: newLaneCounts(), spcOid: 1663, dbOid: 5, relNumber: oid, ...small, files: [],
    }
    const lakeFiles: LakeFile[] = []
    for (const [i, file] of files.entries()) {
      const path = `${relationFolder(relation)}/${String(i * 100).padStart(10, '0')}.parquet`
      mkdirSync(dirname(join(lake, path)), { recursive: true })
      const list = [...relation.columns.map((name) => `"${name}"`), ...(relation.overflow ? ['_overflow'] : [])]
      const lp = file.lp ?? "CASE WHEN false THEN {'state': 1} END"
      const ltap = `{'block': ${i * 100}::BIGINT, 'offset': (n + 1)::INTEGER, 'xmin': 700::BIGINT, 'lp': ${lp}} AS _ltap`
      await db.run(`COPY (SELECT ${[...list, ltap].join(', ')} FROM (${file.select})) TO '${quote(join(lake, path))}'`)
      const hidden = file.hidden ?? []
      const hiddenPath = path.replace('.parquet', '.hidden.parquet')
      if (hidden.length > 0) {
        await db.run(`COPY (SELECT unnest([${hidden.join(', ')}])::BIGINT AS pos) TO '${quote(join(lake, hiddenPath))}'`)
      }
      lakeFiles.push({
        path, firstBlock: i * 100, blockCount: 100, rows: 0, bytes: 0, crc32: 0, damaged: [],
        hidden: hidden.length > 0 ? { path: hiddenPath, rows: hidden.length, crc32: 0 } : null,
      })
    }
    written.push({ ...relation, files: lakeFiles })
  }
  db.closeSync()
  instance.closeSync()
  const manifest: Manifest = {
    format: FORMAT_VERSION, createdBy: 'ltap test', profile: 'portable', systemIdentifier: '7', major: 17, catalogVersion: 1,
    blockSize: 8192, checksums: false, lsn: '0/1000028', timeline: 1, source: '/pgdata', complete: true,
    relations: written, orphans: [], temporaryFiles: 0,
    databases: [{ oid: 1, name: 'template1', template: true }, ...databases.map((name, i) => ({ oid: 5 + i, name, template: false }))],
  }
  mkdirSync(lake, { recursive: true })
  writeFileSync(join(lake, MANIFEST_NAME), JSON.stringify(manifest))
  return manifest
}

function quote(text: string): string {
  return text.replaceAll("'", "''")
}

/** `n` from 0 to `count` - 1. */
export function numbers(count: number, list = 'n AS id'): string {
  return `SELECT n, ${list} FROM range(${count}) AS t(n)`
}
