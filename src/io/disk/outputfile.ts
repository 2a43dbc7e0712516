import { closeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { createFile, writeFully } from './create.ts'
import { fileError } from './files.ts'

/** A file written front to back. Not yet on disk when closed: the code that writes the manifest syncs all files first. */
export class OutputFile {
  bytes = 0
  /** CRC-32 of all bytes that were written so far. */
  crc32 = 0
  private readonly path: string
  private fd: number | undefined

  constructor(path: string) {
    this.path = path
    this.fd = createFile(path)
  }

  write(chunk: Uint8Array): void {
    try {
      writeFully(this.fd!, chunk)
    } catch (error) {
      throw fileError(error, this.path)
    }
    this.bytes += chunk.length
    this.crc32 = crc32(chunk, this.crc32)
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
  }
}

/** A new file of these bytes. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const output = new OutputFile(path)
  try {
    output.write(bytes)
  } finally {
    output.close()
  }
}
