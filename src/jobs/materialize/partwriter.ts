import { createHash } from 'node:crypto'
import { crc32c } from '../../common/crc32c.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { putObject } from '../tasks/lakeobject.ts'

/** Bytes of small pieces that go together into one object. */
const PART_BYTES = 4 << 20

/** Gathers small pieces of one commit, so that there are few objects: descriptions of tables, files of the cluster. */
export class PartWriter {
  private readonly store: ObjectStore
  private readonly mint: () => string
  private key: string
  private pieces: Uint8Array[] = []
  private length = 0
  /** The writes so far. */
  private written: Promise<void> = Promise.resolve()

  /** @param mint the key of a new object */
  constructor(store: ObjectStore, mint: () => string) {
    this.store = store
    this.mint = mint
    this.key = mint()
  }

  /**
   * Where the piece will be, once {@link finish} is done.
   * @param known where a piece is that may have the same bytes: then it is that one
   */
  async add(bytes: Uint8Array, known?: PieceRef): Promise<PieceRef> {
    const sha256 = createHash('sha256').update(bytes).digest('base64url')
    if (known?.sha256 === sha256) return known
    const ref = { key: this.key, start: this.length, length: bytes.length, crc: crc32c(bytes), sha256 }
    this.pieces.push(bytes)
    this.length += bytes.length
    if (this.length >= PART_BYTES) await this.write()
    return ref
  }

  /** @throws EnvironmentError store.* */
  async finish(): Promise<void> {
    if (this.length > 0) await this.write()
    await this.written
  }

  private async write(): Promise<void> {
    const bytes = new Uint8Array(this.length)
    let at = 0
    for (const piece of this.pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    const { key } = this
    this.key = this.mint()
    this.pieces = []
    this.length = 0
    // One after the other: what waits is in memory.
    this.written = this.written.then(() => putObject(this.store, key, bytes))
    await this.written
  }
}
