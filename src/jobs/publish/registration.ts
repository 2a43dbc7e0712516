import { dirname, join } from 'node:path'
import { forEachAtMost } from '../../common/atonce.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog } from '../../engine/statecatalog.ts'
import { createFolder, writeFileAtOnce } from '../../io/disk/create.ts'
import type { DeltaRecord } from '../../lake/delta/record.ts'
import { unityTable } from '../../lake/delta/unitytable.ts'
import { glueTable } from '../../lake/iceberg/gluetable.ts'
import type { IcebergRecord } from '../../lake/iceberg/record.ts'
import type { PublishedEntry } from '../../lake/publishedentry.ts'
import type { Head } from '../../lake/state/head.ts'
import { tableFormats } from './formats.ts'
import { readPublished, readRecord } from './publishedstate.ts'

/** Tables at a time: each has its record in memory. */
const TABLES_AT_ONCE = 4

/**
 * Writes for each published table what registers it elsewhere: `glue/<folder of the table>.json` if it is an Iceberg table, `unity/….json` if it is a Delta
 * table. Files that are there are replaced, those of tables that are gone stay.
 * @returns number of files @throws EnvironmentError file.*, store.*; CorruptionError lake.*
 */
export async function writeRegistration(lake: Lake, head: Head, folder: string): Promise<number> {
  const snapshot = Snapshot.of(lake, head, head.state)
  const { settings, entries } = await readPublished(snapshot, head.branch.id)
  if (settings === undefined) return 0
  const databases = new Map((await readCatalog(snapshot)).databases.map(({ oid, name }) => [String(oid), name]))
  const formats = new Map([...tableFormats(settings)].filter(([name]) => settings.formats.includes(name)))
  const names = new GlueNames()
  const tables = [...entries].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => ({ entry, database: databases.get(key.split('/')[0]!) ?? '', glue: names.of(key, entry, databases) }))
  let files = 0
  await forEachAtMost(TABLES_AT_ONCE, tables, async ({ entry, database, glue }) => {
    const record = await readRecord(lake, entry, formats)
    const { namespace: schema, name: table } = entry
    if (record.iceberg !== undefined) files += write(folder, 'glue', entry, glueTable(record.iceberg as IcebergRecord, glue))
    if (record.delta !== undefined) {
      const location = `${settings.root}/${entry.folder}`
      files += write(folder, 'unity', entry, unityTable(record.delta as DeltaRecord, { catalog: database === '' ? schema : database, schema, table, location }))
    }
  })
  return files
}

/** One file. */
function write(folder: string, service: string, entry: PublishedEntry, payload: object): 1 {
  const path = join(folder, service, `${entry.folder}.json`)
  createFolder(dirname(path), folder)
  writeFileAtOnce(path, `${JSON.stringify(payload, undefined, 2)}\n`)
  return 1
}

/** Glue and Athena know lower case, digits and `_`, and one level above tables: it is called as the database and the schema. */
class GlueNames {
  private readonly taken = new Set<string>()

  of(key: string, { namespace, name }: PublishedEntry, databases: ReadonlyMap<string, string>): { database: string; table: string } {
    const [dbOid = '', oid = ''] = key.split('/')
    const owner = databases.get(dbOid)
    const database = plain(owner === undefined ? namespace : `${owner}_${namespace}`)
    let table = plain(name)
    while (this.taken.has(`${database}/${table}`)) table += `_${oid}`
    this.taken.add(`${database}/${table}`)
    return { database, table }
  }
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')
}
