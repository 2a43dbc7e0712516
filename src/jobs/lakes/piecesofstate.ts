import { forEachAtMost } from '../../common/atonce.ts'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { readPiece } from '../../engine/pagereader.ts'
import { parseCatalogEntry } from '../../lake/clusterinfo.ts'
import { parsePublished } from '../../lake/publishedentry.ts'
import { decodeDescription } from '../../lake/relationinfo.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { filePath, parseFile } from '../../lake/state/files.ts'
import type { PageRef } from '../../lake/state/page.ts'
import { parseStatus, statusXid } from '../../lake/state/status.ts'
import { parseTransactionsEntry } from '../../lake/state/transactions.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { LakeDifference } from '../lakereport.ts'

/** Pieces of one object that lie close together are read at once. */
const READ_BYTES_MAX = 8 << 20
const READS_AT_ONCE = 4

interface Piece extends PageRef {
  /** For people: the table or the file of the cluster that it is of. */
  readonly of: string
  readonly isDescription: boolean
}

/** What states refer to beside files of layers: descriptions of tables, small files of the cluster. Each is read once, whatever the number of states. */
export class PiecesOfState {
  /** By object, place, CRC and whether it is a description. */
  private readonly pieces = new Map<string, Piece>()

  /** @returns the relation that an entry is of, if it is of one @throws CorruptionError, UnsupportedError lake.* for an entry that is damaged */
  add(entry: EntryKey, value: unknown): StateRelation | undefined {
    if (entry.tree === 'layers') {
      const relation = parseStateRelation(entry.key, value)
      this.keep(relation.info.description, `${relation.info.schema}.${relation.info.name}`, true)
      return relation
    }
    if (entry.tree === 'status') {
      statusXid(entry)
      parseStatus(value, entry)
    } else if (entry.tree === 'files') {
      const file = parseFile(value, entry)
      const path = filePath(entry)
      if (file.kind === 'file' && file.content) this.keep(file.content, path, false)
    } else if (entry.tree === 'published') {
      const found = parsePublished(entry.key, value)
      if (found.kind !== 'settings') this.keep(found.entry.record, `what is published of ${found.entry.namespace}.${found.entry.name}`, false)
    } else if (entry.tree === 'transactions') {
      const { piece } = parseTransactionsEntry(entry.key, value)
      this.keep(piece, 'ends of transactions', false)
    } else {
      const found = parseCatalogEntry(entry.key, value)
      if (found.kind === 'parent') this.keep(found.parent.description, `${found.parent.schema}.${found.parent.name}`, true)
    }
    return undefined
  }

  /** Reads all of them. @throws EnvironmentError store.* */
  async check(store: ObjectStore, differ: (difference: LakeDifference) => void): Promise<void> {
    await forEachAtMost(READS_AT_ONCE, this.reads(), async (pieces) => {
      const { key, start } = pieces[0]!
      const length = pieces.reduce((end, piece) => Math.max(end, piece.start + piece.length), 0) - start
      const read = readPiece(store, { key, start, length })
      for (const piece of pieces) {
        try {
          checkPiece(piece, (await read).subarray(piece.start - start, piece.start - start + piece.length))
        } catch (error) {
          if (!(error instanceof CorruptionError)) throw error
          differ({ file: key, reason: `${piece.of}: ${error.message}` })
        }
      }
    })
  }

  private keep({ key, start, length, crc }: PageRef, of: string, isDescription: boolean): void {
    // Bytes of one place may not have two CRCs: then one of the two entries is wrong, and a reader of it fails.
    this.pieces.set(`${key}:${start}:${length}:${crc}:${isDescription}`, { key, start, length, crc, of, isDescription })
  }

  private *reads(): Generator<Piece[]> {
    const sorted = [...this.pieces.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.start - b.start))
    let group: Piece[] = []
    for (const piece of sorted) {
      const [first] = group
      if (first && (first.key !== piece.key || piece.start + piece.length - first.start > READ_BYTES_MAX)) {
        yield group
        group = []
      }
      group.push(piece)
    }
    if (group.length > 0) yield group
  }
}

function checkPiece(piece: Piece, bytes: Uint8Array): void {
  if (piece.isDescription) decodeDescription(bytes, piece)
  else if (bytes.length !== piece.length || crc32c(bytes) !== piece.crc) {
    throw new CorruptionError('lake.object', `${piece.length} bytes from ${piece.start} on do not have the CRC-32C that the lake has of them`)
  }
}
