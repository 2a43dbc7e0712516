import type { DuckDBValue } from '@duckdb/node-api'
import { breathe } from '../../io/process/interruption.ts'
import type { ResultPlace } from '../../io/results/resultplace.ts'
import type { RowBuffer, RowFile, RowFiles } from './resultfiles.ts'

/** Limits of memory and of files. */
export interface WriterLimits {
  /** Rows that become a row group of Parquet. */
  readonly groupRows: number
  readonly groupBytes: number
  /** Bytes of all rows that are not written yet. */
  readonly bufferedBytes: number
  /** A file that is larger gets no more rows; another one follows. */
  readonly fileBytes: number
}

export const WRITER_LIMITS: WriterLimits = { groupRows: 1 << 17, groupBytes: 32 << 20, bufferedBytes: 128 << 20, fileBytes: 1 << 30 }

/**
 * Writes rows into files, by folder. Memory is bounded however many folders there are: rows of a folder are kept until they make a row group, or until all
 * folders together have too many; of the open files the one that was not written to for the longest time is ended, and its folder gets another one later.
 */
export class ResultWriter {
  /** What the files that were finished have. */
  readonly written = { files: 0, bytes: 0, rows: 0 }
  private readonly place: ResultPlace
  private readonly files: RowFiles<RowBuffer>
  private readonly limits: WriterLimits
  private readonly buffers = new Map<string, RowBuffer>()
  /** By folder, in the order of their last use. */
  private readonly open = new Map<string, RowFile<RowBuffer>>()
  private buffered = 0
  private numbers = 0

  constructor(place: ResultPlace, files: RowFiles<RowBuffer>, limits: WriterLimits = WRITER_LIMITS) {
    this.place = place
    this.files = files
    this.limits = limits
  }

  /** @param folder '' for the place itself */
  async add(folder: string, values: readonly DuckDBValue[]): Promise<void> {
    let buffer = this.buffers.get(folder)
    if (buffer === undefined) this.buffers.set(folder, buffer = this.files.buffer())
    const before = buffer.rows === 0 ? 0 : buffer.bytes
    buffer.push(values)
    this.buffered += buffer.bytes - before
    if (buffer.rows >= this.limits.groupRows || buffer.bytes >= this.limits.groupBytes) await this.flush(folder, buffer)
    if (this.buffered > this.limits.bufferedBytes) await this.makeRoom()
  }

  /** The largest ones first, so that files have few and large row groups. */
  private async makeRoom(): Promise<void> {
    const largest = [...this.buffers].sort(([, a], [, b]) => b.bytes - a.bytes)
    for (const [folder, buffer] of largest) {
      if (this.buffered <= this.limits.bufferedBytes / 2) return
      await this.flush(folder, buffer)
    }
  }

  private async flush(folder: string, buffer: RowBuffer): Promise<void> {
    await breathe()
    const file = await this.fileOf(folder)
    await file.add(buffer)
    this.buffers.delete(folder)
    this.buffered -= buffer.bytes
    this.written.rows += buffer.rows
    if (file.bytes > this.limits.fileBytes) await this.end(folder, file)
  }

  private async fileOf(folder: string): Promise<RowFile<RowBuffer>> {
    const known = this.open.get(folder)
    if (known !== undefined) {
      this.open.delete(folder)
      this.open.set(folder, known)
      return known
    }
    const [oldest] = this.open
    if (oldest !== undefined && this.open.size >= this.place.openMax) await this.end(...oldest)
    const name = `part-${String(this.numbers++).padStart(5, '0')}.${this.files.extension}`
    const file = this.files.open(await this.place.file(folder === '' ? name : `${folder}/${name}`))
    this.open.set(folder, file)
    return file
  }

  private async end(folder: string, file: RowFile<RowBuffer>): Promise<void> {
    await file.finish()
    this.open.delete(folder)
    this.written.files++
    this.written.bytes += file.bytes
  }

  /** @param needsFile there is a file even without rows, so that a reader sees the columns */
  async finish(needsFile: boolean): Promise<void> {
    for (const [folder, buffer] of this.buffers) await this.flush(folder, buffer)
    if (needsFile && this.numbers === 0) await this.fileOf('')
    for (const [folder, file] of this.open) await this.end(folder, file)
  }

  /** Gives up the files that are open. */
  async abort(): Promise<void> {
    for (const file of this.open.values()) await file.abort()
  }
}
