import { RELATION_RELATION_ID } from '../catalog/catalogs.ts'
import { bootstrapLayouts } from '../catalog/layout.ts'
import { CatalogTuple } from '../catalog/scan.ts'
import { CorruptionError } from '../common/errors.ts'
import type { BlockNumber, Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { RedoObserver } from '../redo/buffers.ts'
import type { RedoPage } from '../redo/store.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { CatalogFiles } from './catalogfiles.ts'
import { forEachTuple } from './pagetuples.ts'

/** A file that a relation had. */
export interface RelationFile {
  /** 0: the database's own tablespace. */
  spcOid: Oid
  relNumber: number
}

interface ClassHistory {
  files: Map<string, RelationFile>
  toast: Set<Oid>
}

const KINDS = 'rtm'

/** The error for a damaged page of the copy or backup that replay began with. */
export function damagedPage(): CorruptionError {
  return new CorruptionError('history.page', 'a damaged page is about to be replaced: row versions on it are lost')
}

/**
 * Which files each table had in a range of WAL: what every version of its pg_class row names, whether it committed or not. Sees the
 * versions that vanish; those that are left at the end are to be shown to it.
 */
export class FileHistory implements RedoObserver {
  readonly catalogs: CatalogFiles
  private readonly classes = new Map<string, ClassHistory>()
  private readonly tuple: CatalogTuple
  private readonly columns: { oid: number; relfilenode: number; tablespace: number; toast: number; kind: number; persistence: number }
  /** Until the pages are consistent, a damaged page may be one that was copied while it was written, and is no error. */
  private consistent = false

  constructor(major: PgMajor) {
    const layout = bootstrapLayouts(major).pgClass
    this.catalogs = new CatalogFiles(major)
    this.tuple = new CatalogTuple(layout, undefined)
    this.columns = {
      oid: layout.column('oid'), relfilenode: layout.column('relfilenode'), tablespace: layout.column('reltablespace'),
      toast: layout.column('reltoastrelid'), kind: layout.column('relkind'), persistence: layout.column('relpersistence'),
    }
  }

  reachedConsistency(): void {
    this.consistent = true
  }

  beforeRemove(page: RedoPage, block: BlockReference): void {
    if (this.catalogs.catalogOf(block) === RELATION_RELATION_ID) this.addPage(block.dbOid, page.bytes, !this.consistent)
  }

  beforeDamagedIsReplaced(block: BlockReference): void {
    if (this.consistent && this.catalogs.catalogOf(block) === RELATION_RELATION_ID) throw damagedPage()
  }

  beforeCut(locator: RelFileLocator): ((page: RedoPage, block: BlockNumber) => void) | undefined {
    if (this.catalogs.catalogOf(locator) !== RELATION_RELATION_ID) return undefined
    return (page) => this.addPage(locator.dbOid, page.bytes, !this.consistent)
  }

  afterRecord(record: WalRecord): void {
    this.catalogs.apply(record)
  }

  /**
   * A page of a database's pg_class.
   * @param mayBeTorn the page may have been copied while it was written: its damage is no error
   * @throws CorruptionError page.*, tuple.*, catalog.*
   */
  addPage(dbOid: Oid, page: Uint8Array, mayBeTorn = false): void {
    forEachTuple(page, mayBeTorn, (start, length) => {
      this.tuple.load(page, start, length, () => true)
      this.addClass(dbOid)
    })
  }

  /** The files of a table, of whatever version. */
  filesOf(dbOid: Oid, oid: Oid): RelationFile[] {
    const mapped = this.catalogs.numbersOf(dbOid, oid).map((relNumber) => ({ spcOid: 0, relNumber }))
    return [...(this.classes.get(`${dbOid}/${oid}`)?.files.values() ?? []), ...mapped]
  }

  /** The TOAST relations of a table: rewrites change them. */
  toastOf(dbOid: Oid, oid: Oid): Oid[] {
    return [...(this.classes.get(`${dbOid}/${oid}`)?.toast ?? [])]
  }

  private addClass(dbOid: Oid): void {
    const { tuple, columns } = this
    if (!KINDS.includes(tuple.char(columns.kind)) || tuple.char(columns.persistence) === 't') return
    const key = `${dbOid}/${tuple.oid(columns.oid)}`
    let found = this.classes.get(key)
    if (found === undefined) {
      found = { files: new Map(), toast: new Set() }
      this.classes.set(key, found)
    }
    const file = { spcOid: tuple.oid(columns.tablespace), relNumber: tuple.oid(columns.relfilenode) }
    if (file.relNumber !== 0) found.files.set(`${file.spcOid}/${file.relNumber}`, file)
    const toast = tuple.oid(columns.toast)
    if (toast !== 0) found.toast.add(toast)
  }
}
