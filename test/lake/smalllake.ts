import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { BlockSet } from '../../src/common/blockset.ts'
import { DESCRIPTOR_KEY, encodeFileDescriptor, FORMAT_VERSION, type RelationDescriptor } from '../../src/columnar/filedescriptor.ts'
import { newLaneCounts } from '../../src/columnar/lanes.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { hiddenFileName, type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, relationFolder } from '../../src/lake/manifest.ts'

/** One file: a SELECT of user columns with a column `n` counted from 0, and the positions that nobody may see. */
export interface SmallFile {
  select: string
  hidden?: readonly number[]
  /** SQL of `_ltap.lp`; default NULL. `n` is the position. */
  lp?: string
  /** Name of the list of hidden rows as ltap 0.1.0 gave it. */
  oldName?: boolean
}

export interface SmallRelation extends Partial<Omit<LakeRelation, 'files' | 'name' | 'columns'>> {
  name: string
  columns: readonly string[]
  files?: readonly SmallFile[]
}

let nextOid = 16384

/** pg_database.encoding. */
const UTF8 = 6

const CLUSTER = { systemIdentifier: '7', major: 17, checksums: false, lsn: '0/1000028', profile: 'portable' } as const
const PINNED = { format: FORMAT_VERSION, blockSize: BLOCK_SIZE, displayScales: {}, pageFlags: 0 } as const

/** Writes a lake with these relations; each of the columns must be a column of every file's SELECT. */
export async function writeLake(lake: string, relations: readonly SmallRelation[], databases = ['shop']): Promise<Manifest> {
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  const written: LakeRelation[] = []
  for (const { files = [], ...small } of relations) {
    const oid = small.oid ?? nextOid++
    const relation: LakeRelation = {
      database: databases[0]!, schema: 'public', oid, relkind: 'r', persistence: 'p', path: `base/5/${oid}`, forks: { main: files.length * 100 }, visible: true,
      parents: [], toastRelId: 0, overflow: false, lanes: newLaneCounts(), spcOid: 1663, dbOid: 5, relNumber: oid, ...small, files: [],
    }
    const lakeFiles: LakeFile[] = []
    for (const [i, file] of files.entries()) {
      const path = `${relationFolder(relation)}/${String(i * 100).padStart(10, '0')}.parquet`
      mkdirSync(dirname(join(lake, path)), { recursive: true })
      const list = [...relation.columns.map((name) => `"${name}"`), ...(relation.overflow ? ['_overflow'] : [])]
      const lp = file.lp ?? "CASE WHEN false THEN {'state': 1} END"
      const ltap = `{'block': ${i * 100}::BIGINT, 'offset': (n + 1)::INTEGER, 'xmin': 700::BIGINT, 'lp': ${lp}} AS _ltap`
      const descriptor = quote(encodeFileDescriptor({ ...CLUSTER, ...PINNED, relation: pinned(relation, files.length), blocks: BlockSet.range(i * 100, 100) }))
      await db.run(`COPY (SELECT ${[...list, ltap].join(', ')} FROM (${file.select})) TO '${quote(join(lake, path))}'
        (KV_METADATA {${DESCRIPTOR_KEY}: '${descriptor}'})`)
      const hidden = file.hidden ?? []
      const hiddenPath = file.oldName ? path.replace('.parquet', '.hidden.parquet') : path.replace(/[^/]*$/, hiddenFileName(i * 100))
      if (hidden.length > 0) {
        await db.run(`COPY (SELECT unnest([${hidden.join(', ')}])::BIGINT AS pos) TO '${quote(join(lake, hiddenPath))}'`)
      }
      lakeFiles.push({
        path, firstBlock: i * 100, blockCount: 100, rows: 0, bytes: statSync(join(lake, path)).size, crc32: 0, damaged: [],
        hidden: hidden.length > 0 ? { path: hiddenPath, rows: hidden.length, crc32: crc32(readFileSync(join(lake, hiddenPath))) } : null,
      })
    }
    written.push({ ...relation, files: lakeFiles })
  }
  db.closeSync()
  instance.closeSync()
  const manifest: Manifest = {
    ...CLUSTER, format: FORMAT_VERSION, createdBy: 'ltap test', catalogVersion: 1, blockSize: BLOCK_SIZE, timeline: 1, source: '/pgdata', complete: true,
    relations: written, orphans: [], temporaryFiles: 0, notRead: [],
    databases: [{ oid: 1, name: 'template1', template: true }, ...databases.map((name, i) => ({ oid: 5 + i, name, template: false }))],
  }
  mkdirSync(lake, { recursive: true })
  writeFileSync(join(lake, MANIFEST_NAME), JSON.stringify(manifest))
  return manifest
}

/** What a footer says of the relation; only who decodes tuples needs its attributes. */
function pinned({ database, schema, name, oid, relkind, spcOid, dbOid, relNumber }: LakeRelation, files: number): RelationDescriptor {
  const desc = { attributes: [], types: [] }
  return { database, schema, name, oid, relkind, spcOid, dbOid, relNumber, blocks: files * 100, encoding: UTF8, desc }
}

function quote(text: string): string {
  return text.replaceAll("'", "''")
}

/** `n` from 0 to `count` - 1. */
export function numbers(count: number, list = 'n AS id'): string {
  return `SELECT n, ${list} FROM range(${count}) AS t(n)`
}
