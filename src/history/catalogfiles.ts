import type { Oid, WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { parseRelationMap } from '../common/relationmap.ts'
import { decodeDbase } from '../wal/dbase.ts'
import type { WalRecord } from '../wal/record.ts'
import { decodeRelmapUpdate } from '../wal/relmap.ts'
import { RM_DBASE_ID, RM_RELMAP_ID } from '../wal/rmgr.ts'

/** The files that mapped catalogs have, or had, in a range of WAL: VACUUM FULL gives them new ones. Shared catalogs are of database 0. */
export class CatalogFiles {
  private readonly major: PgMajor
  /** Catalog by file number, by database. */
  private readonly databases = new Map<Oid, Map<number, Oid>>()
  /** Databases that were made in the range from others, and with their rows. */
  readonly copied: Map<Oid, WalPosition> = new Map<Oid, WalPosition>()

  constructor(major: PgMajor) {
    this.major = major
  }

  /** @param bytes of pg_filenode.map. @throws CorruptionError relmap */
  addMap(dbOid: Oid, bytes: Uint8Array): void {
    const files = this.filesOf(dbOid)
    for (const [oid, relNumber] of parseRelationMap(bytes, this.major)) files.set(relNumber, oid)
  }

  /** Follows the record, if it says something about relation maps. */
  apply(record: WalRecord): void {
    if (record.rmgr === RM_RELMAP_ID) {
      const { dbOid, bytes } = decodeRelmapUpdate(record)
      this.addMap(dbOid, bytes)
    } else if (record.rmgr === RM_DBASE_ID) {
      const made = decodeDbase(record, this.major)
      // ALTER DATABASE SET TABLESPACE copies a database to itself.
      if (made.kind === 'drop' || (made.kind === 'create-file-copy' && made.sourceDbOid === made.dbOid)) return
      this.copied.set(made.dbOid, record.endLsn)
      if (made.kind === 'create-wal-log') return
      const files = this.filesOf(made.dbOid)
      for (const [relNumber, oid] of this.filesOf(made.sourceDbOid)) files.set(relNumber, oid)
    }
  }

  /** @returns the catalog's oid; undefined if the file is of no mapped catalog */
  catalogOf({ dbOid, relNumber }: RelFileLocator): Oid | undefined {
    return this.databases.get(dbOid)?.get(relNumber)
  }

  /** All files that a mapped catalog had. */
  numbersOf(dbOid: Oid, catalog: Oid): number[] {
    return [...this.filesOf(dbOid)].filter(([, oid]) => oid === catalog).map(([relNumber]) => relNumber)
  }

  private filesOf(dbOid: Oid): Map<number, Oid> {
    const known = this.databases.get(dbOid) ?? new Map<number, Oid>()
    this.databases.set(dbOid, known)
    return known
  }
}
