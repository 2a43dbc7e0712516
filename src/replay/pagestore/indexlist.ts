import { CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { byteText, utf8Encode } from '../../common/utf8.ts'
import type { DatabaseDirectory } from '../../common/relpath.ts'

/* ltap/indexes: `<spcOid>/<dbOid>/<relNumber>` in lines, sorted. Its CRC is in the state. */
export const INDEXES_FILE = 'ltap/indexes'

/** Relations that are known to be indexes: their pages are not kept. */
export class IndexList {
  private readonly byDirectory = new Map<string, Set<number>>()
  /** Since the last flush. */
  changed = false

  has(spcOid: Oid, dbOid: Oid, relNumber: number): boolean {
    return this.byDirectory.get(`${spcOid}/${dbOid}`)?.has(relNumber) ?? false
  }

  add({ spcOid, dbOid, relNumber }: RelFileLocator): void {
    const key = `${spcOid}/${dbOid}`
    const known = this.byDirectory.get(key) ?? new Set()
    this.byDirectory.set(key, known.add(relNumber))
    this.changed = true
  }

  remove({ spcOid, dbOid, relNumber }: RelFileLocator): void {
    if (this.byDirectory.get(`${spcOid}/${dbOid}`)?.delete(relNumber)) this.changed = true
  }

  removeDirectory({ spcOid, dbOid }: DatabaseDirectory): void {
    if (this.byDirectory.delete(`${spcOid}/${dbOid}`)) this.changed = true
  }

  copyDirectory(from: DatabaseDirectory, to: DatabaseDirectory): void {
    const known = this.byDirectory.get(`${from.spcOid}/${from.dbOid}`)
    if (known === undefined) return
    this.byDirectory.set(`${to.spcOid}/${to.dbOid}`, new Set(known))
    this.changed = true
  }

  format(): Uint8Array {
    const lines: string[] = []
    for (const [key, numbers] of this.byDirectory) for (const relNumber of numbers) lines.push(`${key}/${relNumber}\n`)
    return utf8Encode(lines.sort().join(''))
  }

  /**
   * @param bytes of {@link format}, their CRC checked
   * @throws CorruptionError pagestore.indexes
   */
  static parse(bytes: Uint8Array): IndexList {
    const list = new IndexList()
    // What is not ASCII is no digit.
    const text = byteText(bytes)
    for (const line of text.split('\n').slice(0, -1)) {
      const [spcOid, dbOid, relNumber] = /^\d{1,10}\/\d{1,10}\/\d{1,10}$/.test(line) ? line.split('/').map(Number) : []
      if (!isOid(spcOid) || !isOid(dbOid) || !isOid(relNumber)) throw damaged(`'${line.slice(0, 40)}' is no relation`)
      list.add({ spcOid, dbOid, relNumber })
    }
    if (text !== '' && !text.endsWith('\n')) throw damaged('it ends early')
    list.changed = false
    return list
  }
}

function isOid(value: number | undefined): value is Oid {
  return value !== undefined && value <= 0xffffffff
}

function damaged(reason: string): CorruptionError {
  return new CorruptionError('pagestore.indexes', `the list of indexes is damaged: ${reason}; seed the page store again`)
}
